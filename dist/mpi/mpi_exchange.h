// A handful of messages under way at once, and waiting for them without
// keeping a core busy.
#ifndef CARACAL_DIST_MPI_MPI_EXCHANGE_H_
#define CARACAL_DIST_MPI_MPI_EXCHANGE_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "dist/mpi/mpi_api.h"
#include "dist/mpi/mpi_group.h"

namespace caracal {

// Messages between the same two ranks match in the order in which they were
// started, over all exchanges of a group. For one thread; keeps its memory, so
// that only the first uses allocate. After an error messages may still be under
// way: the memory they use must stay until the process ends.
class MpiExchange {
 public:
  explicit MpiExchange(const MpiGroup* group) : group_(group) {}
  MpiExchange(const MpiExchange&) = delete;
  MpiExchange& operator=(const MpiExchange&) = delete;

  // Begin a message, of which `operation` is for errors. Bytes below 2^31.
  absl::Status StartSend(const char* operation, const void* data, int64_t bytes,
                         int to);
  absl::Status StartReceive(const char* operation, void* data, int64_t bytes,
                            int from);

  // Until all that was started is done. kDeadlineExceeded after the group's
  // timeout without a message done; kInternal when a message is of another size
  // than expected.
  absl::Status Wait(const char* operation);

 private:
  struct Message {
    bool is_send = false;
    int peer = 0;
    int bytes = 0;
  };
  absl::Status CheckDone(const char* operation, int done);
  std::string Where(const char* operation, const Message& message) const;

  const MpiGroup* const group_;
  std::vector<MPI_Request> requests_;  // one a message, null when done
  std::vector<Message> messages_;
  std::vector<int> done_;  // what MPI_Testsome found
  std::vector<MPI_Status> statuses_;
};

}  // namespace caracal

#endif  // CARACAL_DIST_MPI_MPI_EXCHANGE_H_
