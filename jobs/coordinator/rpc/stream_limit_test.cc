#include "jobs/coordinator/rpc/stream_limit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "core/base/status_matchers.h"

namespace caracal {
namespace {

using absl::StatusCode;
using ::testing::HasSubstr;

TEST(StreamLimit, OneUserLeavesSomeToTheOthers) {
  StreamLimit limit("Logs", 4);
  const auto one = limit.Enter("ann");
  auto two = limit.Enter("ann");
  EXPECT_OK(one);
  EXPECT_OK(two);
  EXPECT_THAT(limit.Enter("ann").status(),
              StatusIs(StatusCode::kResourceExhausted,
                       HasSubstr("ann has 2 streams of Logs open")));
  const auto three = limit.Enter("bob");
  const auto four = limit.Enter("eve");
  EXPECT_OK(four);
  EXPECT_THAT(limit.Enter("bob").status(),
              StatusIs(StatusCode::kResourceExhausted,
                       HasSubstr("at most 4 of all users")));
  // Open until nobody holds it any more.
  std::optional<StreamLimit::Place> copy = *two;
  two = absl::UnknownError("");
  EXPECT_FALSE(limit.Enter("bob").ok());
  copy.reset();
  EXPECT_OK(limit.Enter("bob"));
  EXPECT_OK(limit.Enter("ann"));
}

TEST(StreamLimit, OneStreamIsForAnybody) {
  StreamLimit limit("Watch", 1);
  const auto one = limit.Enter("ann");
  EXPECT_OK(one);
  EXPECT_FALSE(limit.Enter("bob").ok());
}

}  // namespace
}  // namespace caracal
