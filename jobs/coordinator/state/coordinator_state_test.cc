#include "jobs/coordinator/state/coordinator_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "core/base/file_system.h"
#include "core/base/status_matchers.h"

namespace caracal {
namespace {

using absl::StatusCode;
using ::testing::_;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CoordinatorStateTest : public ::testing::Test {
 protected:
  CoordinatorStateTest() { Restart({.slots = 4}); }

  void Restart(const CoordinatorLimits& limits) { state_.emplace(limits); }

  JobId Submit(JobRequest request = {}) {
    if (request.owner.empty()) request.owner = "ann";
    const auto id = state_->Submit(request, now_, Fresh());
    EXPECT_OK(id);
    return id.value_or(0);
  }
  // A job whose gang has registered.
  JobId Running(JobRequest request = {}) {
    const JobId id = Submit(std::move(request));
    EXPECT_OK(state_->Register(id, Job(id).epoch, now_, Fresh()));
    EXPECT_EQ(Job(id).state, JobState::kRunning);
    return id;
  }
  void End(JobId id, GangEnd end, const std::string& reason = "why") {
    state_->GangEnded(id, Job(id).epoch, end, reason, now_, Fresh());
  }
  void Pass(absl::Duration time) {
    now_ += time;
    state_->Tick(now_, Fresh());
  }

  const JobRecord& Job(JobId id) { return *state_->Find(id); }
  JobState StateOf(JobId id) { return Job(id).state; }
  std::vector<JobId> Ordered(GangOrderKind kind) {
    std::vector<JobId> out;
    for (const GangOrder& order : effects_.orders) {
      if (order.kind == kind) out.push_back(order.job);
    }
    return out;
  }
  Effects* Fresh() {
    state_->CheckInvariants();
    effects_ = Effects();
    return &effects_;
  }

  std::optional<CoordinatorState> state_;
  Effects effects_;
  absl::Time now_ = absl::FromUnixSeconds(1'000'000);
};

TEST_F(CoordinatorStateTest, AJobGoesThroughItsStates) {
  const JobId id = Submit({.name = "one", .slots = 2});
  EXPECT_EQ(StateOf(id), JobState::kLaunching);
  EXPECT_THAT(effects_.orders,
              ElementsAre(GangOrder{GangOrderKind::kStart, id, 1}));
  EXPECT_EQ(state_->counts().used_slots(), 2);
  ASSERT_OK(state_->Register(id, 1, now_, Fresh()));
  EXPECT_EQ(StateOf(id), JobState::kRunning);
  EXPECT_EQ(*state_->Heartbeat(id, 1, {"transfer", 5, 9}, now_, Fresh()), true);
  EXPECT_THAT(effects_.progressed, ElementsAre(id));
  EXPECT_THAT(effects_.saved, IsEmpty());
  EXPECT_EQ(Job(id).progress.global_step, 5);
  End(id, GangEnd::kDone);
  EXPECT_EQ(StateOf(id), JobState::kSucceeded);
  EXPECT_EQ(state_->counts().used_slots(), 0);
  // What comes late changes nothing.
  End(id, GangEnd::kFailed);
  EXPECT_EQ(StateOf(id), JobState::kSucceeded);
  EXPECT_THAT(state_->Heartbeat(id, 1, {}, now_, Fresh()),
              StatusIs(StatusCode::kAborted, _));
}

// One user's queue takes no other's room, and all of them have an end.
TEST_F(CoordinatorStateTest, TakesInAsManyJobsAsItMay) {
  Restart({.slots = 1, .most_waiting_of_user = 2, .most_unfinished = 5});
  const JobId first = Running({.idempotency_key = "k"});
  const JobId second = Submit();
  const JobId third = Submit();
  const auto submit = [&](const char* owner, const char* key = "") {
    return state_
        ->Submit({.owner = owner, .idempotency_key = key}, now_, Fresh())
        .status();
  };
  EXPECT_THAT(submit("ann"),
              StatusIs(StatusCode::kResourceExhausted,
                       HasSubstr("ann has 2 jobs that wait, and at most 2")));
  EXPECT_TRUE(effects_.empty());
  // One that is known is not one more.
  EXPECT_OK(submit("ann", "k"));
  EXPECT_OK(submit("bob"));
  EXPECT_OK(submit("bob"));
  EXPECT_THAT(submit("eve"),
              StatusIs(StatusCode::kResourceExhausted,
                       HasSubstr("together have 5 jobs that have not ended, "
                                 "and at most 5")));
  // What has ended and is resumed waits as well.
  ASSERT_OK(state_->Cancel(second, "ann", now_, Fresh()));
  EXPECT_OK(submit("ann"));
  EXPECT_THAT(state_->Resume(second, "", now_, Fresh()),
              StatusIs(StatusCode::kResourceExhausted, HasSubstr("ann has 2")));
  EXPECT_EQ(StateOf(second), JobState::kCancelled);
  End(first, GangEnd::kDone);
  EXPECT_EQ(StateOf(third), JobState::kLaunching);
  EXPECT_OK(state_->Resume(second, "", now_, Fresh()));
  state_->CheckInvariants();
}

TEST_F(CoordinatorStateTest, HostsAreToldOnceAGang) {
  const JobId id = Running();
  ASSERT_OK(state_->SetHosts(id, 1, {"a", "b"}, Fresh()));
  ASSERT_EQ(effects_.gangs.size(), 1);
  EXPECT_THAT(effects_.gangs[0].hosts, ElementsAre("a", "b"));
  EXPECT_THAT(effects_.saved, ElementsAre(id));
  // It registers again with every coordinator.
  ASSERT_OK(state_->SetHosts(id, 1, {"a", "b"}, Fresh()));
  EXPECT_TRUE(effects_.gangs.empty());
  EXPECT_THAT(state_->SetHosts(id, 2, {"a"}, Fresh()),
              StatusIs(StatusCode::kAborted, _));
  End(id, GangEnd::kLost);
  EXPECT_THAT(Job(id).hosts, ElementsAre("a", "b"));
  Pass(absl::Hours(1));
  EXPECT_EQ(Job(id).epoch, 2);
  EXPECT_THAT(Job(id).hosts, IsEmpty());
}

TEST_F(CoordinatorStateTest, WhatAGangHasLeftIsTakenOnce) {
  const auto lines = [this] {
    std::vector<std::string> out;
    for (const JobMetrics& m : effects_.metrics) out.push_back(m.line);
    return out;
  };
  const JobId id = Running();
  EXPECT_EQ(*state_->Report(id, 1, 1, {"1", "2"}, Fresh()), 2);
  // It is given up, and then found to have ended.
  Pass(absl::Minutes(1));
  ASSERT_TRUE(Job(id).given_up.has_value());
  EXPECT_THAT(state_->Report(id, 1, 3, {"3"}, Fresh()),
              StatusIs(StatusCode::kAborted, _));
  EXPECT_EQ(
      *state_->ReportLeft(id, 1, {"transfer", 4}, 2, {"2", "3", "4"}, Fresh()),
      4);
  EXPECT_EQ(Job(id).progress.stage, "transfer");
  EXPECT_EQ(Job(id).progress.global_step, 4);
  EXPECT_THAT(lines(), ElementsAre("3", "4"));
  EXPECT_THAT(effects_.saved, ElementsAre(id));
  // Of lines that are known nothing is news.
  EXPECT_EQ(*state_->ReportLeft(id, 1, {}, 3, {"3", "4"}, Fresh()), 4);
  EXPECT_THAT(lines(), IsEmpty());
  EXPECT_THAT(state_->ReportLeft(id, 2, {}, 1, {"1"}, Fresh()),
              StatusIs(StatusCode::kAborted, _));
  End(id, GangEnd::kLost);
  EXPECT_THAT(state_->ReportLeft(id, 1, {}, 5, {"5"}, Fresh()),
              StatusIs(StatusCode::kAborted, _));
  EXPECT_THAT(state_->ReportLeft(99, 1, {}, 5, {"5"}, Fresh()),
              StatusIs(StatusCode::kNotFound, _));
}

TEST_F(CoordinatorStateTest, JobsAreCountedByState) {
  const JobId running = Running({.slots = 4}), waiting = Submit();
  const auto count = [this](JobState state) {
    return state_->counts().by_state()[static_cast<int>(state)];
  };
  EXPECT_EQ(count(JobState::kRunning), 1);
  EXPECT_EQ(count(JobState::kQueued), 1);
  EXPECT_THAT(state_->counts().holders(), ElementsAre(running));
  End(running, GangEnd::kDone);
  EXPECT_EQ(count(JobState::kSucceeded), 1);
  EXPECT_EQ(count(JobState::kLaunching), 1);
  EXPECT_THAT(state_->counts().holders(), ElementsAre(waiting));
  ASSERT_OK(state_->Remove(running, Fresh()));
  EXPECT_EQ(count(JobState::kSucceeded), 0);
  std::vector<JobRecord> jobs = {Job(waiting)};
  Restart({.slots = 4});
  state_->Recover(std::move(jobs), 3, now_, Fresh());
  EXPECT_EQ(count(JobState::kLaunching), 1);
  EXPECT_THAT(state_->counts().holders(), ElementsAre(waiting));
  state_->CheckInvariants();
}

TEST_F(CoordinatorStateTest, HigherPriorityThenEarlierFirst) {
  const JobId running = Running({.slots = 4});
  const JobId low = Submit({.priority = -1, .slots = 1});
  const JobId first = Submit({.slots = 3}), second = Submit({.slots = 2});
  const JobId high = Submit({.priority = 5, .slots = 1});
  End(running, GangEnd::kDone);
  // `second` does not fit beside them, and `low` does not overtake it.
  EXPECT_THAT(Ordered(GangOrderKind::kStart), ElementsAre(high, first));
  ASSERT_OK(state_->SetPriority(low, 1, now_, Fresh()));
  EXPECT_THAT(Ordered(GangOrderKind::kStart), IsEmpty());
  End(high, GangEnd::kDone);
  EXPECT_THAT(Ordered(GangOrderKind::kStart), ElementsAre(low));
  End(first, GangEnd::kDone);
  EXPECT_THAT(Ordered(GangOrderKind::kStart), ElementsAre(second));
}

TEST_F(CoordinatorStateTest, ARequestThatCannotBeIsRefused) {
  const auto submit = [&](const JobRequest& request) {
    return state_->Submit(request, now_, Fresh()).status();
  };
  EXPECT_THAT(submit({.slots = 5}),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("has 4")));
  EXPECT_THAT(submit({.slots = 0}), StatusIs(StatusCode::kInvalidArgument, _));
  EXPECT_THAT(submit({.max_retries = -1}),
              StatusIs(StatusCode::kInvalidArgument, _));
  EXPECT_THAT(submit({.priority = int64_t{1} << 40}),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("priority")));
  EXPECT_THAT(submit({.after = {7}}),
              StatusIs(StatusCode::kNotFound, HasSubstr("no job 7")));
  const JobId failed = Running();
  End(failed, GangEnd::kFailed);
  EXPECT_THAT(submit({.after = {failed}}),
              StatusIs(StatusCode::kFailedPrecondition, HasSubstr("failed")));
  EXPECT_EQ(state_->jobs().size(), 1u);
}

