#include "jobs/coordinator/access/access.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"

namespace caracal {

std::string BearerToken(absl::string_view authorization) {
  constexpr absl::string_view kScheme = "bearer ";
  if (!absl::StartsWithIgnoreCase(authorization, kScheme)) return "";
  return std::string(
      absl::StripAsciiWhitespace(authorization.substr(kScheme.size())));
}

absl::StatusOr<CertificateRoles> ParseCertificateRoles(absl::string_view text) {
  CertificateRoles roles;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = line.substr(0, line.find('#'));
    const std::vector<std::string> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
    if (words.empty()) continue;
    const auto refuse = [&](absl::string_view why) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", number, ": ", why));
    };
    if (words.size() != 2 || !IsUserName(words[0])) {
      return refuse("expected the name of a user and a role");
    }
    const std::optional<Role> role = RoleFromName(words[1]);
    if (!role.has_value()) {
      return refuse(absl::StrCat("expected one of ", kRoleNames));
    }
    if (!roles.emplace(words[0], *role).second) {
      return refuse(absl::StrCat(words[0], " has a role already"));
    }
  }
  return roles;
}

bool Access::HasAdminByCertificate() const {
  return options_.client_ca != nullptr &&
         std::any_of(options_.certificate_roles.begin(),
                     options_.certificate_roles.end(), [](const auto& named) {
                       return named.second == Role::kAdmin;
                     });
}

absl::StatusOr<Caller> Access::Authenticate(
    const Credentials& credentials) const {
  if (IsOpen()) return Caller{};
  const ClientCertificate& certificate = credentials.certificate;
  if (!certificate.pem.empty()) {
    if (options_.client_ca == nullptr) {
      return absl::UnauthenticatedError("certificates let nobody in here");
    }
    RETURN_IF_ERROR(options_.client_ca->Check(certificate, clock_->WallTime()));
  }
  if (!credentials.token.empty()) {
    ASSIGN_OR_RETURN(const TokenRecord record,
                     tokens_->Find(credentials.token, clock_->WallTime()));
    return Caller{record.name, record.role};
  }
  if (!credentials.session.empty()) {
    const std::optional<int64_t> token =
        sessions_.TokenOf(credentials.session, clock_->Now());
    if (!token.has_value()) {
      return absl::UnauthenticatedError("the session is over: sign in again");
    }
    ASSIGN_OR_RETURN(const TokenRecord record,
                     tokens_->FindById(*token, clock_->WallTime()));
    return Caller{record.name, record.role};
  }
  if (!certificate.pem.empty()) {
    const auto found = options_.certificate_roles.find(certificate.name);
    if (found == options_.certificate_roles.end()) {
      return absl::PermissionDeniedError(
          "the certificate's common name has no role here: caracald's "
          "--certificate-roles gives them");
    }
    return Caller{found->first, found->second};
  }
  return absl::UnauthenticatedError(absl::StrCat(
      "a token is needed: --token-file, CARACAL_TOKEN or "
      "~/.config/caracal/token",
      options_.client_ca == nullptr
          ? ""
          : "; or a certificate: --certificate and --certificate-key"));
}

absl::StatusOr<Caller> Access::Authorize(const Credentials& credentials,
                                         Role needed) const {
  ASSIGN_OR_RETURN(Caller caller, Authenticate(credentials));
  RETURN_IF_ERROR(CheckRole(caller, needed));
  return caller;
}

absl::StatusOr<SignedIn> Access::SignIn(const std::string& token) {
  if (IsOpen()) {
    return absl::FailedPreconditionError("nobody has to sign in here");
  }
  ASSIGN_OR_RETURN(const TokenRecord record,
                   tokens_->Find(token, clock_->WallTime()));
  return SignedIn{{record.name, record.role},
                  sessions_.Begin(record.id, clock_->Now())};
}

absl::Status CheckRole(const Caller& caller, Role needed) {
  if (caller.role >= needed) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat(caller.name, " is ", NameOf(caller.role),
                   "; this needs the role ", NameOf(needed)));
}

absl::Status CheckOwner(const Caller& caller, absl::string_view owner) {
  if (caller.role == Role::kAdmin || caller.name == owner) {
    return absl::OkStatus();
  }
  return absl::PermissionDeniedError(
      absl::StrCat("the job is ", owner, "'s; ", caller.name,
                   " may change only jobs of their own, and admins all"));
}

}  // namespace caracal
