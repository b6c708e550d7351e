// The handshake between processes.
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "core/base/status_matchers.h"
#include "dist/handshake/handshake.h"
#include "dist/mpi/testing/mpi_test_main.h"

namespace caracal {
namespace {

TEST(MpiHandshake, RanksOfOneProgramAgree) {
  ASSERT_OK_AND_ASSIGN(const auto group, TestRuntime().World("world"));
  ASSERT_OK_AND_ASSIGN(const std::vector<Fact> facts,
                       ProgramFacts(FileSystem::Posix()));
  EXPECT_OK(CompareFacts(*group, TestRuntime().host(), facts));
}

TEST(MpiHandshake, EveryRankIsToldTheSameDifference) {
  ASSERT_OK_AND_ASSIGN(const auto group, TestRuntime().World("world"));
  ASSERT_OK_AND_ASSIGN(std::vector<Fact> facts,
                       ProgramFacts(FileSystem::Posix()));
  facts.push_back({"seed", group->rank() == 1 ? "18" : "17"});
  const std::string& host = TestRuntime().host();
  EXPECT_THAT(
      CompareFacts(*group, host, facts),
      StatusIs(absl::StatusCode::kFailedPrecondition,
               absl::StrCat("the ranks differ in the seed: \"17\" on rank 0 (",
                            host, "), \"18\" on rank 1 (", host, ")")));
}

}  // namespace
}  // namespace caracal
