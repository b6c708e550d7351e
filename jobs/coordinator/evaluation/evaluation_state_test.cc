#include "jobs/coordinator/evaluation/evaluation_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/status_matchers.h"

namespace caracal {
namespace {

using absl::StatusCode;
using testing::HasSubstr;

class EvaluationStateTest : public testing::Test {
 protected:
  EvaluationId Create(const std::string& owner = "ann",
                      const std::string& key = "") {
    auto id = state_.Create({owner, "spec", key}, now_, &changes_);
    EXPECT_OK(id);
    return id.value_or(0);
  }
  std::optional<PartLease> Lease(const WorkerInfo& worker = {"w", "1"}) {
    auto lease = state_.Lease(worker, now_, &changes_);
    state_.CheckInvariants();
    return lease;
  }
  // One that is planned, with so many parts beside the plan.
  EvaluationId Planned(int64_t parts, const std::string& owner = "ann") {
    const EvaluationId id = Create(owner);
    const auto lease = Lease({"w", "1", owner, id});
    EXPECT_EQ(lease, (PartLease{id, 0, 1}));
    EXPECT_OK(state_.CompletePlan(*lease, parts, "1", now_, &changes_));
    return id;
  }
  void Wait(absl::Duration d) {
    now_ += d;
    state_.Tick(now_, &changes_);
    state_.CheckInvariants();
  }
  EvaluationPhase PhaseOf(EvaluationId id) { return state_.Find(id)->phase; }

  EvaluationLimits limits_ = {.lease = absl::Seconds(10),
                              .most_tries = 3,
                              .most_parts = 100,
                              .most_active = 4,
                              .retention = absl::Hours(1)};
  EvaluationState state_{limits_};
  absl::Time now_ = absl::UnixEpoch();
  EvaluationChanges changes_;
};

TEST_F(EvaluationStateTest, IsPlannedThenMeasured) {
  const EvaluationId id = Create();
  EXPECT_EQ(PhaseOf(id), EvaluationPhase::kPlanning);
  const auto plan = Lease();
  ASSERT_EQ(plan, (PartLease{id, 0, 1}));
  EXPECT_FALSE(Lease().has_value());
  EXPECT_THAT(state_.Complete(*plan, now_, &changes_),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("plan")));
  for (const int64_t parts : {0, 101}) {
    EXPECT_THAT(state_.CompletePlan(*plan, parts, "1", now_, &changes_),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr("1 to 100")));
  }
  ASSERT_OK_AND_ASSIGN(bool is_new,
                       state_.CompletePlan(*plan, 2, "1", now_, &changes_));
  EXPECT_TRUE(is_new);
  EXPECT_EQ(PhaseOf(id), EvaluationPhase::kMeasuring);
  const auto one = Lease(), two = Lease();
  ASSERT_EQ(one, (PartLease{id, 1, 1}));
  ASSERT_EQ(two, (PartLease{id, 2, 1}));
  EXPECT_OK(state_.Complete(*two, now_, &changes_));
  EXPECT_EQ(PhaseOf(id), EvaluationPhase::kMeasuring);
  ASSERT_OK_AND_ASSIGN(is_new, state_.Complete(*one, now_, &changes_));
  EXPECT_TRUE(is_new);
  EXPECT_EQ(PhaseOf(id), EvaluationPhase::kSucceeded);
  // The answer was lost, and it is sent again.
  ASSERT_OK_AND_ASSIGN(is_new, state_.Complete(*one, now_, &changes_));
  EXPECT_FALSE(is_new);
  state_.CheckInvariants();
}

TEST_F(EvaluationStateTest, ALeaseThatRanOutIsRefused) {
  const EvaluationId id = Planned(1);
  const auto late = Lease();
  Wait(absl::Seconds(9));
  EXPECT_OK(state_.Renew(*late, now_));
  Wait(absl::Seconds(9));
  EXPECT_FALSE(Lease().has_value());
  Wait(absl::Seconds(1));
  const auto next = Lease();
  ASSERT_EQ(next, (PartLease{id, 1, 2}));
  EXPECT_TRUE(absl::IsAborted(state_.Renew(*late, now_)));
  EXPECT_TRUE(
      absl::IsAborted(state_.Complete(*late, now_, &changes_).status()));
  EXPECT_TRUE(
      absl::IsAborted(state_.Fail(*late, true, false, "", now_, &changes_)));
  EXPECT_OK(state_.Complete(*next, now_, &changes_));
  EXPECT_TRUE(
      absl::IsAborted(state_.Complete(*late, now_, &changes_).status()));
  EXPECT_TRUE(absl::IsNotFound(state_.Renew({id, 7, 1}, now_)));
  EXPECT_TRUE(absl::IsNotFound(state_.Renew({id + 1, 0, 1}, now_)));
}

// Workers that were not heard because nobody listened keep their leases, for
// one more period.
TEST_F(EvaluationStateTest, NoLeaseRunsOutForATickThatComesLate) {
  const EvaluationId id = Planned(1);
  const auto lease = Lease();
  const auto pass = [this](absl::Duration time, absl::Duration late) {
    now_ += time;
    state_.Tick(now_, &changes_, now_ - late);
    state_.CheckInvariants();
  };
  pass(absl::Hours(2), absl::Hours(2) - absl::Seconds(1));
  pass(absl::Seconds(9), absl::ZeroDuration());
  EXPECT_FALSE(Lease().has_value());
  EXPECT_OK(state_.Renew(*lease, now_));
  // A little late is no excuse.
  pass(absl::Seconds(10), absl::Seconds(2));
  EXPECT_EQ(Lease(), (PartLease{id, 1, 2}));
  EXPECT_TRUE(absl::IsAborted(state_.Renew(*lease, now_)));
}

