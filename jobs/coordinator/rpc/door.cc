#include "jobs/coordinator/rpc/door.h"

#include <grpc/grpc_security_constants.h>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "jobs/coordinator/rpc/stream_mark.h"
#include "kernels/common/check.h"

namespace caracal {
namespace {

Credentials CredentialsOf(const grpc::CallbackServerContext& context) {
  Credentials out;
  const auto& metadata = context.client_metadata();
  // Of several, none: which one was meant nobody knows.
  if (metadata.count("authorization") == 1) {
    const grpc::string_ref value = metadata.find("authorization")->second;
    out.token = BearerToken({value.data(), value.size()});
  }
  // Null for calls within this process.
  if (const auto auth = context.auth_context(); auth != nullptr) {
    const auto property = [&](const char* name) {
      const auto values = auth->FindPropertyValues(name);
      return values.size() == 1
                 ? std::string(values[0].data(), values[0].size())
                 : "";
    };
    out.certificate = {property(GRPC_X509_CN_PROPERTY_NAME),
                       property(GRPC_X509_PEM_CERT_PROPERTY_NAME),
                       property(GRPC_X509_PEM_CERT_CHAIN_PROPERTY_NAME)};
  }
  return out;
}

// "ipv4:10.0.0.7" of "ipv4:10.0.0.7:51234".
std::string HostOfPeer(const std::string& peer) {
  return peer.substr(0, peer.rfind(':'));
}

}  // namespace

void Visit::End(const absl::Status& outcome, uint64_t job,
                const std::string& subject) const {
  if (audit_ == nullptr) return;
  if (!rule_->changes && !absl::IsPermissionDenied(outcome)) return;
  audit_->Write({.caller = caller_.name,
                 .role = NameOf(caller_.role),
                 .peer = peer_,
                 .method = rule_->method,
                 .job = job,
                 .subject = subject,
                 .outcome = outcome});
}

absl::StatusOr<Visit> Door::Enter(grpc::CallbackServerContext* context,
                                  const char* method) {
  const MethodRule* const rule = FindMethodRule(method);
  CARACAL_CHECK(rule != nullptr && rule->needed.has_value()) << method;
  const std::string peer = context->peer();
  const Credentials credentials = CredentialsOf(*context);
  const absl::StatusOr<Caller> who = access_->Authenticate(credentials);
  AuditRecord record = {.peer = peer, .method = method};
  // Those whom nobody knows share what their machine may ask.
  absl::Status status = CheckRate(
      context, who.ok() ? absl::StrCat("user ", who->name) : HostOfPeer(peer));
  if (who.ok()) {
    record.caller = who->name;
    record.role = NameOf(who->role);
  }
  if (status.ok()) {
    status = who.ok() ? CheckRole(*who, *rule->needed) : who.status();
  }
  if (status.ok()) return Visit(audit_, rule, *who, peer);
  record.outcome = status;
  LogRefusal(record);
  return status;
}

absl::Status Door::EnterGang(grpc::CallbackServerContext* context,
                             const char* method, const std::string& gang,
                             uint64_t job, const absl::Status& shown) {
  CARACAL_CHECK(FindMethodRule(method) != nullptr) << method;
  const std::string peer = context->peer();
  absl::Status status = CheckRate(
      context, shown.ok() ? absl::StrCat("gang ", gang) : HostOfPeer(peer));
  if (status.ok()) status = shown;
  if (!status.ok()) {
    LogRefusal({.caller = shown.ok() ? absl::StrCat("gang ", gang) : "",
                .peer = peer,
                .method = method,
                .job = job,
                .outcome = status});
  }
  return status;
}

absl::Status Door::CheckRate(grpc::CallbackServerContext* context,
                             const std::string& who) {
  const absl::Duration wait = rate_->Take(who);
  if (wait <= absl::ZeroDuration()) return absl::OkStatus();
  context->AddTrailingMetadata(kRetryPushback,
                               absl::StrCat(absl::ToInt64Milliseconds(
                                   absl::Ceil(wait, absl::Milliseconds(1)))));
  return absl::ResourceExhaustedError(absl::StrCat(
      "too many calls: try again in ",
      absl::FormatDuration(absl::Ceil(wait, absl::Milliseconds(1)))));
}

void Door::LogRefusal(const AuditRecord& record) {
  if (audit_ != nullptr) audit_->Write(record);
}

}  // namespace caracal
