#include "jobs/evaluator/patient_call.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <vector>

#include "core/base/status_matchers.h"

namespace caracal {
namespace {

using ::testing::_;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(CallPatiently, GoesThroughOnceTheCoordinatorIsBack) {
  int calls = 0;
  std::vector<std::string> told;
  EXPECT_OK(CallPatiently(
      {.refused = absl::InfiniteDuration(),
       .tell = [&](const std::string& line) { told.push_back(line); }},
      [&] {
        switch (++calls) {
          case 1:
            return absl::UnavailableError("away");
          case 2:
            return absl::ResourceExhaustedError("too many calls");
          default:
            return absl::OkStatus();
        }
      }));
  EXPECT_EQ(calls, 3);
  EXPECT_THAT(told,
              ElementsAre("away; trying again", "the coordinator is back"));
}

TEST(CallPatiently, IsNotTriedAgainWhenItNeverPasses) {
  for (const absl::Status& answer :
       {absl::InvalidArgumentError("no"), absl::AbortedError("late"),
        absl::DataLossError("gone"),
        absl::ResourceExhaustedError(
            "SERVER: Received message larger than max (5 vs. 4)")}) {
    int calls = 0;
    EXPECT_EQ(CallPatiently({},
                            [&] {
                              ++calls;
                              return answer;
                            }),
              answer);
    EXPECT_EQ(calls, 1);
  }
}

// Whatever is answered: a part that was cancelled holds nobody.
TEST(CallPatiently, EndsWhenThePartIsLostOrTheWorkerStops) {
  for (const bool stops : {false, true}) {
    std::atomic<bool> stop{false}, lost{false};
    int calls = 0;
    const absl::Status status =
        CallPatiently({.stop = &stop, .lost = &lost}, [&] {
          if (++calls == 3) (stops ? stop : lost) = true;
          return absl::InternalError("broken");
        });
    EXPECT_THAT(status, StatusIs(stops ? absl::StatusCode::kCancelled
                                       : absl::StatusCode::kAborted,
                                 _));
    EXPECT_EQ(calls, 3);
  }
}

TEST(CallPatiently, HasPatienceOfEitherKind) {
  const PatientCallOptions refused = {.refused = absl::ZeroDuration()};
  EXPECT_THAT(
      CallPatiently(refused, [] { return absl::InternalError("broken"); }),
      StatusIs(absl::StatusCode::kInternal, HasSubstr("broken")));
  const PatientCallOptions away = {.away = absl::ZeroDuration()};
  EXPECT_THAT(
      CallPatiently(away, [] { return absl::UnavailableError("away"); }),
      StatusIs(absl::StatusCode::kUnavailable, HasSubstr("away")));
}

}  // namespace
}  // namespace caracal
