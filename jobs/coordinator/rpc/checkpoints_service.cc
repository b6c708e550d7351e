#include "jobs/coordinator/rpc/checkpoints_service.h"

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "jobs/coordinator/engine/checkpoint_list.h"
#include "jobs/coordinator/rpc/unary.h"

namespace caracal {

grpc::ServerUnaryReactor* CheckpointsService::List(
    grpc::CallbackServerContext* context,
    const proto::ListCheckpointsRequest* request,
    proto::ListCheckpointsResponse* response) {
  const auto list = [&]() -> absl::Status {
    RETURN_IF_ERROR(door_->Enter(context, "Checkpoints.List").status());
    if (!coordinator_->Get(request->job()).has_value()) {
      return absl::NotFoundError(
          absl::StrCat("there is no job ", request->job()));
    }
    ASSIGN_OR_RETURN(const CheckpointList found,
                     ReadCheckpointList(files_, run_folder_(request->job())));
    for (const ListedCheckpoint& checkpoint : found.checkpoints) {
      proto::CheckpointInfo& info = *response->add_checkpoints();
      info.set_step(checkpoint.step);
      info.set_bytes(checkpoint.bytes);
      info.set_ranks(checkpoint.ranks);
      info.set_problem(checkpoint.problem);
    }
    if (found.best.has_value()) {
      response->set_best_step(found.best->step);
      response->set_best_score(found.best->score);
    }
    return absl::OkStatus();
  };
  return Answer(context, list());
}

}  // namespace caracal
