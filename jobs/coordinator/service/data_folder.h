// The folder that a coordinator keeps everything in.
//
//   caracald.lock        held while a coordinator uses the folder
//   endpoint.json        where it listens (rpc/endpoint.h)
//   gang_endpoint.json   where gangs of this machine find it, with TLS
//   coordinator.sqlite   jobs and what happened to them, evaluations, tokens
//   audit.jsonl          who changed what (access/audit_log.h)
//   jobs/ID.textproto    the job, for its ranks
//   gangs/ID-EPOCH/      a gang each (jobs/launch/gang_folder.h)
//   runs/ID/             run folders, unless they are elsewhere
//
// The last three, which the nodes of a cluster have to see, may be in another
// folder, on a file system that is shared, while SQLite stays on a local disk:
//
//   shared               in the first one: the path of the other
//   database             beside runs and gangs: whose they are
//   caracald.lock, endpoint.json   in both
#ifndef CARACAL_JOBS_COORDINATOR_SERVICE_DATA_FOLDER_H_
#define CARACAL_JOBS_COORDINATOR_SERVICE_DATA_FOLDER_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "jobs/coordinator/state/job_record.h"
#include "jobs/launch/descriptor.h"

namespace caracal {

// Owns the locks. Paths are absolute.
class DataFolder {
 public:
  // Makes the folder if need be, for this user only; `shared`, too, which ""
  // leaves as it was the last time. kFailedPrecondition when another process
  // uses one of them, or the first holds runs that are to be in the other.
  static absl::StatusOr<DataFolder> Open(const std::string& path,
                                         const std::string& shared = "");

  // Whether runs and gangs are those of this database (StoreContents); from now
  // on, where nobody has said. kFailedPrecondition when they are another's:
  // jobs of the same number would be taken for one another. The same when
  // nobody has said and there are none although it `had_gangs`: most likely a
  // file system is not mounted, and jobs would begin again from nothing.
  absl::Status Claim(uint64_t database, bool had_gangs) const;
  // A number above those of all jobs that runs and gangs are there of: more
  // than the database knows of, where that is a copy made before them.
  JobId FirstFreeJob() const;

  // The run folder of all jobs; "": each has its own, in runs().
  void SetRun(const std::string& run) { run_ = run; }

  const std::string& path() const { return path_; }
  // Of what gangs see; path() where it is not apart.
  const std::string& shared() const { return shared_; }
  // As gangs are told it; all places where it is to be written.
  std::string endpoint() const;
  std::vector<std::string> endpoints() const;
  // The endpoint file of a socket that gangs of this machine may have to
  // themselves.
  std::string gang_endpoint() const;
  std::string audit() const;
  std::string gangs() const;
  std::string runs() const;
  std::string job(JobId id) const;
  std::string run(JobId id) const;

 private:
  DataFolder(std::string path, std::string shared,
             std::vector<Descriptor> locks)
      : path_(std::move(path)),
        shared_(std::move(shared)),
        locks_(std::move(locks)) {}

  std::string path_, shared_, run_;
  std::vector<Descriptor> locks_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_SERVICE_DATA_FOLDER_H_