TEST_F(CoordinatorStateTest, TheSameRequestTwiceIsOneJob) {
  const JobRequest request = {
      .name = "x", .owner = "ann", .idempotency_key = "k"};
  const JobId id = Submit(request);
  EXPECT_EQ(Submit(request), id);
  EXPECT_THAT(effects_.saved, IsEmpty());
  JobRequest other = request;
  other.name = "y";
  EXPECT_THAT(state_->Submit(other, now_, Fresh()),
              StatusIs(StatusCode::kAlreadyExists, _));
  other.owner = "bob";  // another one's keys are another one's
  EXPECT_NE(Submit(other), id);
}

TEST_F(CoordinatorStateTest, SaysWhatAJobWaitsFor) {
  const JobId a = Running({.slots = 3});
  EXPECT_EQ(state_->WaitsFor(a), "");
  const JobId b = Submit({.after = {a, a}});
  EXPECT_EQ(state_->WaitsFor(b), absl::StrCat("after ", a));
  const JobId c = Submit({.slots = 4}), d = Submit();
  EXPECT_EQ(state_->WaitsFor(c), "waits for 4 slots; 1 of 4 is free");
  EXPECT_EQ(state_->WaitsFor(d),
            absl::StrCat("its turn is after job ", c,
                         ", which waits for 4 slots; 1 of 4 is free"));
  // One that is no longer waited for is not named.
  End(a, GangEnd::kDone);
  EXPECT_EQ(StateOf(c), JobState::kQueued);
  EXPECT_EQ(state_->WaitsFor(b), "");
  EXPECT_EQ(StateOf(b), JobState::kLaunching);
  EXPECT_EQ(state_->WaitsFor(c), "waits for 4 slots; 3 of 4 are free");
  // A back-off is told by its time.
  End(b, GangEnd::kLost);
  EXPECT_EQ(StateOf(b), JobState::kRetrying);
  EXPECT_EQ(state_->WaitsFor(b), "");
}

