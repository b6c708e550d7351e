// The service that people and their programs talk to (proto/coordinator.proto).
#ifndef CARACAL_JOBS_COORDINATOR_RPC_JOBS_SERVICE_H_
#define CARACAL_JOBS_COORDINATOR_RPC_JOBS_SERVICE_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "jobs/coordinator/access/rooted_file_system.h"
#include "jobs/coordinator/access/slurm_rules.h"
#include "jobs/coordinator/engine/coordinator.h"
#include "jobs/coordinator/rpc/door.h"
#include "jobs/coordinator/rpc/event_hub.h"
#include "jobs/coordinator/rpc/log_stream.h"
#include "jobs/coordinator/rpc/stream_limit.h"
#include "jobs/coordinator/rpc/submission.h"
#include "jobs/coordinator/rpc/submitter.h"
#include "proto/coordinator.grpc.pb.h"

namespace caracal {

// What gangs have left in their folders.
struct GangFiles {
  int64_t folders = 0;
  int64_t bytes = 0;  // in all of them
};

struct JobsServiceOptions {
  std::string runs;  // the folder that run folders are made in
  // Of the gangs of a job. Empty: they leave nothing.
  std::function<GangFiles(const JobRecord&)> gang_files = nullptr;
  // Of the one job that a `caracal run` is at, where it is not runs/ID: there
  // is none for others, which are refused.
  std::string run_folder = "";
  int64_t slots = 1;                        // of a job that names no threads
  SlurmRules slurm = {};                    // what jobs may ask of it
  int most_watches = 4096, most_logs = 64;  // at a time; half of one user's
};

// Thread-safe. No call but Logs waits on a thread: answers come when the
// coordinator has them.
class JobsService final : public proto::Jobs::CallbackService {
 public:
  // All outlive it.
  JobsService(const JobsServiceOptions& options, Coordinator* coordinator,
              EventHub* hub, LogFile log_file, RootedFileSystem* files,
              Door* door)
      : options_(options),
        coordinator_(coordinator),
        hub_(hub),
        log_file_(std::move(log_file)),
        submitter_(options.slots, coordinator, files,
                   options.run_folder.empty() ? "" : kOneJob, options.slurm),
        door_(door),
        watches_("events", options.most_watches),
        logs_("logs", options.most_logs) {}

  grpc::ServerUnaryReactor* Submit(grpc::CallbackServerContext* context,
                                   const proto::SubmitRequest* request,
                                   proto::SubmitResponse* response) override;
  grpc::ServerUnaryReactor* Validate(
      grpc::CallbackServerContext* context, const proto::SubmitRequest* request,
      proto::ValidateResponse* response) override;
  grpc::ServerUnaryReactor* Get(grpc::CallbackServerContext* context,
                                const proto::GetJobRequest* request,
                                proto::JobInfo* response) override;
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context,
                                 const proto::ListJobsRequest* request,
                                 proto::ListJobsResponse* response) override;
  grpc::ServerUnaryReactor* Cancel(grpc::CallbackServerContext* context,
                                   const proto::CancelJobRequest* request,
                                   proto::CancelJobResponse*) override;
  grpc::ServerUnaryReactor* Resume(grpc::CallbackServerContext* context,
                                   const proto::ResumeJobRequest* request,
                                   proto::ResumeJobResponse*) override;
  grpc::ServerUnaryReactor* Remove(grpc::CallbackServerContext* context,
                                   const proto::RemoveJobRequest* request,
                                   proto::RemoveJobResponse* response) override;
  grpc::ServerUnaryReactor* SetPriority(
      grpc::CallbackServerContext* context,
      const proto::SetPriorityRequest* request,
      proto::SetPriorityResponse*) override;
  grpc::ServerUnaryReactor* Tune(grpc::CallbackServerContext* context,
                                 const proto::TuneRequest* request,
                                 proto::TuneResponse*) override;
  grpc::ServerWriteReactor<proto::JobEvent>* Watch(
      grpc::CallbackServerContext* context,
      const proto::WatchRequest* request) override;
  grpc::ServerWriteReactor<proto::LogsResponse>* Logs(
      grpc::CallbackServerContext* context,
      const proto::LogsRequest* request) override;

  grpc::ServerUnaryReactor* Info(grpc::CallbackServerContext* context,
                                 const proto::ServerInfoRequest*,
                                 proto::ServerInfo* response) override;

  // Where the coordinator's page is, host:port.
  void SetWeb(const std::string& address);
  // For others who take in jobs.
  Submitter& submitter() { return submitter_; }

 private:
  // For calls that change a job: let in, and the job is theirs to change.
  absl::StatusOr<Visit> EnterToChange(grpc::CallbackServerContext* context,
                                      const char* method, JobId id);
  std::string RunFolder(JobId id) const;

  const JobsServiceOptions options_;
  Coordinator* const coordinator_;
  EventHub* const hub_;
  const LogFile log_file_;
  Submitter submitter_;
  Door* const door_;
  StreamLimit watches_, logs_;
  absl::Mutex mutex_;
  std::string web_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_RPC_JOBS_SERVICE_H_
