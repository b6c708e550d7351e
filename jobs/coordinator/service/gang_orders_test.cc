#include "jobs/coordinator/service/gang_orders.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "core/base/fake_clock.h"
#include "core/base/file_system.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "jobs/coordinator/state/job_spec.h"
#include "jobs/coordinator/store/job_store.h"
#include "jobs/launch/slurm/slurm_gangs.h"
#include "jobs/launch/slurm/testing/fake_slurm.h"

namespace caracal {
namespace {

using absl::StatusCode;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Submission = FakeSlurm::Submission;

std::string SpecOf(const std::string& text) {
  proto::Job job;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &job));
  return MakeSpec(job);
}

// What the launcher's thread does, when the test says so.
class LauncherByHand : public Launcher {
 public:
  LauncherByHand(const SlurmGangsOptions& options, Clock* clock,
                 LauncherEvents* events)
      : gangs_(options, &slurm_, clock, events) {}

  absl::Status Start(const GangSpec& spec) override {
    const absl::Status created = gangs_.FolderOf(spec.id).Create(spec);
    if (absl::IsAlreadyExists(created)) return created;
    absl::MutexLock lock(&mutex_);
    gangs_.Start(spec, created);
    return absl::OkStatus();
  }
  void Stop(GangId id) override {
    absl::MutexLock lock(&mutex_);
    gangs_.Stop(id);
  }
  void Kill(GangId id) override {
    absl::MutexLock lock(&mutex_);
    gangs_.Kill(id);
  }
  void Find(GangId id) override {
    absl::MutexLock lock(&mutex_);
    gangs_.Find(id);
  }

  void Round() {
    absl::MutexLock lock(&mutex_);
    gangs_.Round();
  }
  template <typename Result>
  Result With(const std::function<Result(FakeSlurm&)>& use) {
    absl::MutexLock lock(&mutex_);
    return use(slurm_);
  }
  // Until sbatch was called so often.
  void AwaitSubmissions(int count) {
    absl::MutexLock lock(&mutex_);
    const auto enough = [&] { return slurm_.Count("sbatch") >= count; };
    mutex_.Await(absl::Condition(&enough));
  }

 private:
  absl::Mutex mutex_;
  FakeSlurm slurm_ ABSL_GUARDED_BY(mutex_);
  SlurmGangs gangs_;
};

// Jobs, their orders, and a Slurm that does as it is told: all but the clock
// and Slurm itself is what caracald runs.
class GangOrdersTest : public ::testing::Test {
 protected:
  GangOrdersTest()
      : data_(DataFolder::Open(folder_.path()).value()),
        orders_(&data_, &hub_, {.slots = 1, .slurm = {.has_slurm = true}}),
        log_(std::clog.rdbuf(logged_.rdbuf())) {
    store_ = JobStore::Open(folder_.path()).value();
    coordinator_.emplace(limits_, store_.get(), &clock_, &orders_);
    CARACAL_CHECK_OK(coordinator_->Load());
    hub_.SetReader([this](auto... arguments) {
      coordinator_->Events(std::move(arguments)...);
    });
    SlurmGangsOptions options = {.gangs_folder = data_.gangs(),
                                 .worker = "/bin/worker",
                                 .working_directory = "/here",
                                 .slurm = {.partition = "all"}};
    grace_ = options.slurm.grace;
    poll_ = options.slurm.poll_interval;
    CARACAL_CHECK_OK(FileSystem::Posix()->CreateFolder(data_.gangs()));
    launcher_.emplace(options, &clock_, &orders_);
    orders_.Start(&*coordinator_, &*launcher_);
    coordinator_->Recover();
  }
  ~GangOrdersTest() override {
    orders_.Stop();
    launcher_.reset();
    coordinator_.reset();
    std::clog.rdbuf(log_);
  }

  JobId Submit(const std::string& job = "") {
    JobId id = 0;
    Wait([&](absl::Notification* done) {
      coordinator_->Submit({.name = "x", .owner = "ann", .spec = SpecOf(job)},
                           [&id, done](const absl::StatusOr<JobId>& got) {
                             id = got.value();
                             done->Notify();
                           });
    });
    return id;
  }
  // Submits one; its gang has been handed to sbatch, however that fared.
  JobId Launch(const std::string& job = "") {
    const int before = Count("sbatch");
    const JobId id = Submit(job);
    launcher_->AwaitSubmissions(before + 1);
    return id;
  }
  // What is due after so long, looked at as often as the launcher looks.
  void Pass(absl::Duration time) {
    for (absl::Duration left = time; left > absl::ZeroDuration();
         left -= poll_) {
      clock_.Advance(std::min(left, poll_));
      coordinator_->Tick();
      launcher_->Round();
      Settle();
    }
  }
  // Until all that was asked of the coordinator is durable, and told.
  void Settle() {
    Wait([this](absl::Notification* done) {
      coordinator_->Events(0, 0, 0, [done](const auto&) { done->Notify(); });
    });
  }
  static void Wait(const std::function<void(absl::Notification*)>& call) {
    absl::Notification done;
    call(&done);
    done.WaitForNotification();
  }
  void WithSlurm(const std::function<void(FakeSlurm&)>& use) {
    launcher_->With<void>(use);
  }
  int Count(const std::string& command) {
    return launcher_->With<int>(
        [&](FakeSlurm& slurm) { return slurm.Count(command); });
  }
  // The arguments of the sbatch that came as the n-th, from 0.
  std::vector<std::string> Sbatch(int n) {
    return launcher_->With<std::vector<std::string>>([&](FakeSlurm& slurm) {
      for (const std::vector<std::string>& command : slurm.commands) {
        if (command[0] == "sbatch" && n-- == 0) return command;
      }
      return std::vector<std::string>();
    });
  }
  JobRecord Job(JobId id) { return coordinator_->Get(id).value(); }