TEST_F(CoordinatorStateTest, SaysThatAJobNeedsMoreSlotsThanThereAre) {
  const JobId a = Running({.slots = 4});
  const JobId b = Submit({.slots = 4});
  std::vector<JobRecord> jobs = {Job(a), Job(b)};
  Restart({.slots = 2});
  state_->Recover(std::move(jobs), b + 1, now_, Fresh());
  EXPECT_EQ(state_->WaitsFor(b),
            "needs 4 slots, but there are 2 (--slots of caracald)");
}

TEST_F(CoordinatorStateTest, OneThatIsCancellingIsToEndBeforeItIsRemoved) {
  const JobId id = Running();
  ASSERT_OK(state_->Cancel(id, "ann", now_, Fresh()));
  EXPECT_THAT(state_->Remove(id, Fresh()),
              StatusIs(StatusCode::kFailedPrecondition,
                       HasSubstr("can be removed when it has ended")));
}

TEST_F(CoordinatorStateTest, JobsComeAfterOthers) {
  const JobId a = Running(), b = Running();
  const JobId c = Submit({.after = {a, b}}), d = Submit({.after = {c}});
  EXPECT_EQ(StateOf(c), JobState::kQueued);
  EXPECT_THAT(state_->Remove(a, Fresh()),
              StatusIs(StatusCode::kFailedPrecondition, _));
  End(a, GangEnd::kDone);
  EXPECT_EQ(StateOf(c), JobState::kQueued);
  // One that has succeeded may go: it is not asked for again.
  ASSERT_OK(state_->Remove(a, Fresh()));
  // Asked again, for want of an answer.
  ASSERT_OK(state_->Remove(a, Fresh()));
  for (const JobId never : {JobId{0}, d + 1}) {
    EXPECT_THAT(state_->Remove(never, Fresh()),
                StatusIs(StatusCode::kNotFound, _));
  }
  End(b, GangEnd::kDone);
  EXPECT_EQ(StateOf(c), JobState::kLaunching);
  EXPECT_EQ(StateOf(d), JobState::kQueued);
  End(c, GangEnd::kFailed);
  EXPECT_EQ(StateOf(d), JobState::kFailed);
  EXPECT_THAT(Job(d).reason, HasSubstr("ended as failed"));
  EXPECT_THAT(state_->Resume(d, "", now_, Fresh()),
              StatusIs(StatusCode::kFailedPrecondition, _));
  ASSERT_OK(state_->Resume(c, "", now_, Fresh()));
  ASSERT_OK(state_->Resume(d, "", now_, Fresh()));
  EXPECT_EQ(StateOf(d), JobState::kQueued);
  End(c, GangEnd::kDone);
  EXPECT_EQ(StateOf(d), JobState::kLaunching);
}

