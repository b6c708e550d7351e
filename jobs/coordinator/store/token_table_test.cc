#include "jobs/coordinator/store/token_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "jobs/coordinator/store/job_store.h"

namespace caracal {
namespace {

using ::testing::ElementsAre;

TEST(TokenTable, KeepsAllOfARecordOverReopening) {
  TemporaryFolder folder;
  const absl::Time now = absl::FromUnixSeconds(1'800'000'000);
  TokenRecord ann = {.name = "ann",
                     .role = Role::kAdmin,
                     .hash = HashOfToken("a"),
                     .created = now,
                     .created_by = "local",
                     .key = "k"};
  TokenRecord bob = ann;
  bob.name = "bob";
  bob.role = Role::kViewer;
  bob.hash = HashOfToken("b");
  bob.expires = now + absl::Hours(24);
  {
    const auto store = JobStore::Open(folder.path());
    ASSERT_OK(store.status());
    Database& database = (*store)->database();
    ASSERT_OK(InsertToken(database, &ann));
    ASSERT_OK(InsertToken(database, &bob));
    EXPECT_NE(ann.id, bob.id);
    TokenRecord twice = ann;
    EXPECT_FALSE(InsertToken(database, &twice).ok());
    bob.revoked = now + absl::Seconds(1);
    ann.used = now + absl::Seconds(2);
    bob.revoke_key = "r";
    ASSERT_OK(RevokeToken(database, bob.id, *bob.revoked, bob.revoke_key));
    ASSERT_OK(TokenWasUsed(database, ann.id, *ann.used));
    ann.hash = HashOfToken("c");
    ASSERT_OK(ReplaceToken(database, ann.id, ann.hash));
  }
  const auto store = JobStore::Open(folder.path());
  ASSERT_OK(store.status());
  const auto tokens = LoadTokens((*store)->database());
  ASSERT_OK(tokens.status());
  EXPECT_THAT(*tokens, ElementsAre(ann, bob));
}

}  // namespace
}  // namespace caracal
