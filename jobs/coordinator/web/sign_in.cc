#include "jobs/coordinator/web/sign_in.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"
#include "core/io/json.h"
#include "jobs/coordinator/web/guard.h"

namespace caracal {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kLongestBody = 4 << 10;
// All come from this machine: those whom nobody knows are one.
constexpr double kAttemptsPerSecond = 2;
constexpr char kStrangers[] = "strangers";

WebAnswer Told(bool required, const Caller* caller) {
  Json json = {{"required", required}, {"user", nullptr}};
  if (caller != nullptr) {
    json["user"] = {{"name", caller->name}, {"role", NameOf(caller->role)}};
  }
  WebAnswer answer;
  answer.body = json.dump();
  return answer;
}

absl::StatusOr<std::string> TokenIn(const WebRequest& request) {
  ASSIGN_OR_RETURN(const nlohmann::json body,
                   ParseBoundedJson(request.body, kLongestBody));
  if (!body.is_object()) {
    return absl::InvalidArgumentError("the request is no JSON object");
  }
  std::string token;
  RETURN_IF_ERROR(JsonFields(body).Require("token"));
  RETURN_IF_ERROR(JsonFields(body).Get("token", &token));
  return std::string(absl::StripAsciiWhitespace(token));
}

}  // namespace

std::string SessionCookie(int port) {
  return absl::StrCat("caracal_session_", port);
}

SignIn::SignIn(Access* access, AuditLog* audit, Clock* clock,
               std::string cookie)
    : access_(access),
      audit_(audit),
      cookie_(std::move(cookie)),
      attempts_(kAttemptsPerSecond, clock) {}

WebAnswer SignIn::Handle(const WebRequest& request) {
  const bool post = request.method == "POST";
  if (post && request.path == "/api/session") return Begin(request);
  if (post && request.path == "/api/session/end") return End(request);
  if (!post && request.path == "/api/session") return Who(request);
  return Refusal(absl::NotFoundError(
      absl::StrCat("there is no ", request.method, " ", request.path)));
}

WebAnswer SignIn::Who(const WebRequest& request) const {
  const auto caller = Authorize(request, *access_, Role::kViewer);
  return Told(!access_->IsOpen(), caller.ok() ? &*caller : nullptr);
}

WebAnswer SignIn::Begin(const WebRequest& request) {
  const absl::StatusOr<SignedIn> signed_in = [&]() -> absl::StatusOr<SignedIn> {
    const absl::StatusOr<std::string> token = TokenIn(request);
    const absl::StatusOr<Caller> who =
        token.ok() ? access_->Authenticate({.token = *token}) : token.status();
    // Whoever shows what is none keeps nobody else out.
    if (attempts_.Take(who.ok() ? absl::StrCat("user ", who->name)
                                : kStrangers) > absl::ZeroDuration()) {
      return absl::ResourceExhaustedError(
          "too many attempts to sign in: try again in a moment");
    }
    // What can't be read may be a token, and is not told.
    if (!token.ok()) {
      return absl::InvalidArgumentError("expected {\"token\": \"...\"}");
    }
    return access_->SignIn(*token);
  }();
  if (!signed_in.ok()) {
    Log("Page.SignIn", nullptr, signed_in.status());
    return Refusal(signed_in.status());
  }
  // The one that was there is of no more use.
  access_->SignOut(request.session);
  Log("Page.SignIn", &signed_in->caller, absl::OkStatus());
  WebAnswer answer = Told(true, &signed_in->caller);
  answer.headers.push_back(
      {"Set-Cookie", Cookie(request, signed_in->session, kSessionLifetime)});
  return answer;
}

WebAnswer SignIn::End(const WebRequest& request) {
  const auto caller = Authorize(request, *access_, Role::kViewer);
  if (!request.session.empty() && caller.ok()) {
    Log("Page.SignOut", &*caller, absl::OkStatus());
  }
  access_->SignOut(request.session);
  WebAnswer answer = Told(!access_->IsOpen(), nullptr);
  answer.headers.push_back(
      {"Set-Cookie", Cookie(request, "", absl::ZeroDuration())});
  return answer;
}

void SignIn::Log(const char* method, const Caller* caller,
                 const absl::Status& outcome) const {
  if (audit_ == nullptr) return;
  audit_->Write({.caller = caller != nullptr ? caller->name : "",
                 .role = caller != nullptr ? NameOf(caller->role) : "",
                 .peer = "page",
                 .method = method,
                 .outcome = outcome});
}

std::string SignIn::Cookie(const WebRequest& request, const std::string& value,
                           absl::Duration lifetime) const {
  // Behind a proxy that speaks TLS: browsers say so with every change.
  const bool tls = absl::StartsWith(request.Header("origin"), "https://");
  return absl::StrCat(cookie_, "=", value,
                      "; Path=/; HttpOnly; SameSite=Strict; Max-Age=",
                      absl::ToInt64Seconds(lifetime), tls ? "; Secure" : "");
}

}  // namespace caracal
