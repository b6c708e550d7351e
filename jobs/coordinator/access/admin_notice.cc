#include "jobs/coordinator/access/admin_notice.h"

#include "absl/strings/str_cat.h"

namespace caracal {
namespace {

absl::Time ExpiryOf(const TokenRecord& token) {
  return token.expires.value_or(absl::InfiniteFuture());
}

// Of those that are valid the one that is so longest; null: none is.
const TokenRecord* LastAdmin(const std::vector<TokenRecord>& tokens,
                             absl::Time now) {
  const TokenRecord* last = nullptr;
  for (const TokenRecord& token : tokens) {
    if (token.role != Role::kAdmin || !token.IsValid(now)) continue;
    if (last == nullptr || ExpiryOf(token) > ExpiryOf(*last)) last = &token;
  }
  return last;
}

}  // namespace

absl::Time LastAdminExpiry(const std::vector<TokenRecord>& tokens,
                           absl::Time now) {
  const TokenRecord* last = LastAdmin(tokens, now);
  return last == nullptr ? absl::InfinitePast() : ExpiryOf(*last);
}

std::string AdminNotice(const std::vector<TokenRecord>& tokens, absl::Time now,
                        absl::Duration ahead) {
  if (tokens.empty()) return "";
  const TokenRecord* last = LastAdmin(tokens, now);
  if (last == nullptr) {
    return "no admin has a valid token: nobody can make or revoke tokens. "
           "`caracald --data DIR token create NAME --role admin` makes one "
           "while no caracald runs";
  }
  if (!last->expires.has_value() || *last->expires - now > ahead) return "";
  return absl::StrCat("the last token of an admin, ", last->name,
                      "'s, expires at ", FormatExpiry(*last->expires),
                      ": make another one before it does");
}

std::string FormatExpiry(absl::Time expires) {
  return absl::FormatTime("%Y-%m-%d %H:%M UTC", expires, absl::UTCTimeZone());
}

}  // namespace caracal
