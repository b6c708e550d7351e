// The catalogue of checkpoints (proto/evaluation.proto).
#ifndef CARACAL_JOBS_COORDINATOR_RPC_CHECKPOINTS_SERVICE_H_
#define CARACAL_JOBS_COORDINATOR_RPC_CHECKPOINTS_SERVICE_H_

#include <functional>
#include <string>
#include <utility>

#include "core/base/file_system.h"
#include "jobs/coordinator/engine/coordinator.h"
#include "jobs/coordinator/rpc/door.h"
#include "proto/evaluation.grpc.pb.h"

namespace caracal {

// Thread-safe. Reads manifests on the caller's thread.
class CheckpointsService final : public proto::Checkpoints::CallbackService {
 public:
  // `run_folder`: of a job. The others outlive it.
  CheckpointsService(std::function<std::string(JobId)> run_folder,
                     Coordinator* coordinator, FileSystem* files, Door* door)
      : run_folder_(std::move(run_folder)),
        coordinator_(coordinator),
        files_(files),
        door_(door) {}

  grpc::ServerUnaryReactor* List(
      grpc::CallbackServerContext* context,
      const proto::ListCheckpointsRequest* request,
      proto::ListCheckpointsResponse* response) override;

 private:
  const std::function<std::string(JobId)> run_folder_;
  Coordinator* const coordinator_;
  FileSystem* const files_;
  Door* const door_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_RPC_CHECKPOINTS_SERVICE_H_
