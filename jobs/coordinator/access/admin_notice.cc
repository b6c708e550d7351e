#include "jobs/coordinator/access/admin_notice.h"

#include "absl/strings/str_cat.h"

namespace caracal {

std::string AdminNotice(const std::vector<TokenRecord>& tokens,
                        absl::Time now) {
  if (tokens.empty()) return "";
  const TokenRecord* last = nullptr;
  const auto end = [](const TokenRecord& token) {
    return token.expires.value_or(absl::InfiniteFuture());
  };
  for (const TokenRecord& token : tokens) {
    if (token.role != Role::kAdmin || !token.IsValid(now)) continue;
    if (last == nullptr || end(token) > end(*last)) last = &token;
  }
  if (last == nullptr) {
    return "no admin has a valid token: nobody can make or revoke tokens. "
           "`caracald --data DIR token create NAME --role admin` makes one "
           "while no caracald runs";
  }
  if (end(*last) - now > kAdminNoticeTime) return "";
  return absl::StrCat("the last token of an admin, ", last->name,
                      "'s, expires at ",
                      absl::FormatTime("%Y-%m-%d %H:%M UTC", *last->expires,
                                       absl::UTCTimeZone()),
                      ": make another one before it does");
}

}  // namespace caracal
