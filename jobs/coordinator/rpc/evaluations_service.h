// The service of the evaluation worker pool (proto/evaluation.proto).
#ifndef CARACAL_JOBS_COORDINATOR_RPC_EVALUATIONS_SERVICE_H_
#define CARACAL_JOBS_COORDINATOR_RPC_EVALUATIONS_SERVICE_H_

#include <utility>
#include <vector>

#include "jobs/coordinator/access/path_roots.h"
#include "jobs/coordinator/engine/evaluations.h"
#include "jobs/coordinator/rpc/door.h"
#include "jobs/spec/problem.h"
#include "proto/evaluation.grpc.pb.h"

namespace caracal {

// Thread-safe. No call waits on a thread: answers come when the store has them.
class EvaluationsService final : public proto::Evaluations::CallbackService {
 public:
  // `roots`: of paths in evaluations, with the coordinator's own runs in it.
  // The others outlive it. `closed`: why none is created (FAILED_PRECONDITION);
  // "": they are.
  EvaluationsService(Evaluations* evaluations, PathRoots roots, Door* door,
                     std::string closed = "")
      : evaluations_(evaluations),
        roots_(std::move(roots)),
        door_(door),
        closed_(std::move(closed)) {}

  grpc::ServerUnaryReactor* Create(
      grpc::CallbackServerContext* context,
      const proto::CreateEvaluationRequest* request,
      proto::CreateEvaluationResponse* response) override;
  grpc::ServerUnaryReactor* Get(grpc::CallbackServerContext* context,
                                const proto::GetEvaluationRequest* request,
                                proto::EvaluationInfo* response) override;
  grpc::ServerUnaryReactor* List(
      grpc::CallbackServerContext* context,
      const proto::ListEvaluationsRequest* request,
      proto::ListEvaluationsResponse* response) override;
  grpc::ServerUnaryReactor* Cancel(
      grpc::CallbackServerContext* context,
      const proto::CancelEvaluationRequest* request,
      proto::CancelEvaluationResponse*) override;
  grpc::ServerUnaryReactor* ReadParts(
      grpc::CallbackServerContext* context,
      const proto::ReadPartsRequest* request,
      proto::ReadPartsResponse* response) override;
  grpc::ServerUnaryReactor* Lease(grpc::CallbackServerContext* context,
                                  const proto::LeaseRequest* request,
                                  proto::LeaseResponse* response) override;
  grpc::ServerUnaryReactor* Renew(grpc::CallbackServerContext* context,
                                  const proto::RenewRequest* request,
                                  proto::RenewResponse*) override;
  grpc::ServerUnaryReactor* Complete(grpc::CallbackServerContext* context,
                                     const proto::CompleteRequest* request,
                                     proto::CompleteResponse*) override;
  grpc::ServerUnaryReactor* Fail(grpc::CallbackServerContext* context,
                                 const proto::FailRequest* request,
                                 proto::FailResponse*) override;

 private:
  // For what a worker says of a lease: let in, and the evaluation is one that
  // it may work on.
  absl::StatusOr<Visit> EnterWithLease(grpc::CallbackServerContext* context,
                                       const char* method, EvaluationId id);

  Evaluations* const evaluations_;
  const PathRoots roots_;
  Door* const door_;
  const std::string closed_;
};

// That its fields are such as `caracal attribute` takes, its paths absolute and
// inside of the roots, as are those of the job of a run folder. Every problem
// is found, a line each, and added to `problems`: kInvalidArgument, or
// kPermissionDenied when a path is outside.
absl::Status CheckEvaluation(const proto::EvaluationSpec& spec,
                             const PathRoots& roots,
                             std::vector<Problem>* problems);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_RPC_EVALUATIONS_SERVICE_H_