TEST_F(CoordinatorStateTest, ALongChainFailsAtOnce) {
  const JobId first = Running();
  JobId last = first;
  for (int i = 0; i < 20000; ++i) {
    Effects effects;
    last = *state_->Submit({.owner = "ann", .after = {last}}, now_, &effects);
  }
  ASSERT_OK(state_->Cancel(first, "ann", now_, Fresh()));
  End(first, GangEnd::kStopped);
  EXPECT_EQ(StateOf(first), JobState::kCancelled);
  EXPECT_EQ(StateOf(last), JobState::kFailed);
}

TEST_F(CoordinatorStateTest, WhatMayPassIsTriedAgainLaterAndLater) {
  const JobId id = Running({.max_retries = 2});
  End(id, GangEnd::kLost, "node went down");
  EXPECT_EQ(StateOf(id), JobState::kRetrying);
  EXPECT_EQ(Job(id).reason, "node went down");
  EXPECT_EQ(state_->NextTick(), now_ + absl::Seconds(10));
  Pass(absl::Seconds(9));
  EXPECT_EQ(StateOf(id), JobState::kRetrying);
  Pass(absl::Seconds(1));
  EXPECT_EQ(StateOf(id), JobState::kLaunching);
  EXPECT_EQ(Job(id).epoch, 2u);
  End(id, GangEnd::kLost);
  EXPECT_EQ(state_->NextTick(), now_ + absl::Seconds(20));
  Pass(absl::Seconds(20));
  End(id, GangEnd::kLost);
  EXPECT_EQ(StateOf(id), JobState::kFailed);
  EXPECT_THAT(Job(id).reason, HasSubstr("after 2 retries"));
  // Somebody has mended it.
  ASSERT_OK(state_->Resume(id, "k", now_, Fresh()));
  EXPECT_EQ(StateOf(id), JobState::kLaunching);
  ASSERT_OK(state_->Resume(id, "k", now_, Fresh()));
  EXPECT_THAT(state_->Resume(id, "l", now_, Fresh()),
              StatusIs(StatusCode::kFailedPrecondition, _));
  EXPECT_EQ(Job(id).retries, 0);
}

