#include "jobs/coordinator/access/admin_notice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace caracal {
namespace {

using ::testing::HasSubstr;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

TokenRecord Admin(const std::string& name,
                  std::optional<absl::Time> expires = std::nullopt) {
  return {.name = name, .role = Role::kAdmin, .expires = expires};
}

TEST(AdminNotice, SaysNothingWhileAnAdminStays) {
  EXPECT_EQ(AdminNotice({}, kNow), "");
  EXPECT_EQ(
      AdminNotice({Admin("ann", kNow + absl::Hours(1)), Admin("bob")}, kNow),
      "");
  EXPECT_EQ(AdminNotice({Admin("ann", kNow + kAdminNoticeTime * 2)}, kNow), "");
  EXPECT_EQ(AdminNotice({Admin("ann")}, kNow, absl::InfiniteDuration()), "");
}

TEST(AdminNotice, TellsTheLastOneBeforeItExpires) {
  EXPECT_EQ(AdminNotice({Admin("ann", kNow + absl::Hours(1)),
                         Admin("bob", kNow + absl::Hours(2)),
                         {.name = "eve", .role = Role::kSubmitter}},
                        kNow),
            "the last token of an admin, bob's, expires at 2027-01-15 10:00 "
            "UTC: make another one before it does");
  EXPECT_THAT(AdminNotice({Admin("ann", kNow + kAdminNoticeTime * 2)}, kNow,
                          absl::InfiniteDuration()),
              HasSubstr("ann's, expires at 2027-01-29 08:00 UTC"));
}

TEST(AdminNotice, KnowsWhenNobodyWillBeLeft) {
  const absl::Time end = kNow + absl::Hours(2);
  EXPECT_EQ(LastAdminExpiry(
                {Admin("ann", kNow + absl::Hours(1)), Admin("bob", end)}, kNow),
            end);
  EXPECT_EQ(LastAdminExpiry({Admin("ann", end), Admin("bob")}, kNow),
            absl::InfiniteFuture());
  EXPECT_EQ(LastAdminExpiry({Admin("ann", end)}, end), absl::InfinitePast());
}

TEST(AdminNotice, TellsThatNobodyIsLeft) {
  TokenRecord revoked = Admin("ann");
  revoked.revoked = kNow - absl::Hours(1);
  EXPECT_THAT(AdminNotice({revoked,
                           Admin("bob", kNow - absl::Hours(1)),
                           {.name = "eve", .role = Role::kSubmitter}},
                          kNow),
              HasSubstr("no admin has a valid token"));
}

}  // namespace
}  // namespace caracal
