// One process at a time writes a run folder.
#ifndef CARACAL_JOBS_CONVERT_RUN_LOCK_H_
#define CARACAL_JOBS_CONVERT_RUN_LOCK_H_

#include <string>

#include "absl/status/statusor.h"

namespace caracal {

// An advisory lock on a file; released when the process ends, however it does.
class RunLock {
 public:
  // Makes the file if need be. kFailedPrecondition naming it when another
  // process holds the lock.
  static absl::StatusOr<RunLock> Take(const std::string& path);
  RunLock(RunLock&& other) noexcept;
  RunLock& operator=(RunLock&&) = delete;
  ~RunLock();

 private:
  explicit RunLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_CONVERT_RUN_LOCK_H_