TEST_F(CoordinatorStateTest, AStepBetweenForgivesRetries) {
  const JobId id = Running({.max_retries = 1});
  for (int64_t step = 1; step <= 5; ++step) {
    End(id, GangEnd::kLost);
    EXPECT_EQ(StateOf(id), JobState::kRetrying) << step;
    Pass(absl::Seconds(10));
    ASSERT_OK(state_->Heartbeat(id, Job(id).epoch, {"transfer", step, 9}, now_,
                                Fresh()));
  }
}

TEST_F(CoordinatorStateTest, AGangThatIsNotHeardOfIsEndedFirst) {
  const JobId id = Running();
  Pass(absl::Seconds(29));
  ASSERT_OK(state_->Heartbeat(id, 1, {}, now_, Fresh()));
  Pass(absl::Seconds(29));
  EXPECT_THAT(Ordered(GangOrderKind::kKill), IsEmpty());
  Pass(absl::Seconds(1));
  EXPECT_THAT(Ordered(GangOrderKind::kKill), ElementsAre(id));
  // It holds its slots, and may not come back.
  EXPECT_EQ(StateOf(id), JobState::kRunning);
  EXPECT_EQ(state_->counts().used_slots(), 1);
  EXPECT_THAT(state_->Heartbeat(id, 1, {}, now_, Fresh()),
              StatusIs(StatusCode::kAborted, _));
  Pass(absl::Seconds(30));
  EXPECT_THAT(Ordered(GangOrderKind::kKill), ElementsAre(id));
  End(id, GangEnd::kFailed, "killed");
  EXPECT_EQ(StateOf(id), JobState::kRetrying);
  EXPECT_EQ(Job(id).reason, "its gang was not heard of for 30s; killed");
}

TEST_F(CoordinatorStateTest, AGangThatFinishedUnheardIsDone) {
  const JobId id = Running();
  Pass(absl::Minutes(1));
  End(id, GangEnd::kDone);
  EXPECT_EQ(StateOf(id), JobState::kSucceeded);
}

TEST_F(CoordinatorStateTest, CancellingWaitsForTheGang) {
  const JobId id = Running();
  ASSERT_OK(state_->Cancel(id, "ann", now_, Fresh()));
  EXPECT_EQ(StateOf(id), JobState::kCancelling);
  EXPECT_THAT(Ordered(GangOrderKind::kStop), ElementsAre(id));
  EXPECT_EQ(*state_->Heartbeat(id, 1, {}, now_, Fresh()), false);
  ASSERT_OK(state_->Cancel(id, "bob", now_, Fresh()));
  EXPECT_THAT(effects_.orders, IsEmpty());
  Pass(absl::Minutes(3));
  EXPECT_THAT(Ordered(GangOrderKind::kKill), ElementsAre(id));
  End(id, GangEnd::kStopped);
  EXPECT_EQ(StateOf(id), JobState::kCancelled);
  EXPECT_EQ(Job(id).reason, "cancelled by ann");
  const JobId waiting = Submit({.after = {Running()}});
  ASSERT_OK(state_->Cancel(waiting, "ann", now_, Fresh()));
  EXPECT_EQ(StateOf(waiting), JobState::kCancelled);
}

TEST_F(CoordinatorStateTest, OneThatWasCancelledTellsThatItCouldNotSave) {
  for (const GangEnd end : {GangEnd::kLost, GangEnd::kFailed}) {
    const JobId id = Running();
    ASSERT_OK(state_->Cancel(id, "ann", now_, Fresh()));
    End(id, end, "the disk is full");
    EXPECT_EQ(StateOf(id), JobState::kCancelled);
    EXPECT_EQ(Job(id).reason,
              "cancelled by ann; its gang did not save: the disk is full");
    EXPECT_EQ(effects_.transitions.at(0).reason, Job(id).reason);
  }
  // It was given up before, and ended well all the same.
  const JobId id = Running();
  Pass(absl::Minutes(1));
  ASSERT_OK(state_->Cancel(id, "ann", now_, Fresh()));
  End(id, GangEnd::kStopped);
  EXPECT_EQ(Job(id).reason, "cancelled by ann");
}

