// The service that rank 0 of a gang talks to (proto/coordinator.proto).
#ifndef CARACAL_JOBS_COORDINATOR_RPC_GANGS_SERVICE_H_
#define CARACAL_JOBS_COORDINATOR_RPC_GANGS_SERVICE_H_

#include <functional>
#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "jobs/coordinator/engine/coordinator.h"
#include "jobs/coordinator/rpc/door.h"
#include "jobs/launch/gang_spec.h"
#include "proto/coordinator.grpc.pb.h"

namespace caracal {

// A gang's credential, as it lies in the gang's folder.
using CredentialSource =
    std::function<absl::StatusOr<std::string>(const GangId&)>;

// Whoever calls for a gang has to know its credential: PERMISSION_DENIED.
// Thread-safe.
class GangsService final : public proto::Gangs::CallbackService {
 public:
  // Coordinator and door outlive it.
  GangsService(Coordinator* coordinator, CredentialSource credentials,
               Door* door)
      : coordinator_(coordinator),
        credentials_(std::move(credentials)),
        door_(door) {}

  grpc::ServerUnaryReactor* Register(
      grpc::CallbackServerContext* context,
      const proto::RegisterRequest* request,
      proto::RegisterResponse* response) override;
  grpc::ServerUnaryReactor* Heartbeat(
      grpc::CallbackServerContext* context,
      const proto::HeartbeatRequest* request,
      proto::HeartbeatResponse* response) override;
  grpc::ServerUnaryReactor* Direct(grpc::CallbackServerContext* context,
                                   const proto::DirectRequest* request,
                                   proto::DirectResponse* response) override;

 private:
  absl::Status Check(const GangId& id, const std::string& credential);
  // The same, through the door.
  template <typename Request>
  absl::Status Enter(grpc::CallbackServerContext* context, const char* method,
                     const Request& request);

  Coordinator* const coordinator_;
  const CredentialSource credentials_;
  Door* const door_;
  absl::Mutex mutex_;
  // Of gangs that called lately.
  std::map<GangId, std::string> known_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_RPC_GANGS_SERVICE_H_
