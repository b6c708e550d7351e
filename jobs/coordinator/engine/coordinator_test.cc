#include "jobs/coordinator/engine/coordinator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "core/base/fake_clock.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "jobs/coordinator/store/schema.h"

namespace caracal {
namespace {

using absl::StatusCode;
using ::testing::_;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Keeps what came out.
class Recorder : public CoordinatorOutput {
 public:
  void Order(const GangOrder& order, const JobRecord& job) override {
    const std::lock_guard lock(mutex_);
    orders_.push_back(order);
    EXPECT_EQ(job.id, order.job);
  }
  void Happened(const std::vector<StoredEvent>& events) override {
    const std::lock_guard lock(mutex_);
    events_.insert(events_.end(), events.begin(), events.end());
  }
  std::vector<GangOrder> TakeOrders() {
    const std::lock_guard lock(mutex_);
    return std::exchange(orders_, {});
  }
  std::vector<StoredEvent> events() {
    const std::lock_guard lock(mutex_);
    return events_;
  }

 private:
  std::mutex mutex_;
  std::vector<GangOrder> orders_;
  std::vector<StoredEvent> events_;
};

class CoordinatorTest : public ::testing::Test {
 protected:
  CoordinatorTest() { Restart(); }

  void Restart() {
    coordinator_.reset();
    store_ = nullptr;
    auto store = JobStore::Open(folder_.path());
    CARACAL_CHECK_OK(store.status());
    store_ = *std::move(store);
    coordinator_.emplace(limits_, store_.get(), &clock_, &output_,
                         absl::Milliseconds(1));
    CARACAL_CHECK_OK(coordinator_->Load());
    coordinator_->Recover();
    Wait();
  }
  // Until all that was asked is durable and told.
  void Wait() {
    AwaitHealth(true);  // Reads don't wait for a store that fails.
    std::promise<void> done;
    coordinator_->Events(0, 0, 0, [&](const auto&) { done.set_value(); });
    done.get_future().wait();
  }
  template <typename T, typename F>
  T Ask(F ask) {
    std::promise<T> answer;
    ask([&](T got) { answer.set_value(std::move(got)); });
    return answer.get_future().get();
  }
  absl::StatusOr<JobId> Submit(JobRequest request) {
    request.owner = "ann";
    return Ask<absl::StatusOr<JobId>>(
        [&](auto reply) { coordinator_->Submit(request, reply); });
  }
  absl::Status Cancel(JobId id) {
    return Ask<absl::Status>(
        [&](auto reply) { coordinator_->Cancel(id, "ann", reply); });
  }
  absl::StatusOr<GangAnswer> Report(JobId id, uint64_t epoch,
                                    const GangReport& report) {
    return Ask<absl::StatusOr<GangAnswer>>(
        [&](auto reply) { coordinator_->Heartbeat(id, epoch, report, reply); });
  }
  absl::StatusOr<bool> Heartbeat(JobId id, uint64_t epoch, int64_t step) {
    const absl::StatusOr<GangAnswer> answer =
        Report(id, epoch, {.progress = {"transfer", step, 10}});
    if (!answer.ok()) return answer.status();
    return answer->go_on;
  }

  // Until MendStore() nothing can be written, but what was written is read.
  void FailStore() {
    auto other = Database::Open(folder_.File("coordinator.sqlite"),
                                CoordinatorMigrations());
    CARACAL_CHECK_OK(other.status());
    CARACAL_CHECK_OK((*other)->Execute(
        "CREATE TRIGGER full BEFORE INSERT ON jobs BEGIN SELECT "
        "RAISE(ABORT, 'the disk is full'); END"));
    CARACAL_CHECK_OK((*other)->Execute(
        "CREATE TRIGGER fuller BEFORE DELETE ON jobs BEGIN SELECT "
        "RAISE(ABORT, 'the disk is full'); END"));
  }
  void MendStore() {
    auto other = Database::Open(folder_.File("coordinator.sqlite"),
                                CoordinatorMigrations());
    CARACAL_CHECK_OK(other.status());
    CARACAL_CHECK_OK((*other)->Execute("DROP TRIGGER full"));
    CARACAL_CHECK_OK((*other)->Execute("DROP TRIGGER fuller"));
  }
  void AwaitHealth(bool good) {
    while (coordinator_->Health().ok() != good) {
      absl::SleepFor(absl::Milliseconds(1));
    }
  }

