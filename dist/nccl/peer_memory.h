// Device memory that the ranks of one host write into each other's.
#ifndef CARACAL_DIST_NCCL_PEER_MEMORY_H_
#define CARACAL_DIST_NCCL_PEER_MEMORY_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/collective/collective.h"

namespace caracal {

// As much memory of each rank's GPU, zeroed, and where this process finds it,
// by CUDA's handles between processes.
class PeerMemory {
 public:
  // Every rank of `control` calls, on the thread whose current CUDA device is
  // its own. kUnavailable, on all ranks, where some can't reach another's: on
  // another host, a thread of the same process, a GPU without a way there or
  // that this process doesn't see; kResourceExhausted. Messages end with "of
  // rank 1 of 2 of the NAME".
  static absl::StatusOr<std::unique_ptr<PeerMemory>> Create(
      Collective* control, size_t bytes, const std::string& name);
  PeerMemory(const PeerMemory&) = delete;
  PeerMemory& operator=(const PeerMemory&) = delete;
  // Leave(), and gives this rank's back, which nobody may write to any more.
  ~PeerMemory();

  // 256-byte aligned, `bytes` of Create long.
  void* of(int rank) const { return of_[rank]; }

  // Of the others' memory; before they may give it back.
  void Leave();

 private:
  PeerMemory(int rank, int size) : rank_(rank), of_(size) {}

  const int rank_;
  std::vector<void*> of_;
};

}  // namespace caracal

#endif  // CARACAL_DIST_NCCL_PEER_MEMORY_H_
