#include "jobs/launch/slurm/sacct.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "core/base/status_matchers.h"

namespace caracal {
namespace {

using absl::StatusCode;
using testing::Contains;
using testing::HasSubstr;
using testing::SizeIs;

constexpr char kTime[] = "2026-11-29T18:30:44";

std::string Line(const std::string& state, const std::string& exit = "0:0") {
  return absl::StrCat("7|", state, "|", exit, "|", kTime,
                      "|caracal-7-3|/gangs/7-3\n");
}

TEST(Sacct, AsksForSeveralAtOnce) {
  EXPECT_THAT(SacctCommand({"7", "9"}), Contains("--jobs=7,9"));
}

TEST(Sacct, RecordsAreRead) {
  ASSERT_OK_AND_ASSIGN(
      const auto records,
      ParseSacct(absl::StrCat(
          "7|FAILED|85:0|", kTime, "|caracal-7-3|/a folder|/7-3\n",
          // Of which slurmdbd has heard no more than that it is there.
          "8|COMPLETED|0:0|", kTime, "|allocation|\n")));
  ASSERT_THAT(records, SizeIs(2));
  EXPECT_EQ(records[0].job.number, "7");
  EXPECT_EQ(records[0].job.state, "FAILED");
  EXPECT_EQ(records[0].job.phase, SlurmPhase::kEnded);
  EXPECT_EQ(records[0].job.reason, "");
  EXPECT_EQ(records[0].exit_status, 85);
  EXPECT_EQ(records[0].submitted, kTime);
  EXPECT_EQ(records[0].name, "caracal-7-3");
  EXPECT_EQ(records[0].folder, "/a folder|/7-3");
  EXPECT_EQ(records[1].folder, "");
  EXPECT_THAT(ParseSacct("").value(), SizeIs(0));
}

TEST(Sacct, EveryStateIsKnown) {
  for (const char* state :
       {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED",
        "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT"}) {
    ASSERT_OK_AND_ASSIGN(const auto records, ParseSacct(Line(state)));
    EXPECT_EQ(records[0].job.state, state);
    EXPECT_EQ(records[0].job.phase, SlurmPhase::kEnded) << state;
  }
  for (const char* state :
       {"PENDING", "RUNNING", "REQUEUED", "RESIZING", "SUSPENDED"}) {
    ASSERT_OK_AND_ASSIGN(const auto records, ParseSacct(Line(state)));
    EXPECT_NE(records[0].job.phase, SlurmPhase::kEnded) << state;
  }
}

TEST(Sacct, WhoCancelledItAndTheSignalAreReasons) {
  EXPECT_EQ(ParseSacct(Line("CANCELLED by 1000", "0:15")).value()[0].job.reason,
            "by 1000");
  EXPECT_EQ(ParseSacct(Line("CANCELLED by 1000")).value()[0].job.state,
            "CANCELLED");
  EXPECT_EQ(ParseSacct(Line("FAILED", "0:9")).value()[0].job.reason,
            "signal 9");
}

TEST(Sacct, WhatIsNoRecordSaysNothing) {
  const std::string rest = absl::StrCat("|", kTime, "|n|/f\n");
  for (const std::string& text :
       {std::string("sacct: error: x\n"), std::string("\n"),
        Line("TIMEOUT") + "8|TIME", Line("timeout"), Line(""),
        Line("CANCELLED by ann"), Line("TIMEOUT by 1000"), Line("FAILED", "85"),
        Line("FAILED", "x:0"), Line("FAILED", "256:0"), Line("FAILED", "-1:0"),
        Line("FAILED", "1:"), "7.batch|FAILED|1:0" + rest,
        "7_1|FAILED|1:0" + rest, "|FAILED|1:0" + rest,
        std::string("7|FAILED|1:0|Unknown|n|/f\n"),
        absl::StrCat("7|FAILED|1:0|", kTime, "|n\n"),
        std::string("7|FAILED|1:0|2026-11-29T18:30:44x|n|/f\n")}) {
    EXPECT_THAT(ParseSacct(text).status(),
                StatusIs(StatusCode::kDataLoss, HasSubstr("sacct")))
        << text;
  }
}

TEST(Sacct, WithoutAccountingThereIsNothingToWaitFor) {
  EXPECT_TRUE(IsWithoutAccounting("Slurm accounting storage is disabled\n"));
  EXPECT_FALSE(IsWithoutAccounting(
      "sacct: error: slurm_persist_conn_open_without_init: failed to open "
      "persistent connection to host:localhost:6819: Connection refused\n"
      "sacct: error: Sending PersistInit msg: Connection refused\n"
      "sacct: error: Problem talking to the database: Connection refused\n"));
}

}  // namespace
}  // namespace caracal