  TemporaryFolder folder_;
  FakeClock clock_;
  Recorder output_;
  CoordinatorLimits limits_ = {.slots = 2};
  std::unique_ptr<JobStore> store_;
  std::optional<Coordinator> coordinator_;
};

TEST_F(CoordinatorTest, ADatabaseTellsWhetherItHadGangs) {
  const auto had_gangs = [this] {
    coordinator_.emplace(limits_, store_.get(), &clock_, &output_);
    CARACAL_CHECK_OK(coordinator_->Load());
    const bool had = coordinator_->had_gangs();
    coordinator_->Recover();
    return had;
  };
  coordinator_.reset();
  EXPECT_FALSE(had_gangs());
  const absl::StatusOr<JobId> id = Submit({.name = "a"});
  ASSERT_OK(id.status());
  Wait();
  EXPECT_TRUE(had_gangs());
  ASSERT_OK(Cancel(*id));
  coordinator_->GangEnded(*id, 1, GangEnd::kStopped, "");
  ASSERT_OK(
      Ask<absl::Status>([&](auto reply) { coordinator_->Remove(*id, reply); }));
  EXPECT_TRUE(had_gangs());
}

TEST_F(CoordinatorTest, MetricsAreStoredOnceAndInOrder) {
  ASSERT_OK_AND_ASSIGN(const JobId id, Submit({.name = "one"}));
  ASSERT_OK_AND_ASSIGN(
      GangAnswer answer,
      Report(id, 1, {.first = 1, .lines = {"{\"step\": 1}", "{\"step\": 2}"}}));
  EXPECT_EQ(answer.lines, 2);
  // The answer was lost: the gang sends them again, and one more.
  ASSERT_OK_AND_ASSIGN(
      answer,
      Report(id, 1, {.first = 2, .lines = {"{\"step\": 2}", "{\"step\": 3}"}}));
  EXPECT_EQ(answer.lines, 3);
  EXPECT_THAT(Report(id, 1, {.first = 0, .lines = {"{}"}}),
              StatusIs(StatusCode::kInvalidArgument, _));
  const auto events = Ask<absl::StatusOr<std::vector<StoredEvent>>>(
      [&](auto reply) { coordinator_->Events(id, 0, 10, reply); });
  ASSERT_OK(events.status());
  std::vector<std::string> lines;
  for (const StoredEvent& event : *events) {
    if (event.kind == "metrics") lines.push_back(event.data);
  }
  EXPECT_THAT(lines,
              ElementsAre("{\"step\": 1}", "{\"step\": 2}", "{\"step\": 3}"));
  // Another gang counts from 1 again.
  coordinator_->GangEnded(id, 1, GangEnd::kLost, "");
  clock_.Advance(absl::Hours(1));
  coordinator_->Tick();
  ASSERT_OK_AND_ASSIGN(answer, Report(id, 2, {}));
  EXPECT_EQ(answer.lines, 0);
}

TEST_F(CoordinatorTest, OrdersGoOutAndComeBack) {
  ASSERT_OK_AND_ASSIGN(const JobId id, Submit({.name = "one"}));
  EXPECT_THAT(output_.TakeOrders(),
              ElementsAre(GangOrder{GangOrderKind::kStart, id, 1}));
  EXPECT_TRUE(*Heartbeat(id, 1, 3));
  EXPECT_EQ(coordinator_->Get(id)->state, JobState::kRunning);
  EXPECT_EQ(coordinator_->Get(id)->progress.global_step, 3);
  EXPECT_THAT(Heartbeat(id, 2, 3).status(), StatusIs(StatusCode::kAborted, _));
  coordinator_->GangEnded(id, 1, GangEnd::kDone, "");
  Wait();
  EXPECT_EQ(coordinator_->Get(id)->state, JobState::kSucceeded);
  const auto events = output_.events();
  ASSERT_THAT(events, SizeIs(4));
  for (size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i].sequence, i + 1);
    EXPECT_EQ(events[i].job, id);
  }
  EXPECT_EQ(events[3].data,
            R"({"state":"SUCCEEDED","because":"its gang is done"})");
  EXPECT_EQ(*Ask<absl::StatusOr<std::vector<StoredEvent>>>(
                [&](auto reply) { coordinator_->Events(id, 2, 10, reply); }),
            std::vector<StoredEvent>(events.begin() + 2, events.end()));
}