TEST_F(EvaluationStateTest, AfterSomeTriesItFails) {
  const EvaluationId id = Planned(1);
  for (int i = 0; i < 5; ++i) {
    EXPECT_OK(state_.Fail(*Lease(), false, true, "", now_, &changes_));
  }
  EXPECT_OK(state_.Fail(*Lease(), false, false, "no memory", now_, &changes_));
  Lease({"host7", "1"});
  Wait(absl::Seconds(10));
  EXPECT_EQ(PhaseOf(id), EvaluationPhase::kMeasuring);
  EXPECT_OK(state_.Fail(*Lease(), false, false, "no memory", now_, &changes_));
  EXPECT_EQ(PhaseOf(id), EvaluationPhase::kFailed);
  EXPECT_THAT(state_.Find(id)->reason, HasSubstr("3 times"));
  EXPECT_THAT(state_.Find(id)->reason, HasSubstr("no memory"));

  const EvaluationId other = Create();
  EXPECT_OK(state_.Fail(*Lease(), true, false, "no model", now_, &changes_));
  EXPECT_EQ(PhaseOf(other), EvaluationPhase::kFailed);
  EXPECT_EQ(state_.Find(other)->reason, "no model");
}

TEST_F(EvaluationStateTest, CancelEndsItsLeases) {
  const EvaluationId id = Planned(2);
  const auto lease = Lease();
  EXPECT_OK(state_.Cancel(id, "bob", now_, &changes_));
  EXPECT_TRUE(absl::IsAborted(state_.Renew(*lease, now_)));
  EXPECT_FALSE(Lease().has_value());
  EXPECT_EQ(state_.Find(id)->reason, "cancelled by bob");
  EXPECT_OK(state_.Cancel(id, "cy", now_, &changes_));
  EXPECT_EQ(state_.Find(id)->reason, "cancelled by bob");
  EXPECT_TRUE(absl::IsNotFound(state_.Cancel(9, "bob", now_, &changes_)));
}

TEST_F(EvaluationStateTest, AWorkerGetsWhatItMay) {
  const EvaluationId ann = Planned(2, "ann"), bob = Planned(2, "bob");
  EXPECT_EQ(Lease({"w", "1", "bob"})->evaluation, bob);
  EXPECT_FALSE(Lease({"w", "1", "cy"}).has_value());
  // Another program may not measure what this one has planned.
  EXPECT_FALSE(Lease({"w", "2"}).has_value());
  EXPECT_EQ(Lease({"w", "1", "", bob})->evaluation, bob);
  // Nothing is left of what it prefers.
  EXPECT_EQ(Lease({"w", "1", "", bob})->evaluation, ann);
}

TEST_F(EvaluationStateTest, AKeyIsOneEvaluation) {
  const EvaluationId id = Create("ann", "k");
  EXPECT_EQ(Create("ann", "k"), id);
  EXPECT_NE(Create("bob", "k"), id);
  EXPECT_THAT(state_.Create({"ann", "other", "k"}, now_, &changes_),
              StatusIs(StatusCode::kAlreadyExists, HasSubstr("another")));
}

TEST_F(EvaluationStateTest, OwnersHaveALimit) {
  EvaluationId id = 0;
  for (int i = 0; i < 4; ++i) id = Create();
  EXPECT_THAT(state_.Create({"ann", "spec", ""}, now_, &changes_),
              StatusIs(StatusCode::kResourceExhausted, HasSubstr("4")));
  Create("bob");
  EXPECT_OK(state_.Cancel(id, "ann", now_, &changes_));
  Create();
}

TEST_F(EvaluationStateTest, IsForgottenWhenItIsOld) {
  const EvaluationId id = Create("ann", "k");
  EXPECT_OK(state_.Cancel(id, "ann", now_, &changes_));
  Wait(absl::Minutes(59));
  EXPECT_NE(state_.Find(id), nullptr);
  changes_ = {};
  Wait(absl::Minutes(1));
  EXPECT_EQ(state_.Find(id), nullptr);
  EXPECT_EQ(changes_.removed, std::set<EvaluationId>{id});
  EXPECT_NE(Create("ann", "k"), id);
}

TEST_F(EvaluationStateTest, GoesOnAfterARestart) {
  const EvaluationId id = Planned(3);
  const auto one = Lease(), two = Lease();
  EXPECT_OK(state_.Complete(*one, now_, &changes_));
  EvaluationState next(limits_);
  next.Recover({*state_.Find(id)}, state_.next_id(), now_ + absl::Seconds(20));
  next.CheckInvariants();
  now_ += absl::Seconds(29);
  EXPECT_OK(next.Renew(*two, now_));
  EXPECT_EQ(next.Lease({"w", "1"}, now_, &changes_), (PartLease{id, 3, 1}));
  ASSERT_OK_AND_ASSIGN(const bool is_new, next.Complete(*one, now_, &changes_));
  EXPECT_FALSE(is_new);
  EXPECT_OK(next.Complete(*two, now_, &changes_));
}

}  // namespace
}  // namespace caracal
