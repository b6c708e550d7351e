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
}

TEST(AdminNotice, TellsTheLastOneBeforeItExpires) {
  EXPECT_EQ(AdminNotice({Admin("ann", kNow + absl::Hours(1)),
                         Admin("bob", kNow + absl::Hours(2)),
                         {.name = "eve", .role = Role::kSubmitter}},
                        kNow),
            "the last token of an admin, bob's, expires at 2027-01-15 10:00 "
            "UTC: make another one before it does");
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
