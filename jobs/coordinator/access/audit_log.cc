#include "jobs/coordinator/access/audit_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace caracal {
namespace {

std::string LineOf(const AuditRecord& record, absl::Time when,
                   int64_t left_out) {
  nlohmann::ordered_json json = {
      {"time",
       absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", when, absl::UTCTimeZone())},
      {"caller", record.caller},
      {"role", record.role},
      {"peer", record.peer},
      {"method", record.method},
      {"outcome", absl::StatusCodeToString(record.outcome.code())}};
  if (record.job != 0) json["job"] = record.job;
  if (!record.subject.empty()) json["subject"] = record.subject;
  if (!record.outcome.ok()) {
    // Of a refused job, all its problems: the first line says enough.
    const std::string why(record.outcome.message());
    json["why"] = why.substr(0, std::min<size_t>(why.find('\n'), 300));
  }
  if (left_out > 0) json["refusals_left_out_before"] = left_out;
  return json.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) +
         "\n";
}

}  // namespace

absl::StatusOr<std::unique_ptr<AuditLog>> AuditLog::Open(
    const std::string& path, const AuditLogOptions& options, Clock* clock) {
  std::unique_ptr<AuditLog> log(new AuditLog(path, options, clock));
  absl::MutexLock lock(&log->mutex_);
  RETURN_IF_ERROR(log->OpenFile());
  return log;
}

void AuditLog::OnChange(Changed changed) {
  absl::Status health;
  {
    absl::MutexLock lock(&mutex_);
    changed_ = changed;
    health = health_;
  }
  if (!health.ok()) changed(health);
}

absl::Status AuditLog::OpenFile() {
  file_ = Descriptor(
      open(path_.c_str(),
           O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  struct stat info;
  if (!file_.is_open() || fchmod(file_.get(), 0600) != 0 ||
      fstat(file_.get(), &info) != 0) {
    const absl::Status status = ErrnoStatus(errno, "open " + path_);
    file_.Close();
    return status;
  }
  bytes_ = info.st_size;
  return absl::OkStatus();
}

absl::Status AuditLog::Rotate() {
  file_.Close();
  for (int i = options_.keep - 1; i >= 0; --i) {
    const std::string from = i == 0 ? path_ : absl::StrCat(path_, ".", i);
    const std::string to = absl::StrCat(path_, ".", i + 1);
    if (std::rename(from.c_str(), to.c_str()) != 0 && errno != ENOENT) {
      return ErrnoStatus(errno, "rename " + from);
    }
  }
  return OpenFile();
}

absl::Status AuditLog::Append(const std::string& line) {
  if (!file_.is_open()) RETURN_IF_ERROR(OpenFile());
  if (bytes_ >= options_.most_bytes) RETURN_IF_ERROR(Rotate());
  ssize_t done;
  do {
    done = write(file_.get(), line.data(), line.size());
  } while (done < 0 && errno == EINTR);
  if (done == static_cast<ssize_t>(line.size())) {
    bytes_ += done;
    return absl::OkStatus();
  }
  const absl::Status status =
      ErrnoStatus(done < 0 ? errno : ENOSPC, "write " + path_);
  // Half a line would spoil the next one.
  if (done > 0 && ftruncate(file_.get(), bytes_) != 0) file_.Close();
  return status;
}

void AuditLog::Write(const AuditRecord& record) {
  const bool refused = absl::IsUnauthenticated(record.outcome) ||
                       absl::IsPermissionDenied(record.outcome) ||
                       absl::IsResourceExhausted(record.outcome);
  // Whoever is turned away can't make others' lines rotate away.
  const bool leave_out = refused && refusals_.Take("") > absl::ZeroDuration();
  absl::Status status;
  Changed tell;
  {
    absl::MutexLock lock(&mutex_);
    if (leave_out) {
      ++left_out_;
      return;
    }
    status = Append(LineOf(record, clock_->WallTime(), left_out_));
    if (status.ok()) left_out_ = 0;
    if (status.ok() != health_.ok()) tell = changed_;
    health_ = status;
  }
  if (tell) tell(status);
}

}  // namespace caracal
