// Every word that a probe may get, by its rule.
#include "eval/report/probe_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace caracal {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr int kSamples = 16;

// `right` of the samples whose fact lies outside.
ProbeMode Mode(const std::string& name, int right) {
  ProbeMode mode;
  mode.mode = name;
  for (int i = 0; i < kSamples; ++i) mode.among.push_back(i < right);
  mode.exact = mode.among;
  mode.nats.assign(kSamples, 1.0);
  return mode;
}

ProbeResult Probe(int teacher, int teacher_swa, int hybrid, int swa_only) {
  ProbeResult probe;
  probe.probe = "passkey";
  probe.length = 1024;
  probe.samples = kSamples;
  probe.depth.assign(kSamples, 0.5);
  probe.outside.assign(kSamples, 1);
  probe.chance = 1e-5;
  probe.modes = {Mode("teacher", teacher), Mode("teacher_swa", teacher_swa),
                 Mode("hybrid", hybrid), Mode("swa_only", swa_only)};
  return probe;
}

TEST(ProbeStatusTest, UsedWhereTheLinearPartBringsAnswers) {
  const ProbeResult probe = Probe(16, 0, 12, 0);
  const ProbeJudgement judgement = JudgeProbe(probe);
  EXPECT_EQ(judgement.status, ProbeStatus::kUsed);
  EXPECT_EQ(judgement.word, "used");
  EXPECT_EQ(judgement.brings.mean, 0.75);
  EXPECT_EQ(judgement.worth.mean, 1);
  const Finding finding = ProbeFinding(probe);
  EXPECT_EQ(finding.tone, Tone::kGood);
  EXPECT_EQ(finding.text,
            "Passkey, 1,024 tokens: used. Of the facts outside window and "
            "sinks the student gets 0.75 [0.51, 0.90], without its linear part "
            "0.00 [0.00, 0.19], its teacher 1.00 [0.81, 1.00].");
}

TEST(ProbeStatusTest, ATeacherThatCannotSaysNothingOfItsStudent) {
  const ProbeResult probe = Probe(2, 0, 16, 0);
  EXPECT_EQ(JudgeProbe(probe).status, ProbeStatus::kTeacherCannot);
  EXPECT_EQ(ProbeFinding(probe).text,
            "Passkey, 1,024 tokens: cannot tell: the teacher gets 0.12 [0.03, "
            "0.36].");
  ProbeResult nobody = probe;
  nobody.modes.clear();
  EXPECT_EQ(JudgeProbe(nobody).word, "cannot tell: the teacher was not asked");
}

TEST(ProbeStatusTest, FactsInTheWindowSayNothing) {
  ProbeResult probe = Probe(16, 16, 16, 16);
  probe.outside.assign(kSamples, 0);
  EXPECT_EQ(JudgeProbe(probe).word, "cannot tell: reach 0.00");
}

TEST(ProbeStatusTest, NothingSeenIsNotYetBypassed) {
  // None of sixteen may still be one in five.
  const ProbeResult probe = Probe(16, 0, 0, 0);
  EXPECT_EQ(JudgeProbe(probe).status, ProbeStatus::kNotSeen);
  EXPECT_EQ(JudgeProbe(probe).word, "no use seen: at most 0.19");
  EXPECT_EQ(ProbeFinding(probe).tone, Tone::kWarning);
}

TEST(ProbeStatusTest, BypassedTakesManyAnswers) {
  ProbeResult probe = Probe(16, 0, 0, 0);
  for (int i = 0; i < 3; ++i) {
    probe.samples *= 2;
    for (auto* values : {&probe.outside}) {
      values->insert(values->end(), values->begin(), values->end());
    }
    probe.depth.insert(probe.depth.end(), probe.depth.begin(),
                       probe.depth.end());
    for (ProbeMode& mode : probe.modes) {
      const std::vector<int64_t> among = mode.among;
      const std::vector<double> nats = mode.nats;
      mode.among.insert(mode.among.end(), among.begin(), among.end());
      mode.exact = mode.among;
      mode.nats.insert(mode.nats.end(), nats.begin(), nats.end());
    }
  }
  EXPECT_EQ(JudgeProbe(probe).word, "bypassed");
}

TEST(ProbeStatusTest, OtherWords) {
  EXPECT_EQ(JudgeProbe(Probe(16, 16, 8, 8)).word,
            "cannot tell: nothing to bring");
  EXPECT_THAT(ProbeFinding(Probe(16, 16, 8, 8)).text,
              HasSubstr("hardly needs what lies outside: it gets 1.00 [0.81, "
                        "1.00], with a window 1.00 [0.81, 1.00]."));
  EXPECT_EQ(JudgeProbe(Probe(16, 0, 0, 16)).word, "hurts");
  ProbeResult probe = Probe(16, 0, 12, 0);
  probe.modes.pop_back();
  EXPECT_EQ(JudgeProbe(probe).word, "cannot tell: not measured");
  EXPECT_THAT(ProbeFinding(probe).text, HasSubstr("hybrid and swa_only"));
}

TEST(ProbeStatusTest, AFewFactsDoNotMakeThePastWorthless) {
  // One fact, which the teacher has and a window has not.
  ProbeResult probe = Probe(1, 0, 0, 0);
  probe.outside.assign(kSamples, 0);
  probe.outside[0] = 1;
  const ProbeJudgement judgement = JudgeProbe(probe);
  EXPECT_FALSE(judgement.worth.above_zero());
  EXPECT_EQ(judgement.worth.mean, 1);
  EXPECT_EQ(judgement.status, ProbeStatus::kTooFewFacts);
  EXPECT_EQ(judgement.word, "cannot tell: too few facts");
  EXPECT_THAT(ProbeFinding(probe).text,
              HasSubstr("cannot tell: too few facts. Of the facts outside (1) "
                        "the teacher gets 1.00 [0.21, 1.00], with a window "
                        "0.00 [0.00, 0.79]: more of them would tell whether it "
                        "needs what lies there."));
  // Nor is it worth nothing where both have it.
  probe.modes[1] = probe.modes[0];
  probe.modes[1].mode = "teacher_swa";
  EXPECT_EQ(JudgeProbe(probe).word, "cannot tell: too few facts");
  // No such probe can tell.
  EXPECT_THAT(ProbesHeadline({probe}).text, HasSubstr("cannot tell"));
}

TEST(ProbesHeadlineTest, CountsThoseThatCanTell) {
  const ProbeResult used = Probe(16, 0, 12, 0), none = Probe(16, 0, 0, 0);
  const ProbeResult cannot = Probe(2, 0, 0, 0);
  EXPECT_THAT(ProbesHeadline({used, none, cannot}).text,
              StartsWith("The linear part is used: in 1 of the 2 (of 3) probes "
                         "that can tell it brings"));
  const Finding seen = ProbesHeadline({none, cannot});
  EXPECT_THAT(seen.text, StartsWith("No use of the linear part is seen"));
  EXPECT_EQ(seen.tone, Tone::kWarning);
  EXPECT_THAT(ProbesHeadline({cannot}).text, HasSubstr("cannot tell"));
  EXPECT_THAT(ProbesHeadline({cannot}).text, Not(HasSubstr("probes probes")));
}

}  // namespace
}  // namespace caracal