TEST_F(CoordinatorTest, WhatWasAnsweredSurvives) {
  ASSERT_OK_AND_ASSIGN(const JobId running,
                       Submit({.slots = 2, .idempotency_key = "k"}));
  ASSERT_OK_AND_ASSIGN(const JobId waiting,
                       Submit({.name = "n", .after = {running}}));
  ASSERT_OK_AND_ASSIGN(const JobId gone, Submit({}));
  ASSERT_OK(Cancel(gone));
  EXPECT_TRUE(*Heartbeat(running, 1, 1));
  output_.TakeOrders();
  const uint64_t last = output_.events().back().sequence;
  Restart();
  EXPECT_THAT(output_.TakeOrders(),
              ElementsAre(GangOrder{GangOrderKind::kFind, running, 1}));
  EXPECT_EQ(coordinator_->Get(running)->state, JobState::kRunning);
  EXPECT_EQ(coordinator_->Get(waiting)->request.name, "n");
  EXPECT_EQ(coordinator_->Get(gone)->state, JobState::kCancelled);
  // Numbers go on, and keys are known.
  ASSERT_OK_AND_ASSIGN(const JobId next, Submit({}));
  EXPECT_EQ(next, gone + 1);
  EXPECT_EQ(*Submit({.slots = 2, .idempotency_key = "k"}), running);
  coordinator_->GangEnded(running, 1, GangEnd::kDone, "");
  Wait();
  EXPECT_EQ(output_.events().back().job, next);
  EXPECT_GT(output_.events().back().sequence, last);
  EXPECT_EQ(coordinator_->Get(waiting)->state, JobState::kLaunching);
}

TEST_F(CoordinatorTest, NumbersOfRemovedJobsAreNotGivenAgain) {
  ASSERT_OK_AND_ASSIGN(const JobId first, Submit({.name = "one"}));
  ASSERT_OK_AND_ASSIGN(const JobId second, Submit({.name = "two", .slots = 2}));
  ASSERT_OK(Cancel(second));
  ASSERT_OK(Ask<absl::Status>(
      [&](auto reply) { coordinator_->Remove(second, reply); }));
  Restart();
  EXPECT_TRUE(coordinator_->Get(first).has_value());
  EXPECT_TRUE(coordinator_->IsForgotten(second));
  EXPECT_EQ(*Submit({.name = "three"}), second + 1);
  // Nor is that of one that is there.
  Restart();
  EXPECT_EQ(*Submit({.name = "four"}), second + 2);
}