  const TemporaryFolder folder_;
  FakeClock clock_;
  EventHub hub_;
  DataFolder data_;
  const CoordinatorLimits limits_ = {.slots = 100};
  std::unique_ptr<JobStore> store_;
  GangOrders orders_;
  std::ostringstream logged_;
  std::streambuf* const log_;
  absl::Duration grace_, poll_;
  std::optional<Coordinator> coordinator_;
  std::optional<LauncherByHand> launcher_;
};

TEST_F(GangOrdersTest, WhileSlurmIsSilentNoGangIsGivenUp) {
  const JobId waits = Launch();
  Pass(poll_);
  EXPECT_EQ(Job(waits).reason, "waits for the cluster: PENDING");

  WithSlurm([](FakeSlurm& slurm) {
    slurm.is_away = true;
    slurm.submission = Submission::kRefused;
    slurm.refusal =
        "sbatch: error: Batch job submission failed: Unable to contact slurm "
        "controller (connect failure)";
  });
  Pass(poll_);
  // Submitted meanwhile: sbatch says no, or nothing at all.
  const JobId refused = Launch();
  WithSlurm([](FakeSlurm& slurm) { slurm.submission = Submission::kSilent; });
  const JobId late = Launch();
  Pass(5 * limits_.start_timeout);
  for (const JobId id : {waits, refused, late}) {
    EXPECT_EQ(Job(id).state, JobState::kLaunching) << id;
    EXPECT_EQ(Job(id).epoch, 1) << id;
    EXPECT_FALSE(Job(id).given_up.has_value()) << id;
  }
  EXPECT_EQ(Count("sbatch"), 3);
  EXPECT_EQ(Count("scancel"), 0);

  // It answers. The one that it took without a word has begun.
  WithSlurm([](FakeSlurm& slurm) {
    slurm.is_away = false;
    slurm.submission = Submission::kAccepted;
    slurm.Begin(2);
  });
  Pass(poll_);
  EXPECT_EQ(Job(waits).reason, "waits for the cluster: PENDING");
  EXPECT_EQ(Job(late).reason, "");
  EXPECT_EQ(logged_.str(),
            "caracald: the cluster does not answer: squeue: error: Unable to "
            "contact slurm controller\n"
            "caracald: the cluster answers again\n");
  // The one that it does not know is tried again, once that is for sure.
  Pass(grace_);
  EXPECT_EQ(Job(refused).state, JobState::kRetrying);
  EXPECT_THAT(Job(refused).reason, HasSubstr("Unable to contact"));
  Pass(limits_.first_back_off);
  launcher_->AwaitSubmissions(4);
  EXPECT_THAT(Sbatch(3),
              Contains(absl::StrCat("--job-name=caracal-", refused, "-2")));

  // From now on the others are given up as ever: not the one that waits.
  Pass(limits_.start_timeout - grace_ - limits_.first_back_off - 2 * poll_);
  EXPECT_FALSE(Job(late).given_up.has_value());
  Pass(2 * poll_);
  EXPECT_TRUE(Job(late).given_up.has_value());
  EXPECT_FALSE(Job(waits).given_up.has_value());
  EXPECT_EQ(Job(waits).epoch, 1);
}

TEST_F(GangOrdersTest, GangsThatTrainAreHeardOfWithoutSlurm) {
  const JobId id = Launch();
  WithSlurm([](FakeSlurm& slurm) {
    slurm.Begin(1);
    slurm.is_away = true;
  });
  const auto beat = [&](int64_t step) {
    absl::StatusOr<GangAnswer> answer;
    Wait([&](absl::Notification* done) {
      coordinator_->Heartbeat(
          id, 1, {.progress = {"transfer", step, 10}},
          [&answer, done](const absl::StatusOr<GangAnswer>& got) {
            answer = got;
            done->Notify();
          });
    });
    return answer.ok() && answer->go_on;
  };
  EXPECT_TRUE(beat(1));
  EXPECT_EQ(Job(id).state, JobState::kRunning);
  Pass(limits_.heartbeat_timeout - poll_);
  EXPECT_TRUE(beat(2));
  // One that is not heard of is given up; the order waits for Slurm.
  Pass(limits_.heartbeat_timeout + poll_);
  EXPECT_TRUE(Job(id).given_up.has_value());
  EXPECT_EQ(Job(id).epoch, 1);
  // Behind it, so that it has come out.
  Launch();
  WithSlurm([](FakeSlurm& slurm) { slurm.is_away = false; });
  Pass(poll_);
  EXPECT_EQ(launcher_->With<std::string>(
                [](FakeSlurm& slurm) { return slurm.job(1).state; }),
            "CANCELLED");
}

