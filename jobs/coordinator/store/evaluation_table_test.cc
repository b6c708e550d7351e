#include "jobs/coordinator/store/evaluation_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "jobs/coordinator/store/job_store.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;

EvaluationRecord Record(EvaluationId id) {
  EvaluationRecord record;
  record.id = id;
  record.request = {"ann", std::string("a\0b\xff", 4), "k'; --"};
  record.phase = EvaluationPhase::kMeasuring;
  record.reason = "why";
  record.version = "caracal 0.1";
  record.created = absl::FromUnixMicros(1'700'000'000'123'456);
  record.changed = record.created + absl::Seconds(3);
  return record;
}

absl::Status Write(JobStore& store, const EvaluationWrite& write) {
  StoreBatch batch;
  batch.also = [&](Database& database) {
    return WriteEvaluations(database, write);
  };
  return store.Write({batch});
}

TEST(EvaluationTable, ReadsBackWhatItWrote) {
  TemporaryFolder folder;
  const PartRecord done = {PartState::kDone, 3, 1, "host:7"};
  const PartRecord leased = {PartState::kLeased, 2, 0, "host:8"};
  const std::string result("\0\xff plan", 7);
  {
    ASSERT_OK_AND_ASSIGN(auto store, JobStore::Open(folder.path()));
    ASSERT_OK(Write(
        *store, {.saved = {Record(1), Record(4)},
                 .parts = {{1, 0, done, result}, {1, 1, leased}, {4, 0, {}}},
                 .next_id = 5}));
    // Another event; the result stays.
    EvaluationRecord changed = Record(1);
    changed.phase = EvaluationPhase::kFailed;
    ASSERT_OK(Write(*store, {.saved = {changed}, .parts = {{1, 0, done}}}));
  }
  ASSERT_OK_AND_ASSIGN(auto store, JobStore::Open(folder.path()));
  ASSERT_OK_AND_ASSIGN(EvaluationContents read,
                       LoadEvaluations(store->database()));
  EXPECT_EQ(read.next_id, 5);
  ASSERT_EQ(read.evaluations.size(), 2);
  const EvaluationRecord& one = read.evaluations[0];
  EXPECT_EQ(one.id, 1);
  EXPECT_EQ(one.request, Record(1).request);
  EXPECT_EQ(one.phase, EvaluationPhase::kFailed);
  EXPECT_EQ(one.reason, "why");
  EXPECT_EQ(one.version, "caracal 0.1");
  EXPECT_EQ(one.created, Record(1).created);
  EXPECT_EQ(one.changed, Record(1).changed);
  EXPECT_EQ(one.parts, (std::vector<PartRecord>{done, leased}));
  EXPECT_EQ(read.evaluations[1].parts, std::vector<PartRecord>(1));
  ASSERT_OK_AND_ASSIGN(const std::string stored,
                       ReadPartResult(store->database(), 1, 0));
  EXPECT_EQ(stored, result);
  EXPECT_TRUE(
      absl::IsNotFound(ReadPartResult(store->database(), 1, 1).status()));

  ASSERT_OK(Write(*store, {.removed = {1}}));
  ASSERT_OK_AND_ASSIGN(read, LoadEvaluations(store->database()));
  ASSERT_EQ(read.evaluations.size(), 1);
  EXPECT_TRUE(
      absl::IsNotFound(ReadPartResult(store->database(), 1, 0).status()));
}

TEST(EvaluationTable, ATransactionThatFailsLeavesNothing) {
  TemporaryFolder folder;
  ASSERT_OK_AND_ASSIGN(auto store, JobStore::Open(folder.path()));
  StoreBatch batch;
  batch.also = [](Database& database) -> absl::Status {
    RETURN_IF_ERROR(WriteEvaluations(
        database, {.saved = {Record(1)}, .parts = {{1, 0, {}}}, .next_id = 2}));
    return absl::UnavailableError("the disk");
  };
  EXPECT_THAT(store->Write({batch}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("the disk")));
  ASSERT_OK_AND_ASSIGN(const EvaluationContents read,
                       LoadEvaluations(store->database()));
  EXPECT_TRUE(read.evaluations.empty());
  EXPECT_EQ(read.next_id, 1);
}

TEST(EvaluationTable, WhatCannotBeIsDataLoss) {
  for (const char* sql :
       {"UPDATE evaluations SET phase = 'x'",
        "UPDATE evaluation_parts SET part = 1",
        "UPDATE evaluation_parts SET state = 'x'",
        "DELETE FROM evaluation_parts", "UPDATE numbers SET value = 1"}) {
    SCOPED_TRACE(sql);
    TemporaryFolder folder;
    ASSERT_OK_AND_ASSIGN(auto store, JobStore::Open(folder.path()));
    ASSERT_OK(Write(
        *store, {.saved = {Record(1)}, .parts = {{1, 0, {}}}, .next_id = 2}));
    ASSERT_OK(store->database().Execute(sql));
    EXPECT_TRUE(absl::IsDataLoss(LoadEvaluations(store->database()).status()));
  }
}

}  // namespace
}  // namespace caracal