// So no restart takes back what somebody has seen.
TEST_F(CoordinatorTest, WhatIsNotDurableIsNotSeen) {
  ASSERT_OK_AND_ASSIGN(const JobId id, Submit({.name = "one"}));
  EXPECT_TRUE(*Heartbeat(id, 1, 1));
  const auto count = [this](JobState state) {
    return coordinator_->Stats().jobs[static_cast<int>(state)];
  };
  const uint64_t events = coordinator_->Stats().events;
  FailStore();
  std::promise<absl::Status> cancelled;
  coordinator_->Cancel(
      id, "ann", [&](absl::Status status) { cancelled.set_value(status); });
  coordinator_->GangEnded(id, 1, GangEnd::kStopped, "");
  AwaitHealth(false);
  EXPECT_EQ(coordinator_->Get(id)->state, JobState::kRunning);
  EXPECT_EQ(coordinator_->List({}, 0, 10).jobs.at(0).state, JobState::kRunning);
  EXPECT_EQ(coordinator_->Stats().used_slots, 1);
  EXPECT_EQ(coordinator_->Stats().events, events);
  EXPECT_EQ(count(JobState::kCancelled), 0);
  EXPECT_THAT(coordinator_->Stats().gangs, SizeIs(1));
  EXPECT_THAT(coordinator_->EndedBefore(absl::InfiniteFuture(), 0, 9),
              IsEmpty());
  // Nobody is left waiting.
  EXPECT_THAT(
      cancelled.get_future().get(),
      StatusIs(StatusCode::kUnavailable, AllOf(HasSubstr("may come about"),
                                               HasSubstr("the disk is full"))));
  MendStore();
  Wait();
  EXPECT_EQ(coordinator_->Get(id)->state, JobState::kCancelled);
  EXPECT_EQ(coordinator_->Stats().used_slots, 0);
  EXPECT_EQ(coordinator_->Stats().events, events + 2);
  EXPECT_EQ(count(JobState::kCancelled), 1);
  EXPECT_THAT(coordinator_->EndedBefore(absl::InfiniteFuture(), 0, 9),
              ElementsAre(id));
  // One that goes is seen until it is gone for good.
  FailStore();
  coordinator_->Remove(id, [](const absl::Status&) {});
  AwaitHealth(false);
  EXPECT_TRUE(coordinator_->Get(id).has_value());
  EXPECT_FALSE(coordinator_->IsForgotten(id));
  MendStore();
  Wait();
  EXPECT_FALSE(coordinator_->Get(id).has_value());
  EXPECT_TRUE(coordinator_->IsForgotten(id));
}

TEST_F(CoordinatorTest, ChangesAreRefusedWhileTheStoreFails) {
  ASSERT_OK_AND_ASSIGN(const JobId id, Submit({.name = "one"}));
  FailStore();
  coordinator_->SetPriority(id, 1, [](const absl::Status&) {});
  AwaitHealth(false);
  const auto change = [&](auto ask) { return Ask<absl::Status>(ask); };
  const auto refused = StatusIs(StatusCode::kUnavailable,
                                HasSubstr("changes can't be stored now"));
  EXPECT_THAT(Submit({.name = "two"}), refused);
  EXPECT_THAT(Cancel(id), refused);
  EXPECT_THAT(change([&](auto r) { coordinator_->Resume(id, "", r); }),
              refused);
  EXPECT_THAT(change([&](auto r) { coordinator_->Remove(id, r); }), refused);
  EXPECT_THAT(change([&](auto r) { coordinator_->SetPriority(id, 2, r); }),
              refused);
  EXPECT_THAT(change([&](auto r) { coordinator_->Tune(id, {}, "", r); }),
              refused);
  MendStore();
  AwaitHealth(true);
  Wait();
  EXPECT_EQ(coordinator_->Get(id)->request.priority, 1);
  EXPECT_OK(Cancel(id));
  EXPECT_EQ(coordinator_->List({}, 0, 10).jobs.size(), 1);
}

// Nor does a gang act upon it, or drop lines that are not stored.
TEST_F(CoordinatorTest, AGangIsToldWhatIsDurable) {
  ASSERT_OK_AND_ASSIGN(const JobId id, Submit({.name = "one"}));
  ASSERT_OK_AND_ASSIGN(const JobId other, Submit({.name = "two"}));
  const GangReport line = {.first = 1, .lines = {"{}"}};
  EXPECT_TRUE(*Heartbeat(id, 1, 1));
  EXPECT_TRUE(*Heartbeat(other, 1, 1));
  FailStore();
  coordinator_->Cancel(id, "ann", [](const absl::Status&) {});
  AwaitHealth(false);
  std::promise<absl::StatusOr<GangAnswer>> answer;
  std::atomic<bool> answered = false;
  coordinator_->Heartbeat(id, 1, {}, [&](const auto& got) {
    answered = true;
    answer.set_value(got);
  });
  EXPECT_FALSE(answered);
  // Of others nothing is in the way.
  EXPECT_TRUE(*Heartbeat(other, 1, 2));
  std::promise<absl::StatusOr<GangAnswer>> lines;
  coordinator_->Heartbeat(other, 1, line, [](const auto&) {});
  coordinator_->Heartbeat(other, 1, line, [&](const auto& got) {
    answered = true;
    lines.set_value(got);
  });
  EXPECT_FALSE(answered);
  MendStore();
  EXPECT_FALSE(answer.get_future().get()->go_on);
  EXPECT_EQ(lines.get_future().get()->lines, 1);
  EXPECT_TRUE(*Heartbeat(other, 1, 3));
}

