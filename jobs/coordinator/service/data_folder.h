// The folder that a coordinator keeps everything in.
//
//   caracald.lock        held while a coordinator uses the folder
//   endpoint.json        where it listens (rpc/endpoint.h)
//   coordinator.sqlite   jobs and what happened to them, evaluations, tokens
//   audit.jsonl          who changed what (access/audit_log.h)
//   jobs/ID.textproto    the job, for its ranks
//   gangs/ID-EPOCH/      a gang each (jobs/launch/gang_folder.h)
//   runs/ID/             run folders
#ifndef CARACAL_JOBS_COORDINATOR_SERVICE_DATA_FOLDER_H_
#define CARACAL_JOBS_COORDINATOR_SERVICE_DATA_FOLDER_H_

#include <string>

#include "absl/status/statusor.h"
#include "jobs/coordinator/state/job_record.h"
#include "jobs/launch/descriptor.h"

namespace caracal {

// Owns the lock. Paths are absolute.
class DataFolder {
 public:
  // Makes the folder if need be, for this user only. kFailedPrecondition when
  // another process uses it.
  static absl::StatusOr<DataFolder> Open(const std::string& path);

  const std::string& path() const { return path_; }
  std::string endpoint() const;
  std::string audit() const;
  std::string gangs() const;
  std::string runs() const;
  std::string job(JobId id) const;
  std::string run(JobId id) const;

 private:
  DataFolder(std::string path, Descriptor lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}

  std::string path_;
  Descriptor lock_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_SERVICE_DATA_FOLDER_H_
