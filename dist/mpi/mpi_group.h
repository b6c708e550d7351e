// One communicator and what messages and errors need to know of it.
#ifndef CARACAL_DIST_MPI_MPI_GROUP_H_
#define CARACAL_DIST_MPI_MPI_GROUP_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "dist/mpi/mpi_api.h"

namespace caracal {

struct MpiOptions {
  // Messages are cut into blocks of so many bytes, of which at most two a peer
  // are under way: it bounds the staging memory, keeps what is summed in the
  // cache, and counts below what MPI can count. Same on all ranks; at least 8.
  int64_t block_bytes = 512 << 10;
  // How long a rank waits for the next block before the call fails with
  // kDeadlineExceeded.
  absl::Duration timeout = absl::InfiniteDuration();
  // A rank that waits asks again and again for so long, giving its core to
  // whoever else wants it; then it takes naps.
  absl::Duration busy = absl::Microseconds(200);
  // Naps are an eighth of the wait so far, up to this: each costs a few
  // microseconds of a core, and delays what comes meanwhile.
  absl::Duration longest_nap = absl::Microseconds(500);
};

struct MpiGroup {
  MPI_Comm comm = MPI_COMM_NULL;  // of this group alone; returns its errors
  std::string name;               // for errors: "tensor group of ranks 0, 1"
  int rank = 0;
  int size = 1;
  std::vector<int> world_ranks;  // of its ranks
  MpiOptions options;

  // "in AllReduceSum on rank 5 of the data group of ranks 1 5", ranks as the
  // world numbers them.
  std::string Where(const char* operation) const;
};

}  // namespace caracal

#endif  // CARACAL_DIST_MPI_MPI_GROUP_H_
