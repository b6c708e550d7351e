#include "jobs/coordinator/service/token_command.h"

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "jobs/coordinator/access/access.h"
#include "jobs/coordinator/access/admin_notice.h"
#include "jobs/coordinator/access/lifetime.h"
#include "jobs/coordinator/rpc/tokens_service.h"
#include "jobs/coordinator/service/data_folder.h"
#include "jobs/coordinator/store/job_store.h"
#include "jobs/coordinator/store/token_table.h"

namespace caracal {

void TokenCommand::Declare(CLI::App& app) {
  token_ = app.add_subcommand(
      "token", "tokens while no caracald runs on the data folder");
  token_->require_subcommand(1);
  create_ = token_->add_subcommand("create", "print a new token");
  create_->add_option("NAME", name_, "the user's name")->required();
  create_->add_option("--role", role_, "what the user may do")
      ->type_name("ROLE")
      ->required();
  create_
      ->add_option("--expires", expires_,
                   "how long it is valid, such as 30d; by default for good")
      ->type_name("TIME");
  token_->add_subcommand("list", "show whose tokens there are");
  revoke_ = token_->add_subcommand("revoke", "make a user's token worthless");
  revoke_->add_option("NAME", name_, "the user's name")->required();
}

absl::Status TokenCommand::Run(const std::string& data_folder,
                               std::ostream& out, std::ostream& err) const {
  // A name with a slip in it must not look like a coordinator without tokens.
  const bool fresh =
      !FileSystem::Posix()->Exists(JoinPath(data_folder, "coordinator.sqlite"));
  if (fresh && !create_->parsed()) {
    return absl::NotFoundError(
        absl::StrCat(data_folder,
                     ": there is no coordinator.sqlite: --data "
                     "names the folder of a caracald"));
  }
  ASSIGN_OR_RETURN(const DataFolder folder, DataFolder::Open(data_folder));
  ASSIGN_OR_RETURN(const auto store, JobStore::Open(folder.path()));
  if (fresh) {
    err << "caracald: " << folder.path() << " had no database: one is made\n";
  }
  Database& database = store->database();
  ASSIGN_OR_RETURN(std::vector<TokenRecord> records, LoadTokens(database));
  TokenBook book(std::move(records));
  const absl::Time now = Clock::Real()->WallTime();
  if (revoke_->parsed()) {
    // Whoever is here can make another one.
    RETURN_IF_ERROR(
        RevokeTokenOf({.name = name_, .force = true}, now, &book, database));
    const std::string notice = AdminNotice(book.All(), now);
    if (!notice.empty()) err << "caracald: " << notice << "\n";
    return absl::OkStatus();
  }
  if (!create_->parsed()) {
    if (book.All().empty()) err << "caracald: no tokens\n";
    for (const TokenRecord& record : book.All()) {
      out << record.name << " " << NameOf(record.role);
      if (record.revoked.has_value()) {
        out << " revoked";
      } else if (record.expires.has_value()) {
        out << (record.IsValid(now) ? " expires " : " expired ")
            << FormatExpiry(*record.expires);
      }
      out << "\n";
    }
    const std::string notice =
        AdminNotice(book.All(), now, absl::InfiniteDuration());
    if (!notice.empty()) err << "caracald: " << notice << "\n";
    return absl::OkStatus();
  }
  const std::optional<Role> role = RoleFromName(role_);
  if (!role.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--role: expected one of ", kRoleNames));
  }
  TokenRecord record = {
      .name = name_, .role = *role, .created = now, .created_by = kLocalUser};
  if (!expires_.empty()) {
    ASSIGN_OR_RETURN(const absl::Duration lifetime, ParseLifetime(expires_));
    record.expires = now + lifetime;
  }
  ASSIGN_OR_RETURN(const std::string token,
                   CreateToken(record, &book, database));
  out << token << "\n";
  return absl::OkStatus();
}

}  // namespace caracal
