// Shares over facts outside and inside, and when the teacher can do a task.
#include "eval/attribution/probe_result.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "eval/statistics/share.h"

namespace caracal {
namespace {

// Four samples of two answers; the second answers' facts lie inside.
ProbeResult Probe() {
  ProbeResult probe;
  probe.probe = "recall";
  probe.length = 256;
  probe.samples = 4;
  probe.depth = {0.1, 0.9, 0.1, 0.9, 0.1, 0.9, 0.1, 0.9};
  probe.outside = {1, 0, 1, 0, 1, 0, 1, 0};
  probe.chance = 0.125;
  probe.modes = {
      {"teacher", {1, 1, 1, 1, 1, 0, 1, 1}, {1, 1, 1, 0, 0, 0, 1, 1}, {}},
      {"swa_only", {0, 1, 0, 1, 0, 1, 1, 1}, {0, 1, 0, 1, 0, 1, 0, 1}, {}}};
  for (ProbeMode& mode : probe.modes) {
    mode.nats = {1, 0, 2, 0, 3, 0, 4, 0};
  }
  return probe;
}

TEST(ProbeResultTest, FactsOutsideAndInsideAreCountedApart) {
  const ProbeResult probe = Probe();
  EXPECT_EQ(probe.answers(), 8);
  EXPECT_EQ(probe.reach(), 0.5);
  const ProbeMode* teacher = probe.Find("teacher");
  const ProbeMode* swa = probe.Find("swa_only");
  EXPECT_EQ(ShareAmong(probe, teacher, ProbeFacts::kOutside).mean, 1);
  EXPECT_EQ(ShareAmong(probe, teacher, ProbeFacts::kInside).mean, 0.75);
  EXPECT_EQ(ShareAmong(probe, teacher, ProbeFacts::kAll).mean, 7 / 8.0);
  EXPECT_EQ(ShareExact(probe, teacher, ProbeFacts::kOutside).mean, 0.75);
  EXPECT_EQ(ShareAmong(probe, swa, ProbeFacts::kOutside).mean, 0.25);
  EXPECT_EQ(MeanNats(probe, swa, ProbeFacts::kOutside).mean, 2.5);
  EXPECT_EQ(MeanNats(probe, swa, ProbeFacts::kInside).mean, 0);
  EXPECT_FALSE(
      ShareAmong(probe, probe.Find("hybrid"), ProbeFacts::kAll).measured());
}

TEST(ProbeResultTest, SamplesAreWhatIsResampled) {
  const ProbeResult probe = Probe();
  // One answer outside a sample: as four singles.
  const Interval share =
      ShareAmong(probe, probe.Find("swa_only"), ProbeFacts::kOutside);
  const Interval singles = ShareInterval({0, 0, 0, 1}, {1, 1, 1, 1});
  EXPECT_EQ(share.low, singles.low);
  EXPECT_EQ(share.high, singles.high);
}

TEST(ProbeResultTest, DifferencesAreOfFactsOutside) {
  const ProbeResult probe = Probe();
  const Interval difference =
      DifferenceAmong(probe, probe.Find("teacher"), probe.Find("swa_only"));
  EXPECT_EQ(difference.mean, 0.75);
  EXPECT_LT(difference.low, 0.75);
  EXPECT_GT(difference.low, 0);
  EXPECT_FALSE(
      DifferenceAmong(probe, probe.Find("teacher"), nullptr).measured());
}

TEST(ProbeResultTest, TheTeacherMustGetHalfAndBeatGuessing) {
  ProbeResult probe = Probe();
  EXPECT_TRUE(TeacherCan(probe));
  probe.chance = 0.9;
  EXPECT_FALSE(TeacherCan(probe));
  probe.chance = 0.125;
  probe.modes[0].among = {1, 1, 0, 1, 0, 1, 0, 1};
  EXPECT_EQ(TeacherShare(probe).mean, 0.25);
  EXPECT_FALSE(TeacherCan(probe));
  // With every fact inside, all answers say whether it can do the task.
  std::fill(probe.outside.begin(), probe.outside.end(), 0);
  EXPECT_EQ(TeacherShare(probe).mean, 5 / 8.0);
  EXPECT_TRUE(TeacherCan(probe));
  probe.modes.clear();
  EXPECT_FALSE(TeacherCan(probe));
}

}  // namespace
}  // namespace caracal
