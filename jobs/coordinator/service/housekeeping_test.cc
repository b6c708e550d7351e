#include "jobs/coordinator/service/housekeeping.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "core/base/fake_clock.h"
#include "core/base/file_system.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "jobs/launch/gang_folder.h"

namespace caracal {
namespace {

using ::testing::ElementsAre;

class NoOutput : public CoordinatorOutput {
 public:
  void Order(const GangOrder&, const JobRecord&) override {}
  void Happened(const std::vector<StoredEvent>&) override {}
};

class HousekeepingTest : public ::testing::Test {
 protected:
  HousekeepingTest() {
    auto store = JobStore::Open(folder_.path());
    CARACAL_CHECK_OK(store.status());
    store_ = *std::move(store);
    coordinator_.emplace(CoordinatorLimits{.slots = 9}, store_.get(), &clock_,
                         &output_);
    CARACAL_CHECK_OK(coordinator_->Load());
    coordinator_->Recover();
  }

  // A job whose only gang runs, with `lines` of metrics; its number.
  JobId Run(int lines) {
    JobId id = 0;
    Wait([&](absl::Notification* done) {
      coordinator_->Submit({.name = "x"}, [&id, done](const auto& got) {
        id = got.value();
        done->Notify();
      });
    });
    CARACAL_CHECK_OK(GangFolderOf(id).Create({.id = {id, 1}}));
    CARACAL_CHECK_OK(FileSystem::Posix()->Append(folder_.job(id), "stages {}"));
    GangReport report;
    report.first = 1;
    for (int i = 0; i < lines; ++i) report.lines.push_back("{}");
    Wait([&](absl::Notification* done) {
      coordinator_->Heartbeat(id, 1, report,
                              [done](const auto&) { done->Notify(); });
    });
    return id;
  }
  void End(JobId id) { coordinator_->GangEnded(id, 1, GangEnd::kDone, ""); }
  static void Wait(const std::function<void(absl::Notification*)>& call) {
    absl::Notification done;
    call(&done);
    done.WaitForNotification();
  }
  GangFolder GangFolderOf(JobId id) const {
    return GangFolder(JoinPath(folder_.gangs(), absl::StrCat(id, "-1")));
  }
  bool HasGang(JobId id) const {
    return FileSystem::Posix()->Exists(GangFolderOf(id).path());
  }
  std::vector<StoredEvent> Events(JobId id) {
    std::vector<StoredEvent> events;
    Wait([&](absl::Notification* done) {
      coordinator_->Events(id, 0, 10'000, [&events, done](const auto& got) {
        events = got.value();
        done->Notify();
      });
    });
    return events;
  }
  int64_t MetricsOf(JobId id) {
    const std::vector<StoredEvent> events = Events(id);
    return std::count_if(events.begin(), events.end(), [](const auto& event) {
      return event.kind == "metrics";
    });
  }
  static void Eventually(const std::function<bool()>& condition) {
    const absl::Time until = absl::Now() + absl::Seconds(30);
    while (!condition()) {
      ASSERT_LT(absl::Now(), until);
      absl::SleepFor(absl::Milliseconds(5));
    }
  }
  Housekeeping Keeper(absl::Duration events, absl::Duration gangs) {
    return Housekeeping({.keep_events = events,
                         .keep_gangs = gangs,
                         .events = 7,
                         .gangs = 1,
                         .pause = absl::Milliseconds(1)},
                        &folder_, &*coordinator_, &clock_);
  }

  TemporaryFolder root_;
  DataFolder folder_ = *DataFolder::Open(root_.File("data"));
  FakeClock clock_;
  NoOutput output_;
  std::unique_ptr<JobStore> store_;
  std::optional<Coordinator> coordinator_;
};

TEST_F(HousekeepingTest, OldEventsAndGangsOfWhatHasEndedGo) {
  const JobId old = Run(100), running = Run(3);
  End(old);
  clock_.Advance(absl::Hours(2));
  const JobId fresh = Run(3);
  End(fresh);
  const size_t of_running = Events(running).size();
  const size_t of_fresh = Events(fresh).size();
  Housekeeping keeper = Keeper(absl::Hours(1), absl::Hours(1));
  Eventually([&] { return !HasGang(old) && MetricsOf(old) == 0; });
  std::vector<std::string> kinds;
  for (const StoredEvent& event : Events(old)) kinds.push_back(event.kind);
  EXPECT_THAT(kinds,
              ElementsAre("state", "state", "state", "removed", "state"));
  EXPECT_TRUE(coordinator_->Get(old).has_value());
  EXPECT_TRUE(HasGang(running));
  EXPECT_TRUE(HasGang(fresh));
  EXPECT_EQ(Events(running).size(), of_running);
  EXPECT_EQ(Events(fresh).size(), of_fresh);
  clock_.Advance(absl::Hours(2));
  keeper.Wake();
  Eventually([&] { return !HasGang(fresh) && MetricsOf(fresh) == 0; });
  EXPECT_TRUE(HasGang(running));
  EXPECT_EQ(Events(running).size(), of_running);
}

TEST_F(HousekeepingTest, WhatElseThereIsToDoIsDoneInItsTime) {
  std::atomic<int> times = 0;
  absl::Notification third;
  const Housekeeping keeper({.also =
                                 [&] {
                                   if (++times == 3) third.Notify();
                                   return times < 3 ? absl::ZeroDuration()
                                                    : absl::InfiniteDuration();
                                 }},
                            &folder_, &*coordinator_, &clock_);
  EXPECT_TRUE(third.WaitForNotificationWithTimeout(absl::Minutes(1)));
}

TEST_F(HousekeepingTest, WhatIsForgottenLeavesNothing) {
  const JobId gone = Run(3), kept = Run(3);
  End(gone);
  End(kept);
  // Of a job that this coordinator never had.
  const GangFolder strange(JoinPath(folder_.gangs(), "99-1"));
  ASSERT_OK(strange.Create({.id = {99, 1}}));
  Housekeeping keeper =
      Keeper(absl::InfiniteDuration(), absl::InfiniteDuration());
  Wait([&](absl::Notification* done) {
    coordinator_->Remove(gone, [done](const auto&) { done->Notify(); });
  });
  keeper.Wake();
  Eventually([&] {
    return !HasGang(gone) && !FileSystem::Posix()->Exists(folder_.job(gone));
  });
  EXPECT_TRUE(HasGang(kept));
  EXPECT_TRUE(FileSystem::Posix()->Exists(folder_.job(kept)));
  EXPECT_TRUE(FileSystem::Posix()->Exists(strange.path()));
  EXPECT_FALSE(Events(kept).empty());
}

}  // namespace
}  // namespace caracal
