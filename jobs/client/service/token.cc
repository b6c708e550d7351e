#include "jobs/client/service/token.h"

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "jobs/client/service/job_words.h"
#include "jobs/client/service/server_option.h"
#include "jobs/client/table.h"
#include "jobs/coordinator/access/admin_notice.h"
#include "jobs/coordinator/access/lifetime.h"
#include "jobs/coordinator/access/token.h"

namespace caracal {
namespace {

struct TokenOptions {
  ServerOption server;
  std::string name, role, expires;
  bool json = false, force = false;
};

absl::Status Create(const TokenOptions& o, Console& console) {
  proto::CreateTokenRequest request;
  request.set_name(o.name);
  request.set_role(o.role);
  request.set_idempotency_key(NewIdempotencyKey());
  if (!o.expires.empty()) {
    ASSIGN_OR_RETURN(const absl::Duration lifetime, ParseLifetime(o.expires));
    request.mutable_expires()->set_seconds(
        absl::ToUnixSeconds(Clock::Real()->WallTime() + lifetime));
  }
  ASSIGN_OR_RETURN(const proto::CreateTokenResponse response,
                   o.server.Call(&proto::Tokens::Stub::Create, request));
  console.out << response.token() << "\n";
  console.err << "this is the only time that it is shown: give it to " << o.name
              << " for ~/.config/caracal/token (chmod 600)\n";
  return absl::OkStatus();
}

const char* StateOf(const proto::TokenInfo& token, absl::Time now) {
  if (token.has_revoked()) return "revoked";
  if (token.has_expires() && TimeOf(token.expires()) <= now) return "expired";
  return "valid";
}

std::string Date(bool is_set, const google::protobuf::Timestamp& stamp,
                 const char* otherwise) {
  if (!is_set) return otherwise;
  return absl::FormatTime("%Y-%m-%d %H:%M", TimeOf(stamp),
                          absl::LocalTimeZone());
}

nlohmann::ordered_json ToJson(const proto::TokenInfo& token, absl::Time now) {
  nlohmann::ordered_json json = {{"name", token.name()},
                                 {"role", token.role()},
                                 {"state", StateOf(token, now)},
                                 {"created_by", token.created_by()}};
  const auto put = [&](const char* key, bool is_set,
                       const google::protobuf::Timestamp& stamp) {
    if (!is_set) return;
    json[key] =
        absl::FormatTime(absl::RFC3339_sec, TimeOf(stamp), absl::UTCTimeZone());
  };
  put("created", token.has_created(), token.created());
  put("expires", token.has_expires(), token.expires());
  put("revoked", token.has_revoked(), token.revoked());
  put("last_used", token.has_last_used(), token.last_used());
  return json;
}

// As far as AdminNotice() looks at it.
TokenRecord RecordOf(const proto::TokenInfo& token) {
  TokenRecord record = {
      .name = token.name(),
      .role = RoleFromName(token.role()).value_or(Role::kViewer)};
  if (token.has_expires()) record.expires = TimeOf(token.expires());
  if (token.has_revoked()) record.revoked = TimeOf(token.revoked());
  return record;
}

absl::Status List(const TokenOptions& o, Console& console) {
  ASSIGN_OR_RETURN(
      const proto::ListTokensResponse response,
      o.server.Call(&proto::Tokens::Stub::List, proto::ListTokensRequest()));
  const absl::Time now = Clock::Real()->WallTime();
  nlohmann::ordered_json tokens = nlohmann::ordered_json::array();
  std::vector<TokenRecord> records;
  Table table({{"name"}, {"role"}, {"state"}, {"expires"}, {"last used"}});
  for (const proto::TokenInfo& token : response.tokens()) {
    tokens.push_back(ToJson(token, now));
    records.push_back(RecordOf(token));
    table.AddRow({token.name(), token.role(), StateOf(token, now),
                  Date(token.has_expires(), token.expires(), "never"),
                  Date(token.has_last_used(), token.last_used(), "never")});
  }
  if (o.json) {
    console.out << nlohmann::ordered_json{{"tokens", tokens}}.dump() << "\n";
  } else if (tokens.empty()) {
    console.out << "no tokens: nobody needs one\n";
  } else {
    console.out << table.ToString(console);
  }
  const std::string notice =
      AdminNotice(records, now, absl::InfiniteDuration());
  // Whoever comes by certificate is an admin without one.
  if (!notice.empty() && o.server.certificate.empty()) {
    console.err << notice << "\n";
  }
  return absl::OkStatus();
}

absl::Status Revoke(const TokenOptions& o) {
  proto::RevokeTokenRequest request;
  request.set_name(o.name);
  request.set_force(o.force);
  request.set_idempotency_key(NewIdempotencyKey());
  return o.server.Call(&proto::Tokens::Stub::Revoke, request).status();
}

}  // namespace

CommandBody DeclareTokenCreate(CLI::App& app) {
  auto o = std::make_shared<TokenOptions>();
  app.add_option("NAME", o->name, "the user's name")->required();
  app.add_option("--role", o->role,
                 "what the user may do: viewer, submitter "
                 "or admin")
      ->type_name("ROLE")
      ->required();
  app.add_option("--expires", o->expires,
                 "how long it is valid, such as 30d; by default for good")
      ->type_name("TIME");
  o->server.Declare(app);
  return [o](Console& console) { return Create(*o, console); };
}

CommandBody DeclareTokenList(CLI::App& app) {
  auto o = std::make_shared<TokenOptions>();
  o->server.Declare(app);
  app.add_flag("--json", o->json, "print one JSON object");
  return [o](Console& console) { return List(*o, console); };
}

CommandBody DeclareTokenRevoke(CLI::App& app) {
  auto o = std::make_shared<TokenOptions>();
  app.add_option("NAME", o->name, "the user's name")->required();
  o->server.Declare(app);
  app.add_flag("--force", o->force,
               "also the last one of an admin: then only caracald's own token "
               "command makes tokens");
  return [o](Console&) { return Revoke(*o); };
}

}  // namespace caracal
