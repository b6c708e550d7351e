// Writes checkpoints on a thread of its own, so that training goes on: the
// caller pays for one copy of the tensors.
#ifndef CARACAL_DIST_CHECKPOINT_ASYNC_CHECKPOINTER_H_
#define CARACAL_DIST_CHECKPOINT_ASYNC_CHECKPOINTER_H_

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "core/base/file_system.h"
#include "core/collective/collective.h"
#include "dist/checkpoint/contents.h"

namespace caracal {

// For one calling thread. The destructor waits for the checkpoint in flight
// and drops its error: call Wait before.
class AsyncCheckpointer {
 public:
  // Called on the writing thread after each checkpoint that was written, with
  // its folder: the place for pruning. Its error counts as the checkpoint's.
  // Of several ranks the first one's is called.
  using AfterWrite = std::function<absl::Status(const std::string& folder)>;

  // `ranks`: as WriteCheckpoint has it; used by the writing thread alone.
  explicit AsyncCheckpointer(FileSystem* file_system,
                             AfterWrite after_write = nullptr,
                             Collective* ranks = nullptr);
  AsyncCheckpointer(const AsyncCheckpointer&) = delete;
  AsyncCheckpointer& operator=(const AsyncCheckpointer&) = delete;
  ~AsyncCheckpointer();

  // Waits for the previous checkpoint, copies the contents with all tensors,
  // and returns; writing goes on behind (WriteCheckpoint to `folder`). The
  // error, if any, is the previous checkpoint's, and the new one is started
  // nevertheless. The copy's memory is kept: from the second call with
  // contents of the same sizes on, nothing is allocated here.
  absl::Status Start(const std::string& folder,
                     const CheckpointContents& contents);

  // Until nothing is in flight; the error of the last checkpoint, once.
  absl::Status Wait();

 private:
  void Run();

  FileSystem* const file_system_;
  const AfterWrite after_write_;
  Collective* const ranks_;

  std::mutex mutex_;  // of the next four
  std::condition_variable changed_;
  bool in_flight_ = false;
  bool stopping_ = false;
  absl::Status result_;

  // The snapshot: the caller's while nothing is in flight, else the thread's.
  std::string folder_;
  CheckpointContents contents_;
  std::vector<char> data_;

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace caracal

#endif  // CARACAL_DIST_CHECKPOINT_ASYNC_CHECKPOINTER_H_
