#include "jobs/launch/slurm/squeue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/status_matchers.h"

namespace caracal {
namespace {

using absl::StatusCode;
using testing::HasSubstr;

TEST(Squeue, JobsAreKnownByTheirMark) {
  ASSERT_OK_AND_ASSIGN(const auto jobs,
                       ParseSqueue("job|7|RUNNING|None|caracal:aa\n"
                                   "job|8|PENDING|(Resources, x)|a|b|c \nd|\n\n"
                                   "job|9|NODE_FAIL|NodeDown|caracal:bb\n"));
  ASSERT_EQ(jobs.size(), 3);
  EXPECT_EQ(jobs.at("caracal:aa").number, "7");
  EXPECT_EQ(jobs.at("caracal:aa").phase, SlurmPhase::kRunning);
  EXPECT_EQ(jobs.at("caracal:aa").reason, "");
  EXPECT_EQ(jobs.at("a|b|c").reason, "(Resources, x)");
  EXPECT_EQ(jobs.at("caracal:bb").state, "NODE_FAIL");
  EXPECT_EQ(jobs.at("caracal:bb").reason, "NodeDown");
  EXPECT_TRUE(ParseSqueue("").value().empty());
}

TEST(Squeue, OneThatIsNotOverCounts) {
  for (const char* text : {"job|7|FAILED|x|m\njob|8|RUNNING|None|m\n",
                           "job|8|RUNNING|None|m\njob|9|FAILED|x|m\n"}) {
    EXPECT_EQ(ParseSqueue(text).value().at("m").number, "8");
  }
}

TEST(Squeue, WhatIsNotAListingSaysNothing) {
  for (const char* text :
       {"slurm_load_jobs error: Unable to contact slurm controller\n",
        "job|7|RUNNING|None\n", "job|x|RUNNING|None|m\n", "job|7||None|m\n",
        "job|7|RUNNING|None|m\njob|8|PEN"}) {
    EXPECT_THAT(ParseSqueue(text).status(),
                StatusIs(StatusCode::kDataLoss, HasSubstr("squeue")));
  }
}

TEST(Squeue, EveryStateHasAPhase) {
  for (const char* state : {"PENDING", "CONFIGURING", "REQUEUED", "PD"}) {
    EXPECT_EQ(PhaseOf(state), SlurmPhase::kWaiting) << state;
  }
  for (const char* state :
       {"RUNNING", "SUSPENDED", "STOPPED", "RESIZING", "SIGNALING", "NEW"}) {
    EXPECT_EQ(PhaseOf(state), SlurmPhase::kRunning) << state;
  }
  EXPECT_EQ(PhaseOf("COMPLETING"), SlurmPhase::kClearing);
  for (const char* state :
       {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED",
        "BOOT_FAIL", "DEADLINE", "OUT_OF_MEMORY", "CD", "TO"}) {
    EXPECT_EQ(PhaseOf(state), SlurmPhase::kEnded) << state;
  }
}

TEST(Sbatch, TellsTheNumber) {
  EXPECT_EQ(ParseSbatch("17\n").value(), "17");
  EXPECT_EQ(ParseSbatch("17;cluster\n").value(), "17");
  for (const char* text : {"", "Submitted batch job 17\n", "17x", "-1",
                           "12345678901", "17\n18\n"}) {
    EXPECT_THAT(ParseSbatch(text).status(),
                StatusIs(StatusCode::kDataLoss, HasSubstr("sbatch said")));
  }
}

TEST(Sbatch, SomeRefusalsPass) {
  for (const char* words :
       {"sbatch: error: invalid partition specified: x",
        "sbatch: error: Batch job submission failed: Invalid account or "
        "account/partition combination specified",
        "sbatch: error: Batch job submission failed: Requested node "
        "configuration is not available",
        "sbatch: error: Batch job submission failed: Requested time limit is "
        "invalid (missing or exceeds some limit)",
        "sbatch: unrecognized option '--x'"}) {
    EXPECT_TRUE(IsFinalRefusal(words)) << words;
  }
  for (const char* words :
       {"sbatch: error: Batch job submission failed: Unable to contact slurm "
        "controller (connect failure)",
        "sbatch: error: Batch job submission failed: Socket timed out on "
        "send/recv operation",
        "sbatch: error: Batch job submission failed: Job violates "
        "accounting/QOS policy (job submit limit, user's size and/or time "
        "limits)",
        "sbatch: error: Batch job submission failed: Resource temporarily "
        "unavailable"}) {
    EXPECT_FALSE(IsFinalRefusal(words)) << words;
  }
}

}  // namespace
}  // namespace caracal
