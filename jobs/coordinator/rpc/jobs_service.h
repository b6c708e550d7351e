// The service that people and their programs talk to (proto/coordinator.proto).
#ifndef CARACAL_JOBS_COORDINATOR_RPC_JOBS_SERVICE_H_
#define CARACAL_JOBS_COORDINATOR_RPC_JOBS_SERVICE_H_

#include <string>

#include "jobs/coordinator/access/rooted_file_system.h"
#include "jobs/coordinator/engine/coordinator.h"
#include "jobs/coordinator/rpc/door.h"
#include "jobs/coordinator/rpc/event_hub.h"
#include "jobs/coordinator/rpc/log_stream.h"
#include "jobs/coordinator/rpc/watch_stream.h"
#include "proto/coordinator.grpc.pb.h"

namespace caracal {

struct JobsServiceOptions {
  std::string runs;   // the folder that run folders are made in
  int64_t slots = 1;  // of all gangs together
  int most_watches = 4096, most_logs = 64;  // at a time
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
        files_(files),
        door_(door),
        watches_(options.most_watches),
        logs_(options.most_logs) {}

  grpc::ServerUnaryReactor* Submit(grpc::CallbackServerContext* context,
                                   const proto::SubmitRequest* request,
                                   proto::SubmitResponse* response) override;
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
                                   proto::RemoveJobResponse*) override;
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

 private:
  // For calls that change a job: let in, and the job is theirs to change.
  absl::StatusOr<Visit> EnterToChange(grpc::CallbackServerContext* context,
                                      const char* method, JobId id);

  const JobsServiceOptions options_;
  Coordinator* const coordinator_;
  EventHub* const hub_;
  const LogFile log_file_;
  RootedFileSystem* const files_;
  Door* const door_;
  StreamLimit watches_, logs_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_RPC_JOBS_SERVICE_H_