TEST_F(CoordinatorTest, ProgressIsSeenAtOnceAndNeverGoesBack) {
  ASSERT_OK_AND_ASSIGN(const JobId id, Submit({.name = "one"}));
  EXPECT_TRUE(*Heartbeat(id, 1, 1));
  FailStore();
  coordinator_->SetPriority(id, 5, [](const absl::Status&) {});
  coordinator_->Heartbeat(id, 1, {.progress = {"transfer", 2, 10}},
                          [](const auto&) {});
  EXPECT_EQ(coordinator_->Get(id)->progress.global_step, 2);
  EXPECT_EQ(coordinator_->Get(id)->request.priority, 0);
  MendStore();
  Wait();
  EXPECT_EQ(coordinator_->Get(id)->progress.global_step, 2);
  EXPECT_EQ(coordinator_->Get(id)->request.priority, 5);
}

TEST_F(CoordinatorTest, TimePassesByTheMonotonicClock) {
  ASSERT_OK_AND_ASSIGN(const JobId id, Submit({}));
  EXPECT_TRUE(*Heartbeat(id, 1, 1));
  clock_.SetWallTime(absl::FromUnixSeconds(4'000'000'000));
  coordinator_->Tick();
  Wait();
  EXPECT_FALSE(coordinator_->Get(id)->given_up.has_value());
  clock_.Advance(absl::Seconds(31));
  coordinator_->Tick();
  Wait();
  EXPECT_TRUE(coordinator_->Get(id)->given_up.has_value());
}

TEST_F(CoordinatorTest, PagesGoFromTheNewestDown) {
  std::vector<JobId> all;
  for (int i = 0; i < 7; ++i) all.push_back(*Submit({.slots = 2}));
  ASSERT_OK(Cancel(all[3]));
  const auto ids = [](const JobPage& page) {
    std::vector<JobId> out;
    for (const JobRecord& job : page.jobs) out.push_back(job.id);
    return out;
  };
  JobPage page = coordinator_->List({}, 0, 3);
  EXPECT_THAT(ids(page), ElementsAre(7, 6, 5));
  page = coordinator_->List({}, page.next, 3);
  EXPECT_THAT(ids(page), ElementsAre(4, 3, 2));
  page = coordinator_->List({}, page.next, 3);
  EXPECT_THAT(ids(page), ElementsAre(1));
  EXPECT_EQ(page.next, 0u);
  const JobFilter queued = {.owner = "ann", .state = JobState::kQueued};
  EXPECT_THAT(ids(coordinator_->List(queued, 4, 10)), ElementsAre(3, 2));
  EXPECT_THAT(coordinator_->List({.owner = "bob"}, 0, 10).jobs, IsEmpty());
}

TEST_F(CoordinatorTest, ManyThreadsAtOnce) {
  std::atomic<int> answered = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const auto id = Submit({.name = std::to_string(t)});
        if (!id.ok()) continue;
        coordinator_->GangEnded(*id, 1, GangEnd::kDone, "");
        if (i % 2 == 0) Cancel(*id).IgnoreError();
        ++answered;
      }
    });
  }
  std::atomic<bool> stop = false;
  std::atomic<int> also = 0;
  std::thread ticker([&] {
    coordinator_->TickUntil(stop, [&](absl::Duration next) {
      also += next > absl::ZeroDuration();
    });
  });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(answered, 200);
  stop = true;
  ticker.join();
  EXPECT_GT(also, 0);
  EXPECT_OK(coordinator_->Health());
  Restart();
  EXPECT_THAT(coordinator_->List({}, 0, 1000).jobs, SizeIs(200));
}

}  // namespace
}  // namespace caracal