TEST_F(GangOrdersTest, WhatAnUnheardGangDiedOfIsKept) {
  const JobId id = Launch();
  WithSlurm([](FakeSlurm& slurm) { slurm.Begin(1); });
  Pass(poll_);
  WithSlurm([&](FakeSlurm& slurm) {
    slurm.job(1).is_forgotten = true;
    slurm.sacct =
        CommandResult{.output = absl::StrCat(
                          "1|NODE_FAIL|0:0|2026-11-29T18:30:44|",
                          slurm.job(1).name, "|", slurm.job(1).folder, "\n")};
  });
  coordinator_->Heartbeat(id, 1, {}, [](const auto&) {});
  Pass(limits_.heartbeat_timeout + poll_);
  EXPECT_TRUE(Job(id).given_up.has_value());
  for (absl::Duration passed;
       passed < grace_ && Job(id).state == JobState::kRunning;
       passed += poll_) {
    Pass(poll_);
  }
  EXPECT_EQ(Job(id).state, JobState::kRetrying);
  EXPECT_EQ(Job(id).reason,
            "its gang was not heard of for 30s; Slurm's job 1 ended as "
            "NODE_FAIL");
  EXPECT_EQ(Count("sacct"), 1);
}

TEST_F(GangOrdersTest, TheLogTellsOfAStoreThatFails) {
  orders_.StoreChanged(absl::UnavailableError("x.sqlite: disk is full"));
  orders_.StoreChanged(absl::OkStatus());
  EXPECT_EQ(logged_.str(),
            "caracald: changes can't be stored now: x.sqlite: disk is full\n"
            "caracald: changes are stored again\n");
}

TEST_F(GangOrdersTest, WhatAJobAsksOfSlurmReachesSbatch) {
  Launch("slurm { partition: 'gpu' time: '2-0' memory: '64G' }");
  EXPECT_THAT(Sbatch(0),
              testing::AllOf(Contains("--partition=gpu"),
                             Contains("--time=2-0"), Contains("--mem=64G"),
                             testing::Not(Contains("--partition=all"))));
  Launch();
  EXPECT_THAT(Sbatch(1), Contains("--partition=all"));
}

TEST_F(GangOrdersTest, TheReportHasTheThreadsOfOneNode) {
  JobRecord job;
  job.id = 7;
  job.epoch = 1;
  const auto threads = [&](const std::string& slurm, bool has_slurm) {
    job.request.spec = SpecOf(
        "parallel { data: 4 } threads: 3 evaluation { rows: 8 } " + slurm);
    return MakeGangSpec(job, data_, {.slurm = {.has_slurm = has_slurm}})
        .value()
        .afterwards;
  };
  EXPECT_THAT(threads("", true), Contains("threads=12"));
  EXPECT_THAT(threads("slurm { nodes: 2 }", true), Contains("threads=6"));
  EXPECT_THAT(threads("slurm { ranks_per_node: 1 }", true),
              Contains("threads=3"));
  // It is all on this machine.
  EXPECT_THAT(threads("slurm { nodes: 2 }", false), Contains("threads=12"));
}

TEST_F(GangOrdersTest, WhatIsForbiddenByNowFails) {
  JobRecord job;
  job.id = 7;
  job.epoch = 1;
  job.request.spec = SpecOf("slurm { partition: 'gpu' }");
  GangRules rules = {.slurm = {.has_slurm = true}};
  ASSERT_OK_AND_ASSIGN(const GangSpec spec, MakeGangSpec(job, data_, rules));
  EXPECT_THAT(spec.cluster_options, ElementsAre("--partition=gpu"));
  rules.slurm.partitions = {{"cpu"}};
  EXPECT_THAT(MakeGangSpec(job, data_, rules).status(),
              StatusIs(StatusCode::kInvalidArgument,
                       HasSubstr("slurm.partition: is 'gpu'")));
  // Elsewhere nobody could obey.
  rules.slurm.has_slurm = false;
  ASSERT_OK_AND_ASSIGN(const GangSpec local, MakeGangSpec(job, data_, rules));
  EXPECT_THAT(local.cluster_options, ElementsAre());
}

}  // namespace
}  // namespace caracal
