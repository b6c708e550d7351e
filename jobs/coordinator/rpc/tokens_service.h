// The service that admins manage tokens with (proto/coordinator.proto).
#ifndef CARACAL_JOBS_COORDINATOR_RPC_TOKENS_SERVICE_H_
#define CARACAL_JOBS_COORDINATOR_RPC_TOKENS_SERVICE_H_

#include <string>

#include "core/base/clock.h"
#include "jobs/coordinator/access/token_book.h"
#include "jobs/coordinator/engine/coordinator.h"
#include "jobs/coordinator/rpc/door.h"
#include "proto/coordinator.grpc.pb.h"

namespace caracal {

// Thread-safe. Changes are durable before they are answered.
class TokensService final : public proto::Tokens::CallbackService {
 public:
  // All outlive it. `other_admins`: some come without a token, so that the last
  // of an admin is no last one.
  TokensService(Coordinator* coordinator, TokenBook* book, Clock* clock,
                Door* door, bool other_admins = false)
      : coordinator_(coordinator),
        book_(book),
        clock_(clock),
        door_(door),
        other_admins_(other_admins) {}

  grpc::ServerUnaryReactor* Create(
      grpc::CallbackServerContext* context,
      const proto::CreateTokenRequest* request,
      proto::CreateTokenResponse* response) override;
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context,
                                 const proto::ListTokensRequest* request,
                                 proto::ListTokensResponse* response) override;
  grpc::ServerUnaryReactor* Revoke(grpc::CallbackServerContext* context,
                                   const proto::RevokeTokenRequest* request,
                                   proto::RevokeTokenResponse*) override;

 private:
  Coordinator* const coordinator_;
  TokenBook* const book_;
  Clock* const clock_;
  Door* const door_;
  const bool other_admins_;
};

// Makes a token of a record without hash and id, and stores it, in the place of
// one that was made before by the same call: of the thread that uses the
// database. Errors of TokenBook::CheckNew and of the database.
absl::StatusOr<std::string> CreateToken(TokenRecord record, TokenBook* book,
                                        Database& database);
struct Revocation {
  std::string name;      // of the user
  std::string key = "";  // idempotency key; "": none
  bool force = false;    // also of the last admin
};
// kNotFound when the user has none that is valid; kFailedPrecondition for the
// last one of an admin; kAlreadyExists when the key was used for another user.
absl::Status RevokeTokenOf(const Revocation& what, absl::Time now,
                           TokenBook* book, Database& database);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_RPC_TOKENS_SERVICE_H_