// The same would happen to the next gang, unlike to one that failed as it was
// killed.
TEST_F(CoordinatorStateTest, OutOfMemoryIsFinalAlsoOfAGangThatWasGivenUp) {
  for (const bool given_up : {false, true}) {
    for (const GangEnd end : {GangEnd::kFailed, GangEnd::kOutOfMemory}) {
      const JobId id = Running();
      if (given_up) Pass(absl::Minutes(1));
      ASSERT_EQ(Job(id).given_up.has_value(), given_up);
      End(id, end, "it was out of memory");
      EXPECT_EQ(StateOf(id), given_up && end == GangEnd::kFailed
                                 ? JobState::kRetrying
                                 : JobState::kFailed);
      EXPECT_EQ(
          Job(id).reason,
          absl::StrCat(given_up ? "its gang was not heard of for 30s; " : "",
                       "it was out of memory"));
      ASSERT_OK(state_->Cancel(id, "ann", now_, Fresh()));
    }
  }
}

// Of one whose answer was lost, long after.
TEST_F(CoordinatorStateTest, AChangeThatComesAgainLateIsTheOneOfBefore) {
  const JobId id = Running();
  const auto cancel = [&](const char* key) {
    return state_->Cancel(id, "ann", now_, Fresh(), key);
  };
  const auto prioritise = [&](int64_t priority, const char* key) {
    return state_->SetPriority(id, priority, now_, Fresh(), key);
  };
  ASSERT_OK(cancel("a"));
  End(id, GangEnd::kStopped);
  ASSERT_OK(state_->Resume(id, "a", now_, Fresh()));
  ASSERT_OK(cancel("a"));
  EXPECT_TRUE(effects_.empty());
  EXPECT_EQ(StateOf(id), JobState::kLaunching);
  ASSERT_OK(prioritise(5, "p"));
  ASSERT_OK(prioritise(7, "q"));
  ASSERT_OK(prioritise(5, "p"));
  EXPECT_EQ(Job(id).request.priority, 7);
  // Not only the last one is known.
  ASSERT_OK(cancel("b"));
  End(id, GangEnd::kStopped);
  ASSERT_OK(state_->Resume(id, "a", now_, Fresh()));
  EXPECT_EQ(StateOf(id), JobState::kCancelled);
  // One that found nothing to do is remembered, too.
  ASSERT_OK(cancel("c"));
  EXPECT_THAT(effects_.saved, ElementsAre(id));
  ASSERT_OK(state_->Resume(id, "b", now_, Fresh()));
  ASSERT_OK(cancel("c"));
  EXPECT_EQ(StateOf(id), JobState::kLaunching);
  // There are only so many.
  for (int i = 0; i < 100; ++i) {
    ASSERT_OK(prioritise(i, std::to_string(i).c_str()));
  }
  EXPECT_EQ(Job(id).change_keys.size(), 16);
  // Without a key it is another one each time.
  ASSERT_OK(cancel(""));
  End(id, GangEnd::kStopped);
  ASSERT_OK(state_->Resume(id, "", now_, Fresh()));
  ASSERT_OK(cancel(""));
  EXPECT_EQ(StateOf(id), JobState::kCancelling);
}

TEST_F(CoordinatorStateTest, AGangThatOthersStopGoesOn) {
  const JobId id = Running({.max_retries = 0});
  End(id, GangEnd::kStopped);
  EXPECT_EQ(StateOf(id), JobState::kPreempted);
  Pass(absl::Seconds(10));
  EXPECT_EQ(StateOf(id), JobState::kLaunching);
}

TEST_F(CoordinatorStateTest, JobsAreForgottenInTime) {
  Restart({.slots = 4, .retention = absl::Hours(24)});
  const JobId a = Running();
  const JobId b = Submit({.after = {a}});
  End(a, GangEnd::kDone);
  Pass(absl::Hours(24));
  EXPECT_THAT(effects_.removed, ElementsAre(a));
  EXPECT_EQ(state_->Find(a), nullptr);
  EXPECT_NE(state_->Find(b), nullptr);
}

TEST_F(CoordinatorStateTest, AfterARestartGangsAreLookedFor) {
  const JobId running = Running(), launching = Submit();
  const JobId cancelling = Running();
  ASSERT_OK(state_->Cancel(cancelling, "ann", now_, Fresh()));
  const JobId retrying = Running();
  End(retrying, GangEnd::kLost);
  const JobId queued = Submit({.slots = 4});
  std::vector<JobRecord> records;
  for (const auto& [id, job] : state_->jobs()) records.push_back(job);
  Restart({.slots = 4});
  now_ += absl::Hours(1);
  state_->Recover(records, 6, now_, Fresh());
  EXPECT_THAT(Ordered(GangOrderKind::kFind),
              ElementsAre(running, launching, cancelling));
  EXPECT_THAT(Ordered(GangOrderKind::kStop), ElementsAre(cancelling));
  // The back-off is over, and a slot is free.
  EXPECT_THAT(Ordered(GangOrderKind::kStart), ElementsAre(retrying));
  EXPECT_EQ(StateOf(queued), JobState::kQueued);
  state_->GangFound(running, 1, now_, Fresh());
  EXPECT_THAT(effects_.orders, IsEmpty());
  state_->GangFound(running, 7, now_, Fresh());
  EXPECT_THAT(Ordered(GangOrderKind::kKill), ElementsAre(running));
  End(launching, GangEnd::kLost, "was never started");
  EXPECT_EQ(StateOf(launching), JobState::kRetrying);
  EXPECT_EQ(Submit({.name = "next"}), 6u);
}

