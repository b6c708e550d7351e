// Evaluations over a store that fails, and a process that was stopped.
#include "jobs/coordinator/engine/evaluations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/synchronization/notification.h"
#include "core/base/fake_clock.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "jobs/coordinator/store/database.h"
#include "jobs/coordinator/store/job_store.h"
#include "jobs/coordinator/store/schema.h"

namespace caracal {
namespace {

using absl::StatusCode;
using ::testing::HasSubstr;

class NoOutput : public CoordinatorOutput {
 public:
  void Order(const GangOrder&, const JobRecord&) override {}
  void Happened(const std::vector<StoredEvent>&) override {}
};

class EvaluationsTest : public ::testing::Test {
 protected:
  static constexpr absl::Duration kLease = absl::Seconds(10);

  void SetUp() override {
    Start();
    ASSERT_OK_AND_ASSIGN(other_,
                         Database::Open(folder_.File("coordinator.sqlite"),
                                        CoordinatorMigrations()));
  }
  void TearDown() override { Stop(); }

  void Start() {
    ASSERT_OK_AND_ASSIGN(store_, JobStore::Open(folder_.path()));
    coordinator_.emplace(CoordinatorLimits(), store_.get(), &clock_, &output_,
                         absl::Milliseconds(1));
    ASSERT_OK(coordinator_->Load());
    evaluations_.emplace(EvaluationLimits{.lease = kLease}, &*coordinator_,
                         &clock_);
    ASSERT_OK(evaluations_->Load(store_->database()));
    coordinator_->Recover();
  }
  void Stop() {
    coordinator_.reset();
    evaluations_.reset();
    store_ = nullptr;
  }

  // As a disk that is full refuses changes, and takes them again.
  void Break() {
    ASSERT_OK(other_->Execute("ALTER TABLE evaluations RENAME TO away"));
  }
  void Mend() {
    ASSERT_OK(other_->Execute("ALTER TABLE away RENAME TO evaluations"));
  }

  // What a call that answers later says.
  template <typename Result, typename Call>
  static Result Await(Call call) {
    struct Answer {
      std::optional<Result> result;
      absl::Notification told;
    };
    auto answer = std::make_shared<Answer>();
    call([answer](Result result) {
      answer->result = std::move(result);
      answer->told.Notify();
    });
    answer->told.WaitForNotification();
    return *answer->result;
  }
  absl::StatusOr<EvaluationId> Create() {
    return Await<absl::StatusOr<EvaluationId>>([&](auto reply) {
      evaluations_->Create({.owner = "ann", .spec = "s"}, reply);
    });
  }
  absl::Status Cancel(EvaluationId id) {
    return Await<absl::Status>(
        [&](auto reply) { evaluations_->Cancel(id, "ann", reply); });
  }
  absl::StatusOr<LeasedPart> Lease() {
    return Await<absl::StatusOr<LeasedPart>>([&](auto reply) {
      evaluations_->Lease({.name = "w", .version = "1"}, reply);
    });
  }
  absl::Status Renew(const PartLease& lease) {
    return Await<absl::Status>(
        [&](auto reply) { evaluations_->Renew(lease, reply); });
  }

  TemporaryFolder folder_;
  FakeClock clock_;
  NoOutput output_;
  std::unique_ptr<JobStore> store_;
  std::unique_ptr<Database> other_;
  std::optional<Coordinator> coordinator_;
  std::optional<Evaluations> evaluations_;
};

TEST_F(EvaluationsTest, NothingIsToldThatARestartWouldTakeBack) {
  ASSERT_OK_AND_ASSIGN(const EvaluationId id, Create());
  ASSERT_OK_AND_ASSIGN(const LeasedPart leased, Lease());
  ASSERT_EQ(leased.lease, (PartLease{id, 0, 1}));
  Break();
  EXPECT_THAT(Cancel(id), StatusIs(StatusCode::kUnavailable,
                                   HasSubstr("can't be stored now")));
  // The state machine is ahead of what is seen.
  EXPECT_EQ(evaluations_->Get(id)->phase, EvaluationPhase::kPlanning);
  EXPECT_EQ(evaluations_->Get(id)->leased, 1);
  EXPECT_EQ(evaluations_->Stats().leased_parts, 1);
  EXPECT_EQ(evaluations_->List("", EvaluationPhase::kPlanning, 0, 9)
                .evaluations.size(),
            1u);
  // Nor is its worker told that it is cancelled.
  EXPECT_THAT(Renew(leased.lease), StatusIs(StatusCode::kUnavailable,
                                            HasSubstr("can't be stored now")));
  EXPECT_THAT(Lease(), StatusIs(StatusCode::kUnavailable, HasSubstr("stored")));
  EXPECT_THAT(Create(),
              StatusIs(StatusCode::kUnavailable, HasSubstr("stored")));
  // A process that is killed now has it as it was seen.
  Stop();
  Mend();
  Start();
  EXPECT_EQ(evaluations_->Get(id)->phase, EvaluationPhase::kPlanning);
  EXPECT_OK(Renew(leased.lease));
  EXPECT_OK(Cancel(id));
  EXPECT_EQ(evaluations_->Get(id)->phase, EvaluationPhase::kCancelled);
  EXPECT_THAT(Renew(leased.lease),
              StatusIs(StatusCode::kAborted, HasSubstr("cancelled")));
}

TEST_F(EvaluationsTest, WhatCouldNotBeStoredIsSeenOnceItIs) {
  ASSERT_OK_AND_ASSIGN(const EvaluationId id, Create());
  Break();
  EXPECT_THAT(Cancel(id), StatusIs(StatusCode::kUnavailable, HasSubstr("")));
  Mend();
  // After what was added before.
  absl::Notification stored;
  coordinator_->Store({}, [&] { stored.Notify(); });
  stored.WaitForNotification();
  EXPECT_EQ(evaluations_->Get(id)->phase, EvaluationPhase::kCancelled);
  EXPECT_EQ(evaluations_->Stats()
                .evaluations[static_cast<int>(EvaluationPhase::kCancelled)],
            1);
}

TEST_F(EvaluationsTest, LeasesOutliveAProcessThatWasStopped) {
  const absl::Duration every = absl::Seconds(1);
  evaluations_->Tick(every);
  ASSERT_OK_AND_ASSIGN(const EvaluationId id, Create());
  ASSERT_OK_AND_ASSIGN(const LeasedPart leased, Lease());
  // Whoever calls first, before the next tick: nobody else gets the part.
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(Lease()->lease.evaluation, 0u);
  evaluations_->Tick(every);
  clock_.Advance(kLease - absl::Milliseconds(1));
  evaluations_->Tick(every);
  EXPECT_OK(Renew(leased.lease));
  // A worker that is not heard of while this process listens has lost it.
  for (int i = 0; i < 10; ++i) {
    clock_.Advance(every);
    evaluations_->Tick(every);
  }
  ASSERT_OK_AND_ASSIGN(const LeasedPart next, Lease());
  EXPECT_EQ(next.lease, (PartLease{id, 0, 2}));
  EXPECT_THAT(Renew(leased.lease),
              StatusIs(StatusCode::kAborted, HasSubstr("not yours any more")));
}

}  // namespace
}  // namespace caracal
