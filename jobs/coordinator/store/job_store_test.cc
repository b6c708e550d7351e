#include "jobs/coordinator/store/job_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "jobs/coordinator/store/schema.h"

namespace caracal {
namespace {

using absl::StatusCode;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

JobRecord Record(JobId id) {
  JobRecord job;
  job.id = id;
  job.request = {.name = "n'); DROP TABLE jobs; --",
                 .owner = "ann",
                 .spec = std::string("\n\0\xff", 3),
                 .priority = -3,
                 .slots = 4,
                 .after = {7, 9},
                 .max_retries = 2,
                 .idempotency_key = "key"};
  job.state = JobState::kRetrying;
  job.epoch = 5;
  job.waits_for = {9};
  job.retries = 1;
  job.step_at_start = 30;
  job.submitted = absl::FromUnixMicros(1'700'000'000'123'456);
  job.changed = job.submitted + absl::Seconds(3);
  job.not_before = job.changed + absl::Seconds(10);
  job.reason = "its gang was lost";
  job.given_up = GangEnd::kLost;
  job.progress = {"transfer", 32, 64};
  job.lines = 17;
  job.tuning = {.drop_probability = 0.25, .window = 48, .by = "ann"};
  job.tunings = 3;
  job.change_keys = {"resume again", "tune \n\"t"};
  job.hosts = {"node1", "node\"2"};
  return job;
}

void ExpectEqual(const JobRecord& a, const JobRecord& b) {
  EXPECT_EQ(a.id, b.id);
  EXPECT_EQ(a.request, b.request);
  EXPECT_EQ(a.state, b.state);
  EXPECT_EQ(a.epoch, b.epoch);
  EXPECT_EQ(a.waits_for, b.waits_for);
  EXPECT_EQ(a.retries, b.retries);
  EXPECT_EQ(a.step_at_start, b.step_at_start);
  EXPECT_EQ(a.submitted, b.submitted);
  EXPECT_EQ(a.changed, b.changed);
  EXPECT_EQ(a.not_before, b.not_before);
  EXPECT_EQ(a.reason, b.reason);
  EXPECT_EQ(a.given_up, b.given_up);
  EXPECT_EQ(a.progress, b.progress);
  EXPECT_EQ(a.lines, b.lines);
  EXPECT_EQ(a.tuning, b.tuning);
  EXPECT_EQ(a.tunings, b.tunings);
  EXPECT_EQ(a.change_keys, b.change_keys);
  EXPECT_EQ(a.hosts, b.hosts);
}

class JobStoreTest : public ::testing::Test {
 protected:
  JobStoreTest() { Reopen(); }
  void Reopen() {
    store_ = nullptr;
    auto store = JobStore::Open(folder_.path());
    CARACAL_CHECK_OK(store.status());
    store_ = *std::move(store);
  }

  TemporaryFolder folder_;
  std::unique_ptr<JobStore> store_;
};

TEST_F(JobStoreTest, BeginsEmpty) {
  ASSERT_OK_AND_ASSIGN(const StoreContents contents, store_->Load());
  EXPECT_THAT(contents.jobs, IsEmpty());
  EXPECT_EQ(contents.next_id, 1u);
  EXPECT_NE(contents.database, 0u);
  EXPECT_EQ(contents.last_sequence, 0u);
}

TEST_F(JobStoreTest, EveryFieldRoundTrips) {
  JobRecord plain;
  plain.id = 2;
  plain.submitted = plain.changed = absl::UnixEpoch();
  ASSERT_OK(store_->Write({{.saved = {Record(11), plain}}}));
  Reopen();
  ASSERT_OK_AND_ASSIGN(StoreContents contents, store_->Load());
  ASSERT_EQ(contents.jobs.size(), 2u);
  ExpectEqual(contents.jobs[0], plain);
  ExpectEqual(contents.jobs[1], Record(11));
  EXPECT_EQ(contents.next_id, 12u);
  // Whatever may change of a job does.
  JobRecord changed = Record(11);
  changed.request.priority = 8;
  changed.state = JobState::kRunning;
  changed.epoch = 6;
  changed.waits_for = {};
  changed.retries = 0;
  changed.step_at_start = 31;
  changed.changed += absl::Hours(1);
  changed.not_before = absl::InfinitePast();
  changed.reason = "";
  changed.given_up.reset();
  changed.progress = {"finetune", 65, 96};
  changed.change_keys = {};
  changed.hosts = {};
  ASSERT_OK(store_->Write({{.saved = {changed}}}));
  Reopen();
  ASSERT_OK_AND_ASSIGN(contents, store_->Load());
  ExpectEqual(contents.jobs[1], changed);
  EXPECT_EQ(contents.next_id, 12u);
}

// Of a database that an older program made.
TEST_F(JobStoreTest, KeysOfChangesAreKeptByAnUpgrade) {
  const TemporaryFolder folder;
  std::vector<std::string> older = CoordinatorMigrations();
  older.resize(7);
  {
    const auto database =
        Database::Open(folder.File("coordinator.sqlite"), older);
    ASSERT_OK(database.status());
    ASSERT_OK((*database)->Execute(
        "INSERT INTO jobs VALUES (1, '', '', '', 1, '[]', 0, '', 0, 0, "
        "'QUEUED', 0, '[]', 0, 0, 0, NULL, '', NULL, '', 0, 0, 'r', 5, "
        "'{}', 0, 't', '[\"node1\"]')"));
  }
  const auto store = JobStore::Open(folder.path());
  ASSERT_OK(store.status());
  ASSERT_OK_AND_ASSIGN(const StoreContents contents, (*store)->Load());
  ASSERT_EQ(contents.jobs.size(), 1u);
  EXPECT_THAT(contents.jobs[0].change_keys, ElementsAre("resume r", "tune t"));
  EXPECT_EQ(contents.jobs[0].lines, 5);
  EXPECT_THAT(contents.jobs[0].hosts, ElementsAre("node1"));
}

TEST_F(JobStoreTest, NumbersAreNeverGivenAgain) {
  const StoredEvent first = {1, 1, absl::UnixEpoch(), "state", "{}"};
  const StoredEvent second = {2, 1, absl::UnixEpoch(), "state", "{\"a\":1}"};
  ASSERT_OK(store_->Write({{.saved = {Record(1)}, .events = {first, second}}}));
  EXPECT_THAT(*store_->Events(1, 0, 10), ElementsAre(first, second));
  EXPECT_THAT(*store_->Events(0, 1, 10), ElementsAre(second));
  EXPECT_THAT(*store_->Events(1, 0, 1), ElementsAre(first));
  EXPECT_THAT(*store_->Events(2, 0, 10), IsEmpty());
  ASSERT_OK(store_->Write({{.removed = {1}, .next_id = 2}}));
  Reopen();
  ASSERT_OK_AND_ASSIGN(const StoreContents contents, store_->Load());
  EXPECT_THAT(contents.jobs, IsEmpty());
  EXPECT_EQ(contents.next_id, 2u);
  EXPECT_EQ(contents.last_sequence, 2u);
  EXPECT_THAT(*store_->Events(1, 0, 10), IsEmpty());
}

TEST_F(JobStoreTest, WhatWasRemovedIsToldToWhoeverAsksForIt) {
  std::vector<StoredEvent> events;
  for (uint64_t i = 1; i <= 9; ++i) {
    // Of jobs 1, 2 and 3 in turn.
    events.push_back(
        {i, 1 + (i - 1) % 3, absl::FromUnixSeconds(7), "metrics", "{}"});
  }
  ASSERT_OK(store_->Write({{.saved = {Record(1), Record(2), Record(3)},
                            .events = events,
                            .next_id = 4}}));
  ASSERT_OK_AND_ASSIGN(int64_t count, store_->RemoveEvents(2, 2));  // 2, 5
  EXPECT_EQ(count, 2);
  Reopen();
  const auto numbers = [&](JobId job, uint64_t after, int64_t limit = 99) {
    std::string out;
    const auto events = store_->Events(job, after, limit);
    for (const StoredEvent& event : *events) {
      absl::StrAppend(&out, event.kind == "removed" ? event.data : "",
                      event.sequence, " ");
    }
    return out;
  };
  EXPECT_EQ(numbers(2, 0), "{\"from\":1,\"until\":5}5 8 ");
  EXPECT_EQ(numbers(2, 2), "{\"from\":3,\"until\":5}5 8 ");
  EXPECT_EQ(numbers(2, 5), "8 ");
  EXPECT_EQ(numbers(1, 0), "1 4 7 ");
  EXPECT_EQ(numbers(0, 0),
            "1 {\"from\":2,\"until\":2}2 3 4 {\"from\":5,\"until\":5}5 6 7 8 "
            "9 ");
  EXPECT_EQ(numbers(0, 1, 2), "{\"from\":2,\"until\":2}2 3 4 ");
  EXPECT_EQ(*store_->RemoveEvents(2, 2), 1);
  EXPECT_EQ(*store_->RemoveEvents(2, 2), 0);
  EXPECT_EQ(numbers(2, 0), "{\"from\":1,\"until\":8}8 ");
  // Changes of state stay.
  events = {{10, 2, absl::UnixEpoch(), "state", "{}"},
            {11, 2, absl::UnixEpoch(), "metrics", "{}"},
            {12, 2, absl::UnixEpoch(), "state", "{}"}};
  ASSERT_OK(store_->Write({{.events = events}}));
  EXPECT_EQ(*store_->RemoveEvents(2, 9), 1);
  EXPECT_EQ(numbers(2, 8), "10 {\"from\":9,\"until\":11}11 12 ");
  EXPECT_EQ(numbers(2, 8, 1), "10 ");
  EXPECT_EQ(numbers(2, 10), "{\"from\":11,\"until\":11}11 12 ");
  EXPECT_EQ(numbers(2, 11), "12 ");
  // A job that is removed leaves nothing but a gap for those who watch all.
  ASSERT_OK(store_->Write({{.removed = {2, 3}}}));
  EXPECT_EQ(numbers(2, 0), "");
  EXPECT_EQ(numbers(0, 7), "{\"from\":8,\"until\":12}12 ");
  EXPECT_EQ(numbers(0, 12), "");
}

TEST_F(JobStoreTest, BatchesAreWrittenTogetherOrNotAtAll) {
  const StoredEvent event = {1, 1, absl::UnixEpoch(), "state", "{}"};
  EXPECT_FALSE(store_
                   ->Write({{.saved = {Record(1)}, .events = {event}},
                            {.saved = {Record(2)}, .events = {event}}})
                   .ok());
  EXPECT_THAT(store_->Load()->jobs, IsEmpty());
}

TEST_F(JobStoreTest, ADatabaseOfAnOlderProgramIsTakenOver) {
  store_ = nullptr;
  const std::string path = folder_.File("old.sqlite");
  std::vector<std::string> old = CoordinatorMigrations();
  old.resize(1);
  {
    auto database = Database::Open(path, old);
    ASSERT_OK(database);
    ASSERT_OK((*database)->Execute(
        "INSERT INTO jobs VALUES (1, 'ann', 'n', 's', 1, '[]', 3, '', 5, 0, "
        "'QUEUED', 0, '[]', 0, 0, 5, NULL, '', NULL, '', 0, 0, ''); "
        "UPDATE numbers SET value = 2"));
  }
  std::filesystem::rename(path, folder_.File("coordinator.sqlite"));
  Reopen();
  ASSERT_OK_AND_ASSIGN(const StoreContents contents, store_->Load());
  ASSERT_EQ(contents.jobs.size(), 1);
  EXPECT_EQ(contents.jobs[0].request.owner, "ann");
  EXPECT_EQ(contents.jobs[0].lines, 0);
  ASSERT_OK(store_->Write({{.saved = contents.jobs}}));
}

TEST_F(JobStoreTest, ARowThatCannotBeIsNamed) {
  ASSERT_OK(store_->Write({{.saved = {Record(1)}, .next_id = 2}}));
  store_ = nullptr;
  const std::string path = folder_.File("coordinator.sqlite");
  auto database = Database::Open(path, CoordinatorMigrations());
  ASSERT_OK(database);
  ASSERT_OK((*database)->Execute("UPDATE jobs SET state = 'ASLEEP'"));
  Reopen();
  EXPECT_THAT(
      store_->Load().status(),
      StatusIs(StatusCode::kDataLoss, HasSubstr("job 1: state ASLEEP")));
  ASSERT_OK((*database)->Execute(
      "UPDATE jobs SET state = 'QUEUED', after = '[1, \"x\"]'"));
  EXPECT_THAT(store_->Load().status(),
              StatusIs(StatusCode::kDataLoss, HasSubstr("a list of jobs")));
  ASSERT_OK((*database)->Execute(
      "UPDATE jobs SET after = '[]'; UPDATE numbers SET value = 0"));
  EXPECT_THAT(store_->Load().status(),
              StatusIs(StatusCode::kDataLoss, HasSubstr("the next job")));
}

}  // namespace
}  // namespace caracal