TEST(JobStateTest, TheTableIsTheWholeTruth) {
  const std::string table = TransitionTable();
  for (int from = 0; from < kJobStates; ++from) {
    const JobState state = static_cast<JobState>(from);
    EXPECT_LE(Waits(state) + HoldsSlots(state) + IsFinal(state), 1);
    EXPECT_THAT(table, HasSubstr(NameOf(state)));
    for (int cause = 0; cause < kJobCauses; ++cause) {
      int ways = 0;
      for (int to = 0; to < kJobStates; ++to) {
        ways += MayGo(state, static_cast<JobState>(to),
                      static_cast<JobCause>(cause));
      }
      EXPECT_LE(ways, 1) << "one event, one result";
      if (state == JobState::kSucceeded) {
        EXPECT_EQ(ways, 0);
      }
    }
  }
}

TEST(JobStateTest, TheDocumentHasTheTable) {
  const auto text = FileSystem::Posix()->ReadFile("docs/service.md");
  ASSERT_OK(text);
  EXPECT_THAT(*text, HasSubstr("\n" + TransitionTable() + "\n"));
}

TEST_F(CoordinatorStateTest, AGangThatWaitsForItsClusterIsNotGivenUp) {
  const JobId id = Submit({.name = "one"});
  for (int i = 0; i < 10; ++i) {
    now_ += state_->limits().start_timeout - absl::Seconds(1);
    state_->Tick(now_, Fresh());
    state_->GangWaits(id, 1, "Resources", now_, Fresh());
    ASSERT_EQ(Job(id).state, JobState::kLaunching);
    EXPECT_EQ(Job(id).reason, "waits for the cluster: Resources");
    EXPECT_EQ(effects_.saved.size(), i == 0 ? 1 : 0);
  }
  // It begins, and is not heard of.
  state_->GangFound(id, 1, now_, Fresh());
  EXPECT_EQ(Job(id).reason, "");
  now_ += state_->limits().start_timeout;
  state_->Tick(now_, Fresh());
  EXPECT_THAT(Job(id).reason, HasSubstr("not heard of"));
  // What is told of it now changes nothing.
  state_->GangWaits(id, 1, "Resources", now_, Fresh());
  EXPECT_THAT(Job(id).reason, HasSubstr("not heard of"));
}

TEST_F(CoordinatorStateTest, NoGangIsGivenUpWhileItsClusterIsSilent) {
  const JobId waiting = Submit(), starting = Submit();
  const JobId running = Running();
  state_->GangWaits(waiting, 1, "Resources", now_, Fresh());
  const absl::Duration start = state_->limits().start_timeout;
  Pass(start - absl::Seconds(1));
  state_->SetClusterSilent(true, now_);
  // One that trains is heard of without the cluster.
  EXPECT_TRUE(Job(running).given_up.has_value());
  for (int i = 0; i < 5; ++i) {
    Pass(start + absl::Seconds(1));
    EXPECT_THAT(Ordered(GangOrderKind::kKill), ElementsAre(running));
  }
  // Submitted meanwhile.
  const JobId late = Submit();
  Pass(start + absl::Seconds(1));
  state_->SetClusterSilent(false, now_);
  Pass(start - absl::Seconds(1));
  for (const JobId id : {waiting, starting, late}) {
    EXPECT_FALSE(Job(id).given_up.has_value()) << id;
    EXPECT_EQ(Job(id).epoch, 1) << id;
  }
  EXPECT_EQ(Job(waiting).reason, "waits for the cluster: Resources");
  Pass(absl::Seconds(1));
  for (const JobId id : {waiting, starting, late}) {
    EXPECT_TRUE(Job(id).given_up.has_value()) << id;
  }
}

