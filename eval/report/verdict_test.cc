// Every way the verdict can fall.
#include "eval/report/verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "eval/report/testing/sample_report.h"

namespace caracal {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// All findings, a line each, warnings marked with "!".
std::string Text(const Verdict& verdict) {
  std::string text;
  for (const Finding& finding : verdict.findings) {
    text +=
        (finding.tone == Tone::kWarning ? "! " : "  ") + finding.text + "\n";
  }
  return text;
}

Verdict Judge(const SampleLosses& losses) {
  return JudgeAttribution(SampleAttribution(losses));
}

TEST(VerdictTest, UsedWithShareOfWhatThePastIsWorth) {
  const Verdict verdict = Judge({});
  EXPECT_EQ(verdict.status, LaStatus::kUsed);
  EXPECT_EQ(verdict.headline.tone, Tone::kGood);
  EXPECT_THAT(verdict.headline.text,
              AllOf(HasSubstr("is used"), HasSubstr("0.027 nats per token"),
                    HasSubstr("95% interval 0.0")));
  EXPECT_THAT(Text(verdict),
              AllOf(HasSubstr("is worth 1.205"),
                    HasSubstr("The linear part brings 0.027, 2.2% of that, "
                              "and 23% of the 0.118 that remain"),
                    Not(HasSubstr("! "))));
}

TEST(VerdictTest, NothingMeasurableGivesNoShare) {
  const Verdict verdict = Judge({.hybrid = 3.950, .noise = 0.05});
  EXPECT_EQ(verdict.status, LaStatus::kBypassed);
  EXPECT_EQ(verdict.headline.tone, Tone::kWarning);
  EXPECT_THAT(verdict.headline.text,
              AllOf(HasSubstr("The linear part is bypassed"),
                    HasSubstr("includes zero"), HasSubstr("+0.001")));
  EXPECT_THAT(Text(verdict), AllOf(Not(HasSubstr("The linear part brings")),
                                   Not(HasSubstr("what the linear part")),
                                   HasSubstr("Mass alone is no proof")));
}

TEST(VerdictTest, HurtingIsSaidAsLoss) {
  const Verdict verdict = Judge({.hybrid = 3.99, .swa_only = 3.93});
  EXPECT_EQ(verdict.status, LaStatus::kHurts);
  EXPECT_EQ(verdict.headline.tone, Tone::kWarning);
  EXPECT_THAT(verdict.headline.text,
              AllOf(HasSubstr("hurts"), HasSubstr("falls by 0.060"),
                    Not(HasSubstr("-0"))));
  EXPECT_THAT(Text(verdict), Not(HasSubstr("of that")));
}

// A sample whose student loses `loss` with 4 sinks in the linear part's place.
AttributionResult WithSinksInstead(double loss) {
  AttributionResult result = SampleAttribution({.hybrid = 3.90});
  ModeResult instead = *result.Find("hybrid");
  instead.mode = "swa_only_s4";
  for (size_t i = 0; i < instead.per_row.size(); ++i) {
    instead.per_row[i] += loss - 3.90 + 0.002 * (i % 3);
  }
  instead.loss = loss + 0.002;
  result.baselines.push_back(instead);
  return result;
}

TEST(VerdictTest, SinksThatDoAsWellMakeTheLinearPartASink) {
  const Verdict verdict = JudgeAttribution(WithSinksInstead(3.899));
  EXPECT_EQ(verdict.status, LaStatus::kUsed) << verdict.rule;
  const Verdict sink = JudgeAttribution(WithSinksInstead(3.85));
  EXPECT_EQ(sink.status, LaStatus::kSinkOnly);
  EXPECT_EQ(sink.word, "used as a sink only");
  EXPECT_EQ(sink.headline.tone, Tone::kWarning);
  EXPECT_THAT(sink.headline.text, HasSubstr("do as well"));
  EXPECT_THAT(sink.rule, HasSubstr("does not"));
  EXPECT_THAT(Text(sink), AllOf(HasSubstr("! 4 untrained sinks"),
                                HasSubstr("all that the linear part does"),
                                HasSubstr("would be better by 0.048")));
}

TEST(VerdictTest, TheShareThatSinksWouldReplace) {
  // u = 0.051, of which sinks bring 0.009 or 0.041.
  EXPECT_THAT(Text(JudgeAttribution(WithSinksInstead(3.94))),
              HasSubstr("  4 untrained sinks in the linear part's place would "
                        "bring 0.009"));
  const std::string most = Text(JudgeAttribution(WithSinksInstead(3.908)));
  EXPECT_THAT(most, AllOf(HasSubstr("! 4 untrained sinks"),
                          HasSubstr("81% of what the linear part does")));
  EXPECT_THAT(Text(JudgeAttribution(WithSinksInstead(4.0))),
              HasSubstr("replace nothing of it"));
}

TEST(VerdictTest, WordsAndRules) {
  const auto judge = [](const Interval& u, const Interval& ustar,
                        double reach = 0.9) {
    AttributionResult result;
    result.what_la_brings = u;
    result.ustar = ustar;
    result.reach = reach;
    return JudgeLinearPart(result);
  };
  const Interval past = {1, 0.9, 1.1};
  EXPECT_EQ(judge({0.2, 0.1, 0.3}, past).word, "used");
  EXPECT_THAT(judge({0.2, 0.1, 0.3}, past).rule,
              HasSubstr("[+0.100, +0.300], lies above 0"));
  EXPECT_EQ(judge({-0.2, -0.3, -0.1}, past).word, "hurts");
  EXPECT_EQ(judge({0.01, -0.01, 0.09}, past).word, "bypassed");
  EXPECT_THAT(judge({0.01, -0.01, 0.09}, past).rule,
              HasSubstr("ends below a tenth of u*, 0.100"));
  EXPECT_EQ(judge({0.01, -0.1, 0.12}, past).word,
            "cannot tell: u in [-0.100, +0.120]");
  // That the past is worth little is shown only where u* ends near 0.
  EXPECT_EQ(judge({0.01, -0.01, 0.02}, {0.001, -0.01, 0.019}).word,
            "cannot tell: nothing to bring");
  EXPECT_EQ(judge({0.01, -0.01, 0.02}, {-0.1, -0.2, -0.01}).word,
            "cannot tell: nothing to bring");
  EXPECT_THAT(judge({0.01, -0.01, 0.02}, {0.001, -0.01, 0.019}).rule,
              HasSubstr("that of u*, [-0.010, +0.019], ends below 0.02"));
  EXPECT_EQ(judge({0.01, -0.01, 0.02}, {0.1, -0.1, 0.3}).word,
            "cannot tell: too little data");
  EXPECT_EQ(judge({0.01, -0.01, 0.02}, {0.001, -0.01, 0.02}).word,
            "cannot tell: too little data");
  EXPECT_THAT(judge({0.01, -0.01, 0.02}, {0.1, -0.1, 0.3}).rule,
              HasSubstr("that of u*, [-0.100, +0.300], includes 0 and does not "
                        "end below 0.02"));
  EXPECT_EQ(judge({0.01, -0.01, 0.02}, {}).status, LaStatus::kTooWide);
  EXPECT_THAT(judge({0.01, -0.01, 0.02}, {}).rule,
              HasSubstr("u* was not measured"));
  EXPECT_EQ(judge({0.2, 0.1, 0.3}, past, 0.03).word, "cannot tell: reach 0.03");
  EXPECT_EQ(judge({}, past).word, "cannot tell: not measured");
}

TEST(VerdictTest, SharesNeedAttentionThatMatters) {
  AttributionResult result = SampleAttribution();
  for (ModeResult& mode : result.modes) {
    if (mode.mode == "none") mode.per_row = result.Find("hybrid")->per_row;
  }
  const Verdict verdict = JudgeAttribution(result);
  EXPECT_EQ(verdict.status, LaStatus::kUsed);
  EXPECT_THAT(Text(verdict), Not(HasSubstr("% of that")));
}

TEST(VerdictTest, SinksAloneAreToldWithTheirShare) {
  EXPECT_THAT(Text(Judge({})),
              AllOf(HasSubstr("from 5.070 to 3.983, by 1.087"),
                    HasSubstr("90% of what a bare window loses"),
                    HasSubstr("40 times what the linear part brings")));
}

TEST(VerdictTest, SinksMayChangeNothingOrWorsen) {
  EXPECT_THAT(Text(Judge({.teacher_swa_s0 = 3.981, .noise = 0.05})),
              HasSubstr("Sinks alone change nothing that can be measured"));
  EXPECT_THAT(Text(Judge({.teacher_swa_s0 = 3.90, .teacher_swa_s4 = 3.983})),
              AllOf(HasSubstr("worsens the untrained teacher from 3.900 to "
                              "3.983, by 0.083"),
                    Not(HasSubstr("of what a bare window loses"))));
}

TEST(VerdictTest, BeatingBothBaselinesSaysWhoseDoingItIs) {
  const std::string text = Text(Judge({}));
  EXPECT_THAT(
      text, AllOf(HasSubstr("beats the training-free baseline with a bare "
                            "window by 1.146"),
                  HasSubstr("beats the training-free baseline with 4 sinks by "
                            "0.059"),
                  HasSubstr("it would still lead by 0.032: that much is the "
                            "fine-tuned window's doing")));
  EXPECT_THAT(Text(Judge({.swa_only = 3.99})),
              HasSubstr("With its linear part removed that lead is gone."));
}

TEST(VerdictTest, AWorseHybridIsCalledWorse) {
  const std::string text = Text(Judge({.hybrid = 4.10, .swa_only = 4.15}));
  EXPECT_THAT(text, AllOf(HasSubstr("! The hybrid is worse than the "
                                    "training-free baseline with 4 sinks, by "
                                    "0.117"),
                          HasSubstr("not worth its training"),
                          HasSubstr("beats the training-free baseline with a "
                                    "bare window")));
}

TEST(VerdictTest, ATieWithABaselineIsCalledATie) {
  const std::string text =
      Text(Judge({.hybrid = 3.982, .swa_only = 4.1, .noise = 0.05}));
  EXPECT_THAT(text, HasSubstr("! The hybrid cannot be told from the "
                              "training-free baseline with 4 sinks"));
}

TEST(VerdictTest, ReachNearZeroSilencesTheClaim) {
  AttributionResult result = SampleAttribution();
  result.reach = 0.012;
  const Verdict verdict = JudgeAttribution(result);
  EXPECT_EQ(verdict.status, LaStatus::kOutOfReach);
  EXPECT_THAT(verdict.headline.text,
              AllOf(HasSubstr("cannot say anything"), HasSubstr("1.2%")));
  EXPECT_THAT(Text(verdict),
              AllOf(HasSubstr("! With a window of 64 and 0 sinks, rows of 512 "
                              "tokens hardly ever reach"),
                    Not(HasSubstr("The linear part brings"))));
  result.reach = kReachNearZero;
  EXPECT_EQ(JudgeAttribution(result).status, LaStatus::kUsed);
}

TEST(VerdictTest, NothingForThePastToBring) {
  AttributionResult result = SampleAttribution();
  result.ustar = {0.001, -0.004, 0.006};
  EXPECT_THAT(
      Text(JudgeAttribution(result)),
      AllOf(HasSubstr("! To the teacher itself the past outside the "
                      "window is worth nothing"),
            HasSubstr("+0.001 [-0.004, +0.006]"), Not(HasSubstr("% of that"))));
}

TEST(VerdictTest, TooLittleDataIsNotNothingToBring) {
  AttributionResult result = SampleAttribution();
  result.what_la_brings = {0.001, -0.2, 0.2};
  result.ustar = {0.15, -0.05, 0.35};
  const Verdict verdict = JudgeAttribution(result);
  EXPECT_EQ(verdict.status, LaStatus::kTooLittleData);
  EXPECT_THAT(Text(verdict),
              AllOf(HasSubstr("! Whether the past outside the window is worth "
                              "anything to the teacher itself, these rows "
                              "cannot tell (+0.150 [-0.050, +0.350])"),
                    Not(HasSubstr("nothing for a linear part"))));
}

// A sample of a run that finished as linear attention alone.
AttributionResult FinishedAsLaOnly(const SampleLosses& losses = {}) {
  AttributionResult result = SampleAttribution(losses);
  result.settings.recipe = "hedgehog";
  result.settings.finished_as = "la_only";
  return result;
}

TEST(VerdictTest, WhatFinishedIsJudgedBeforeItsHybrid) {
  const Verdict verdict = JudgeAttribution(
      FinishedAsLaOnly({.hybrid = 3.99, .swa_only = 3.93, .la_only = 4.2}));
  EXPECT_EQ(verdict.status, LaStatus::kHurts);
  EXPECT_EQ(verdict.word, "hurts");
  EXPECT_EQ(verdict.headline.tone, Tone::kPlain);
  EXPECT_THAT(verdict.headline.text,
              AllOf(HasSubstr("This run finished as la_only, with a loss of "
                              "4.200 nats per token. Of the same model run as "
                              "a hybrid: the linear part hurts")));
  // Teacher and baselines are those of what finished.
  EXPECT_THAT(Text(verdict),
              AllOf(HasSubstr("As la_only the student is worse than the "
                              "training-free baseline with 4 sinks, by 0.217"),
                    HasSubstr("As la_only the student beats the training-free "
                              "baseline with a bare window by 0.870 nats"),
                    HasSubstr("As la_only the student's loss is 0.335"),
                    Not(HasSubstr("With its linear part removed it would")),
                    Not(HasSubstr("The hybrid"))));
}

TEST(VerdictTest, AFinishedModeThatWasNotMeasuredIsSaidToBe) {
  AttributionResult result = FinishedAsLaOnly();
  for (ModeResult& mode : result.modes) {
    if (mode.mode == "la_only") mode.mode = "other";
  }
  EXPECT_THAT(JudgeAttribution(result).headline.text,
              HasSubstr("This run finished as la_only, which was not measured. "
                        "Of the same model"));
}

TEST(VerdictTest, HybridsAreJudgedAsBefore) {
  AttributionResult result = SampleAttribution();
  const Verdict unknown = JudgeAttribution(result);
  result.settings.finished_as = "hybrid";
  EXPECT_EQ(JudgeAttribution(result).headline.text, unknown.headline.text);
  EXPECT_EQ(JudgeAttribution(result).rule, unknown.rule);
  EXPECT_THAT(unknown.headline.text, Not(HasSubstr("finished")));
}

TEST(VerdictTest, MissingModesAreNotGuessed) {
  AttributionResult result = SampleAttribution();
  result.what_la_brings = {};
  EXPECT_EQ(JudgeAttribution(result).status, LaStatus::kNotMeasured);
  const Verdict empty = JudgeAttribution({});
  EXPECT_EQ(empty.status, LaStatus::kNotMeasured);
  EXPECT_TRUE(empty.findings.empty());
}

TEST(VerdictTest, OneRowIsNotEnough) {
  const Verdict verdict = Judge({.rows = 1});
  EXPECT_EQ(verdict.status, LaStatus::kNotMeasured);
  EXPECT_THAT(Text(verdict), HasSubstr("! Only 1 row was scored"));
  // Figures are given, and called one row's.
  EXPECT_THAT(verdict.headline.text,
              AllOf(HasSubstr("On the one row that was scored the loss without "
                              "the linear part is 0.0"),
                    HasSubstr("nats per token higher"),
                    HasSubstr("One row gives no interval")));
  EXPECT_THAT(Text(verdict),
              AllOf(HasSubstr("lower than that of the training-free baseline "
                              "with a bare window"),
                    HasSubstr("than that of the training-free baseline with 4 "
                              "sinks"),
                    Not(HasSubstr("nan"))));
  EXPECT_THAT(Text(Judge({.rows = 6})), HasSubstr("Only 6 rows were scored"));
  EXPECT_THAT(Text(Judge({.rows = 10})), Not(HasSubstr("were scored")));
}

TEST(VerdictTest, BelowTheTeacherIsNoSignOfTheLinearPart) {
  EXPECT_THAT(
      Text(Judge({.hybrid = 3.70, .swa_only = 3.75})),
      AllOf(HasSubstr("0.165 nats per token"), HasSubstr("below its teacher's"),
            HasSubstr("no sign of the linear part")));
  EXPECT_THAT(Text(Judge({.hybrid = 3.866, .noise = 0.05})),
              HasSubstr("cannot be told from its teacher"));
}

TEST(VerdictTest, BypassedHeadsAreCounted) {
  AttributionResult result = SampleAttribution();
  // Bypassed, used, more than asked for, nothing to carry.
  result.masses = {{{0.01, 0.19, 0.40, 0.0}},
                   {{0.01, 0.10, 0.30, 0.0}},
                   {{0.20, 0.20, 0.20, 0.001}}};
  const std::string text = Text(JudgeAttribution(result));
  EXPECT_THAT(text, HasSubstr("In 1 of 3 heads it carries less than half"));
  EXPECT_THAT(text, HasSubstr("a gap of 0.0 points"));
}

AttributionResult Control(const SampleLosses& losses) {
  AttributionResult result = SampleAttribution(losses);
  result.settings.recipe = "swa_control";
  return result;
}

TEST(VerdictTest, TheControlSaysWhatLoraAloneBought) {
  const Verdict verdict =
      JudgeAttribution(Control({.hybrid = 4.2, .swa_only = 3.95}));
  EXPECT_EQ(verdict.status, LaStatus::kControl);
  EXPECT_THAT(verdict.headline.text,
              AllOf(HasSubstr("LoRA with the bare window, without any linear "
                              "part, takes the loss from 5.070 to 3.950"),
                    HasSubstr("it buys 1.120 nats per token (95% interval")));
  // An untrained linear part that hurts is no finding.
  EXPECT_THAT(Text(verdict),
              AllOf(HasSubstr("This run is the control"),
                    HasSubstr("does not get below 3.950"),
                    HasSubstr("Sinks alone"), Not(HasSubstr("The hybrid")),
                    Not(HasSubstr("preset swa_control"))));
}

TEST(VerdictTest, TheControlMayCostOrChangeNothing) {
  EXPECT_THAT(JudgeAttribution(Control({.swa_only = 5.2})).headline.text,
              HasSubstr("it costs 0.130"));
  EXPECT_THAT(
      JudgeAttribution(Control({.swa_only = 5.069, .noise = 0.05}))
          .headline.text,
      AllOf(HasSubstr("Nothing that LoRA with the bare window bought can be "
                      "measured"),
            HasSubstr("includes zero")));
  AttributionResult bare = Control({});
  bare.modes.erase(bare.modes.begin() + 3);
  EXPECT_THAT(JudgeAttribution(bare).headline.text,
              HasSubstr("was not measured"));
}

TEST(VerdictTest, OtherRunsSayHowToGetTheControl) {
  AttributionResult result = SampleAttribution();
  EXPECT_THAT(Text(JudgeAttribution(result)), Not(HasSubstr("swa_control")));
  for (const char* recipe : {"lolcats", "stages"}) {
    result.settings.recipe = recipe;
    EXPECT_THAT(Text(JudgeAttribution(result)),
                HasSubstr("run the same job with preset swa_control"));
  }
}

}  // namespace
}  // namespace caracal
