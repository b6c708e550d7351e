#include "jobs/coordinator/rpc/tokens_service.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "jobs/coordinator/rpc/submission.h"
#include "jobs/coordinator/rpc/unary.h"
#include "jobs/coordinator/rpc/wire.h"
#include "jobs/coordinator/store/token_table.h"

namespace caracal {
namespace {

// Dates beyond those that microseconds can say are the last of them.
absl::Time TimeOf(const google::protobuf::Timestamp& stamp) {
  return std::clamp(
      absl::FromUnixSeconds(stamp.seconds()) + absl::Nanoseconds(stamp.nanos()),
      absl::UnixEpoch(),
      absl::FromUnixMicros(std::numeric_limits<int64_t>::max()));
}

void Put(absl::Time time, google::protobuf::Timestamp* stamp) {
  const int64_t seconds = absl::ToUnixSeconds(time);
  stamp->set_seconds(seconds);
  stamp->set_nanos(static_cast<int32_t>(
      absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
}

}  // namespace

absl::StatusOr<std::string> CreateToken(TokenRecord record, TokenBook* book,
                                        Database& database) {
  RETURN_IF_ERROR(book->CheckNew(record, record.created));
  std::string token = NewToken();
  record.hash = HashOfToken(token);
  if (const auto before = book->MadeBefore(record, record.created)) {
    RETURN_IF_ERROR(ReplaceToken(database, before->id, record.hash));
    book->Replace(before->id, record.hash);
    return token;
  }
  RETURN_IF_ERROR(InsertToken(database, &record));
  book->Add(record);
  return token;
}

absl::Status RevokeTokenOf(const Revocation& what, absl::Time now,
                           TokenBook* book, Database& database) {
  // The same call, made again: whatever token the user was given since is not
  // meant.
  if (const auto before = book->RevokedBy(what.key)) {
    if (before->name == what.name) return absl::OkStatus();
    return absl::AlreadyExistsError(absl::StrCat(
        "the idempotency key was used to revoke the token of ", before->name));
  }
  const std::optional<TokenRecord> record = book->Of(what.name, now);
  if (!record.has_value()) return book->NothingToRevoke(what.name);
  if (!what.force && book->IsLastAdmin(*record, now)) {
    return absl::FailedPreconditionError(absl::StrCat(
        record->name,
        "'s is the last token of an admin: without it nobody "
        "could make or revoke tokens. Make another one first, or use --force"));
  }
  RETURN_IF_ERROR(RevokeToken(database, record->id, now, what.key));
  book->Revoke(record->id, now, what.key);
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* TokensService::Create(
    grpc::CallbackServerContext* context,
    const proto::CreateTokenRequest* request,
    proto::CreateTokenResponse* response) {
  const absl::StatusOr<Visit> visit = door_->Enter(context, "Tokens.Create");
  if (!visit.ok()) return Answer(context, visit.status());
  const std::optional<Role> role = RoleFromName(request->role());
  TokenRecord record = {.name = request->name(),
                        .created = clock_->WallTime(),
                        .created_by = visit->caller().name,
                        .key = request->idempotency_key()};
  if (request->has_expires()) record.expires = TimeOf(request->expires());
  if (role.has_value()) record.role = *role;
  absl::Status status = CheckKey(record.key);
  if (status.ok()) status = book_->CheckNew(record, record.created);
  if (!role.has_value()) {
    status = absl::InvalidArgumentError(
        absl::StrCat("role: expected one of ", kRoleNames));
  }
  if (status.ok()) status = coordinator_->CheckStore();
  // The first one's role is looked at below, with what is stored.
  if (!status.ok() && !absl::IsFailedPrecondition(status)) {
    visit->End(status, 0);
    return Answer(context, status);
  }
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  coordinator_->OnStore([=, this, visit = *visit](JobStore& store) {
    const absl::StatusOr<std::string> token =
        CreateToken(record, book_, store.database());
    if (token.ok()) response->set_token(*token);
    visit.End(token.status(), 0, record.name);
    reactor->Finish(ToGrpc(token.status()));
  });
  return reactor;
}

grpc::ServerUnaryReactor* TokensService::List(
    grpc::CallbackServerContext* context, const proto::ListTokensRequest*,
    proto::ListTokensResponse* response) {
  const absl::StatusOr<Visit> visit = door_->Enter(context, "Tokens.List");
  if (!visit.ok()) return Answer(context, visit.status());
  for (const TokenRecord& record : book_->All()) {
    proto::TokenInfo& info = *response->add_tokens();
    info.set_name(record.name);
    info.set_role(NameOf(record.role));
    info.set_created_by(record.created_by);
    Put(record.created, info.mutable_created());
    if (record.expires) Put(*record.expires, info.mutable_expires());
    if (record.revoked) Put(*record.revoked, info.mutable_revoked());
    if (record.used) Put(*record.used, info.mutable_last_used());
  }
  return Answer(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* TokensService::Revoke(
    grpc::CallbackServerContext* context,
    const proto::RevokeTokenRequest* request, proto::RevokeTokenResponse*) {
  const absl::StatusOr<Visit> visit = door_->Enter(context, "Tokens.Revoke");
  if (!visit.ok()) return Answer(context, visit.status());
  const Revocation what = {.name = request->name(),
                           .key = request->idempotency_key(),
                           .force = request->force() || other_admins_};
  absl::Status status = CheckKey(what.key);
  if (status.ok()) status = coordinator_->CheckStore();
  if (!status.ok()) {
    visit->End(status, 0, what.name);
    return Answer(context, status);
  }
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  coordinator_->OnStore([this, reactor, visit = *visit, what](JobStore& store) {
    const absl::Status status =
        RevokeTokenOf(what, clock_->WallTime(), book_, store.database());
    visit.End(status, 0, what.name);
    reactor->Finish(ToGrpc(status));
  });
  return reactor;
}

}  // namespace caracal
