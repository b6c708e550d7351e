// The service that people and their programs talk to (proto/coordinator.proto).
#ifndef CARACAL_JOBS_COORDINATOR_RPC_JOBS_SERVICE_H_
#define CARACAL_JOBS_COORDINATOR_RPC_JOBS_SERVICE_H_

#include <string>

#include "core/base/file_system.h"
#include "jobs/coordinator/engine/coordinator.h"
#include "proto/coordinator.grpc.pb.h"

namespace caracal {

// Thread-safe. No call waits on a thread: answers come when the coordinator
// has them.
class JobsService final : public proto::Jobs::CallbackService {
 public:
  // `runs`: the folder that run folders are made in. All outlive it.
  JobsService(Coordinator* coordinator, std::string runs, FileSystem* files)
      : coordinator_(coordinator), runs_(std::move(runs)), files_(files) {}

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

 private:
  Coordinator* const coordinator_;
  const std::string runs_;
  FileSystem* const files_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_RPC_JOBS_SERVICE_H_
