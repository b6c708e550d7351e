// Whether somebody can still manage tokens, and for how long.
#ifndef CARACAL_JOBS_COORDINATOR_ACCESS_ADMIN_NOTICE_H_
#define CARACAL_JOBS_COORDINATOR_ACCESS_ADMIN_NOTICE_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "jobs/coordinator/access/token.h"

namespace caracal {

// The last token of an admin is spoken of so long before it expires, wherever
// nobody has asked.
inline constexpr absl::Duration kAdminNoticeTime = absl::Hours(7 * 24);

// When no admin has a valid token any more: InfinitePast where that is so
// already, InfiniteFuture where one is for good.
absl::Time LastAdminExpiry(const std::vector<TokenRecord>& tokens,
                           absl::Time now);

// What people should know: no admin has a valid token any more, or the last one
// to be valid expires within `ahead`. "": neither, or there never was a token.
std::string AdminNotice(const std::vector<TokenRecord>& tokens, absl::Time now,
                        absl::Duration ahead = kAdminNoticeTime);

// "2027-01-15 10:00 UTC", as tokens' times are told where nobody's time zone is
// known.
std::string FormatExpiry(absl::Time expires);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_ACCESS_ADMIN_NOTICE_H_