// Whoever was heard of while it was stopped is heard of once it goes on.
TEST_F(CoordinatorStateTest, NoGangIsGivenUpForATickThatComesLate) {
  const JobId running = Running(), launching = Submit();
  const auto pass = [this](absl::Duration time, absl::Duration late) {
    now_ += time;
    state_->Tick(now_, Fresh(), now_ - late);
  };
  pass(absl::Minutes(20), absl::Minutes(19));
  EXPECT_THAT(effects_.orders, IsEmpty());
  pass(absl::Seconds(29), absl::ZeroDuration());
  EXPECT_THAT(effects_.orders, IsEmpty());
  ASSERT_OK(state_->Heartbeat(running, 1, {}, now_, Fresh()));
  // A little late is no excuse.
  pass(absl::Seconds(30), absl::Seconds(2));
  EXPECT_THAT(Ordered(GangOrderKind::kKill), ElementsAre(running));
  EXPECT_FALSE(Job(launching).given_up.has_value());
  // Nor is one that was given up waited for again.
  pass(absl::Minutes(1), absl::Minutes(1));
  EXPECT_THAT(Ordered(GangOrderKind::kKill), ElementsAre(running));
  pass(absl::Minutes(10), absl::ZeroDuration());
  EXPECT_TRUE(Job(launching).given_up.has_value());
}

// One that saves has been stopped with it, for all that is known.
TEST_F(CoordinatorStateTest, NoGangThatSavesIsKilledForATickThatComesLate) {
  const JobId id = Running();
  ASSERT_OK(state_->Cancel(id, "ann", now_, Fresh()));
  now_ += absl::Hours(1);
  state_->Tick(now_, Fresh(), now_ - absl::Minutes(59));
  EXPECT_THAT(effects_.orders, IsEmpty());
  now_ += absl::Minutes(3);
  state_->Tick(now_, Fresh(), now_);
  EXPECT_THAT(Ordered(GangOrderKind::kKill), ElementsAre(id));
}

TEST_F(CoordinatorStateTest, CurriculaAreDirectedAndTuned) {
  const JobId id = Submit(
      {.name = "one",
       .spec = "#\nstages { finetune { steps: 9 curriculum { drop { constant: "
               "0.5 } } } }"});
  ASSERT_OK_AND_ASSIGN(CurriculumWindow window,
                       state_->Direct(id, 1, {.step = 2}, Fresh()));
  ASSERT_EQ(window.directives.size(), 7);
  EXPECT_EQ(window.directives[0].drop_probability, 0.5);
  EXPECT_EQ(effects_.decisions.size(), 1);
  // Asked again, its answer having been lost: no other decision.
  ASSERT_OK(state_->Direct(id, 1, {.step = 2}, Fresh()));
  EXPECT_TRUE(effects_.decisions.empty());
  const Tuning tuning = {.drop_probability = 0.25, .by = "ann"};
  for (int i = 0; i < 2; ++i) ASSERT_OK(state_->Tune(id, tuning, "k", Fresh()));
  EXPECT_TRUE(effects_.tuned.empty());
  EXPECT_EQ(Job(id).tunings, 1);
  ASSERT_OK_AND_ASSIGN(window, state_->Direct(id, 1, {.step = 2}, Fresh()));
  EXPECT_EQ(window.directives[0].drop_probability, 0.25);
  EXPECT_EQ(effects_.decisions.size(), 1);
  ASSERT_OK(state_->Tune(id, {}, "", Fresh()));
  EXPECT_EQ(effects_.tuned.size(), 1);
  ASSERT_OK_AND_ASSIGN(window, state_->Direct(id, 1, {.step = 3}, Fresh()));
  EXPECT_EQ(window.directives[0].drop_probability, 0.5);
  EXPECT_THAT(state_->Tune(id, {.window = 8}, "", Fresh()),
              StatusIs(StatusCode::kFailedPrecondition, _));
  EXPECT_THAT(state_->Direct(id, 2, {}, Fresh()),
              StatusIs(StatusCode::kAborted, _));
  EXPECT_THAT(state_->Direct(id, 1, {.stage = 1}, Fresh()),
              StatusIs(StatusCode::kInvalidArgument, _));
  state_->GangEnded(id, 1, GangEnd::kDone, "", now_, Fresh());
  EXPECT_THAT(state_->Tune(id, tuning, "new", Fresh()),
              StatusIs(StatusCode::kFailedPrecondition, HasSubstr("tune")));
  EXPECT_THAT(state_->Tune(99, tuning, "", Fresh()),
              StatusIs(StatusCode::kNotFound, _));
}

}  // namespace
}  // namespace caracal
