// Who has changed what, and who was refused: DATA/audit.jsonl.
#ifndef CARACAL_JOBS_COORDINATOR_ACCESS_AUDIT_LOG_H_
#define CARACAL_JOBS_COORDINATOR_ACCESS_AUDIT_LOG_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/base/clock.h"
#include "jobs/coordinator/access/rate_limit.h"
#include "jobs/launch/descriptor.h"

namespace caracal {

struct AuditRecord {
  std::string caller = "";  // "": nobody knows
  std::string role = "";
  std::string peer = "";     // where the call came from
  std::string method = "";   // "Jobs.Submit"
  uint64_t job = 0;          // 0: none
  std::string subject = "";  // of calls about users: whose token
  absl::Status outcome = {};
};

struct AuditLogOptions {
  int64_t most_bytes = 16 << 20;    // of a file
  int keep = 8;                     // older files, audit.jsonl.1 the newest
  double refusals_per_second = 20;  // that are written; others are counted
};

// One JSON object a line, appended to a file of this user's alone; a crash of
// the machine may lose the last seconds. Thread-safe.
class AuditLog {
 public:
  // Called when writing begins to fail (the error), and when it works again.
  using Changed = std::function<void(const absl::Status&)>;

  // Errors of opening the file. The clock outlives it.
  static absl::StatusOr<std::unique_ptr<AuditLog>> Open(
      const std::string& path, const AuditLogOptions& options, Clock* clock);

  // From now on; at once where writing fails already.
  void OnChange(Changed changed);

  // What can't be written is dropped, and Changed told.
  void Write(const AuditRecord& record);

  absl::Status health() const {
    absl::MutexLock lock(&mutex_);
    return health_;
  }

 private:
  AuditLog(const std::string& path, const AuditLogOptions& options,
           Clock* clock)
      : path_(path),
        options_(options),
        clock_(clock),
        refusals_(options.refusals_per_second, clock) {}
  absl::Status OpenFile() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Rotate() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Append(const std::string& line)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string path_;
  const AuditLogOptions options_;
  Clock* const clock_;
  RateLimit refusals_;
  mutable absl::Mutex mutex_;
  Descriptor file_ ABSL_GUARDED_BY(mutex_);
  int64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t left_out_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status health_ ABSL_GUARDED_BY(mutex_);
  Changed changed_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_ACCESS_AUDIT_LOG_H_
