// What every call of a gRPC service goes through first: who calls, may they,
// how often; and what the audit log hears of it.
#ifndef CARACAL_JOBS_COORDINATOR_RPC_DOOR_H_
#define CARACAL_JOBS_COORDINATOR_RPC_DOOR_H_

#include <grpcpp/grpcpp.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "jobs/coordinator/access/access.h"
#include "jobs/coordinator/access/audit_log.h"
#include "jobs/coordinator/access/method_table.h"
#include "jobs/coordinator/access/rate_limit.h"

namespace caracal {

// A call that was let in. Copies are the same call; thread-safe.
class Visit {
 public:
  const Caller& caller() const { return caller_; }

  // How the call ended. Goes into the audit log where it changes something or
  // was refused after all. `job`: 0 for none; `subject`: of calls about users.
  void End(const absl::Status& outcome, uint64_t job,
           const std::string& subject = "") const;

 private:
  friend class Door;
  Visit(AuditLog* audit, const MethodRule* rule, Caller caller,
        std::string peer)
      : audit_(audit),
        rule_(rule),
        caller_(std::move(caller)),
        peer_(std::move(peer)) {}

  AuditLog* audit_;
  const MethodRule* rule_;
  Caller caller_;
  std::string peer_;
};

// Thread-safe.
class Door {
 public:
  // All outlive it. Without `audit` nothing is logged.
  Door(const Access* access, RateLimit* rate, AuditLog* audit)
      : access_(access), rate_(rate), audit_(audit) {}

  // `method` as in the table of methods. kUnauthenticated, kPermissionDenied,
  // kResourceExhausted (too often; the trailer grpc-retry-pushback-ms says when
  // to try again): logged already.
  absl::StatusOr<Visit> Enter(grpc::CallbackServerContext* context,
                              const char* method);
  // For gangs, whose credential the service has looked at: `shown` is what it
  // found. The same errors.
  absl::Status EnterGang(grpc::CallbackServerContext* context,
                         const char* method, const std::string& gang,
                         uint64_t job, const absl::Status& shown);

 private:
  absl::Status CheckRate(grpc::CallbackServerContext* context,
                         const std::string& who);
  void LogRefusal(const AuditRecord& record);

  const Access* const access_;
  RateLimit* const rate_;
  AuditLog* const audit_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_RPC_DOOR_H_
