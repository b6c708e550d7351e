#include "jobs/coordinator/store/token_table.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace caracal {
namespace {

std::optional<int64_t> Micros(const std::optional<absl::Time>& time) {
  if (!time.has_value()) return std::nullopt;
  return absl::ToUnixMicros(*time);
}

std::optional<absl::Time> TimeOf(const std::optional<int64_t>& micros) {
  if (!micros.has_value()) return std::nullopt;
  return absl::FromUnixMicros(*micros);
}

}  // namespace

absl::StatusOr<std::vector<TokenRecord>> LoadTokens(Database& database) {
  ASSIGN_OR_RETURN(
      Statement rows,
      database.Prepare("SELECT id, name, role, hash, created, created_by, "
                       "expires, revoked, used, idempotency_key, revoke_key "
                       "FROM tokens ORDER BY id"));
  std::vector<TokenRecord> out;
  while (true) {
    ASSIGN_OR_RETURN(const bool more, rows.Step());
    if (!more) return out;
    const std::optional<Role> role = RoleFromName(rows.Text(2));
    if (!role.has_value()) {
      return absl::DataLossError(absl::StrCat(database.path(), ": token ",
                                              rows.Integer(0),
                                              " has a role that there is not"));
    }
    out.push_back({.id = rows.Integer(0),
                   .name = rows.Text(1),
                   .role = *role,
                   .hash = rows.Text(3),
                   .created = absl::FromUnixMicros(rows.Integer(4)),
                   .created_by = rows.Text(5),
                   .expires = TimeOf(rows.OptionalInteger(6)),
                   .revoked = TimeOf(rows.OptionalInteger(7)),
                   .used = TimeOf(rows.OptionalInteger(8)),
                   .key = rows.Text(9),
                   .revoke_key = rows.Text(10)});
  }
}

absl::Status InsertToken(Database& database, TokenRecord* record) {
  ASSIGN_OR_RETURN(
      Statement insert,
      database.Prepare(
          "INSERT INTO tokens (name, role, hash, created, created_by, expires, "
          "idempotency_key) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) RETURNING id"));
  insert.Bind(1, record->name)
      .Bind(2, NameOf(record->role))
      .Bind(3, record->hash)
      .Bind(4, absl::ToUnixMicros(record->created))
      .Bind(5, record->created_by)
      .Bind(6, Micros(record->expires))
      .Bind(7, record->key);
  ASSIGN_OR_RETURN(const bool row, insert.Step());
  if (!row) return absl::InternalError("tokens: no id came back");
  record->id = insert.Integer(0);
  // The transaction ends with the statement.
  return insert.Step().status();
}

absl::Status ReplaceToken(Database& database, int64_t id,
                          const std::string& hash) {
  ASSIGN_OR_RETURN(
      Statement statement,
      database.Prepare("UPDATE tokens SET hash = ?1 WHERE id = ?2"));
  return statement.Bind(1, hash).Bind(2, id).Run();
}

absl::Status RevokeToken(Database& database, int64_t id, absl::Time when,
                         const std::string& key) {
  ASSIGN_OR_RETURN(
      Statement statement,
      database.Prepare(
          "UPDATE tokens SET revoked = ?1, revoke_key = ?2 WHERE id = ?3"));
  return statement.Bind(1, absl::ToUnixMicros(when))
      .Bind(2, key)
      .Bind(3, id)
      .Run();
}

absl::Status TokenWasUsed(Database& database, int64_t id, absl::Time when) {
  ASSIGN_OR_RETURN(
      Statement statement,
      database.Prepare("UPDATE tokens SET used = ?1 WHERE id = ?2"));
  return statement.Bind(1, absl::ToUnixMicros(when)).Bind(2, id).Run();
}

}  // namespace caracal
