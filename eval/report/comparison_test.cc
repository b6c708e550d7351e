// What is compared, what is refused, and how it looks.
#include "eval/report/comparison.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "core/base/status_matchers.h"
#include "core/base/utf8.h"
#include "eval/report/testing/sample_report.h"
#include "eval/report/testing/xml_checker.h"
#include "nlohmann/json.hpp"

namespace caracal {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::vector<ComparedRun> Runs() {
  std::vector<ComparedRun> runs = {
      {"runs/lolcats", SampleAttribution()},
      {"runs/ssd", SampleAttribution({.hybrid = 3.90, .swa_only = 3.98})},
      {"runs/bypassed", SampleAttribution({.hybrid = 3.951, .noise = 0.05})}};
  runs[0].result.settings.recipe = "lolcats";
  runs[1].result.settings.recipe = "ssd";
  runs[1].result.settings.sinks = 4;
  return runs;
}

const ComparisonLine* Find(const Comparison& comparison,
                           const std::string& group, const std::string& label) {
  for (const ComparisonLine& line : comparison.lines) {
    if (line.group == group && line.label == label) return &line;
  }
  ADD_FAILURE() << group << ": " << label;
  static const ComparisonLine none;
  return &none;
}

TEST(CompareRunsTest, HasEveryQuantityOfEveryRun) {
  ASSERT_OK_AND_ASSIGN(const Comparison c, CompareRuns(Runs()));
  EXPECT_EQ(c.about,
            "SmolLM2-135M-Instruct, 32 rows of 512 tokens, heldout.h5");
  ASSERT_EQ(c.columns.size(), 3);
  EXPECT_EQ(c.columns[0].name, "runs/lolcats");
  EXPECT_EQ(c.columns[1].name, "runs/ssd");
  EXPECT_THAT(c.columns[2].members, testing::ElementsAre("runs/bypassed"));
  const auto mean = [&](const char* group, const char* label, size_t run) {
    const ComparisonLine* line = Find(c, group, label);
    return line->values.size() == 3 ? line->values[run].mean : -1;
  };
  EXPECT_NEAR(mean("Loss, nats per token", "hybrid", 1), 3.90, 1e-9);
  EXPECT_NEAR(mean("Loss, nats per token", "la_only", 0), 6.203, 1e-9);
  EXPECT_NEAR(mean("Linear part", "u", 1), 0.08, 1e-9);
  EXPECT_NEAR(mean("Linear part", "r = u / u*", 1), 0.08 / 1.205, 1e-6);
  EXPECT_TRUE(Find(c, "Linear part", "r = u / u*")->values[1].bounded());
  EXPECT_NEAR(mean("Untrained teacher", "teacher_swa S=4", 2), 3.983, 1e-9);
  // Paired: the rows are the same, so the interval is narrow.
  const ComparisonLine* paired = Find(c, "As finished, minus", "run 1");
  EXPECT_FALSE(paired->values[0].measured());
  EXPECT_NEAR(paired->values[1].mean, -0.024, 1e-9);
  EXPECT_TRUE(paired->values[1].below_zero());
  EXPECT_THAT(Find(c, "Linear part", "verdict")->texts,
              testing::ElementsAre("used", "used", "bypassed"));
  EXPECT_THAT(Find(c, "Run", "window, sinks")->texts[1], "64, 4");
}

TEST(CompareRunsTest, RefusesWhatCannotBeComparedAndNamesBoth) {
  const auto refused = [](void (*change)(AttributionResult&)) {
    std::vector<ComparedRun> runs = Runs();
    change(runs[1].result);
    return CompareRuns(runs);
  };
  const auto because = [](const char* why) {
    return StatusIs(absl::StatusCode::kInvalidArgument,
                    AllOf(HasSubstr("runs/lolcats and runs/ssd cannot be "
                                    "compared"),
                          HasSubstr(why)));
  };
  EXPECT_THAT(refused([](auto& r) { r.settings.rows_digest = "beef"; }),
              because("held-out rows differ (heldout.h5 with digest "
                      "0123456789abcdef, and heldout.h5 with digest beef)"));
  EXPECT_THAT(refused([](auto& r) { r.settings.rows_digest = ""; }),
              because("digest unknown"));
  EXPECT_THAT(refused([](auto& r) { r.settings.rows = 31; }),
              because("numbers of rows differ, 32 and 31"));
  EXPECT_THAT(refused([](auto& r) { r.settings.tokens_per_row = 1024; }),
              because("tokens per row differ, 512 and 1,024"));
  EXPECT_THAT(refused([](auto& r) { r.settings.model = "other"; }),
              because("models differ, SmolLM2-135M-Instruct and other"));
  EXPECT_THAT(refused([](auto& r) { r.modes[0].loss += 0.01; }),
              because("teachers' losses differ"));
}

TEST(CompareRunsTest, RunsOfOlderVersionsNeedTheSameFile) {
  std::vector<ComparedRun> runs = Runs();
  for (ComparedRun& run : runs) run.result.settings.rows_digest.clear();
  EXPECT_OK(CompareRuns(runs).status());
  runs[2].result.settings.data = "other.h5";
  EXPECT_THAT(CompareRuns(runs),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("heldout.h5 and other.h5")));
}

TEST(CompareRunsTest, ModesThatOneRunLacksAreLeftEmpty) {
  std::vector<ComparedRun> runs = Runs();
  auto& modes = runs[0].result.modes;
  modes.erase(std::remove_if(modes.begin(), modes.end(),
                             [](const auto& m) { return m.mode == "la_past"; }),
              modes.end());
  ASSERT_OK_AND_ASSIGN(const Comparison c, CompareRuns(runs));
  const ComparisonLine* line = Find(c, "Loss, nats per token", "la_past");
  EXPECT_FALSE(line->values[0].measured());
  EXPECT_TRUE(line->values[1].measured());
  // And stands where the reports have it.
  EXPECT_EQ((line + 1)->label, "none");
}

// Two seeds of one job, and a job of one seed.
std::vector<ComparedRun> SeededRuns() {
  std::vector<ComparedRun> runs = {
      {"out/ssd-s4-seed1", SampleAttribution()},
      {"out/lolcats-s4-seed1", SampleAttribution()},
      {"out/ssd-s4-seed2",
       SampleAttribution({.hybrid = 3.93, .swa_only = 3.953})}};
  for (ComparedRun& run : runs) {
    run.result.settings.seed = run.name.back();
    run.result.settings.job_digest = run.name.substr(4, 3);
    ProbeResult probe;
    probe.probe = "passkey";
    probe.length = 256;
    probe.samples = 16;
    probe.digest = "aa";
    probe.depth.assign(16, 0.5);
    probe.outside.assign(16, 1);
    for (const char* mode : {"hybrid", "swa_only"}) {
      ProbeMode m;
      m.mode = mode;
      for (int i = 0; i < 16; ++i) {
        const int right = run.name.back() == '1' ? 12 : 10;
        m.among.push_back(m.mode == "hybrid" && i < right);
      }
      m.exact = m.among;
      m.nats.assign(16, 1.0);
      probe.modes.push_back(m);
    }
    run.result.probes = {probe};
  }
  return runs;
}

TEST(CompareSeedsTest, RunsOfOneJobShareAColumn) {
  const std::vector<ComparedRun> runs = SeededRuns();
  ASSERT_OK_AND_ASSIGN(const Comparison c, CompareRuns(runs));
  ASSERT_EQ(c.columns.size(), 2);
  EXPECT_EQ(c.columns[0].name, "out/ssd-s4 (2 seeds)");
  EXPECT_THAT(c.columns[0].members,
              testing::ElementsAre("out/ssd-s4-seed1", "out/ssd-s4-seed2"));
  EXPECT_THAT(c.columns[0].seeds, testing::ElementsAre("1", "2"));
  EXPECT_EQ(c.columns[1].name, "out/lolcats-s4-seed1");
  EXPECT_THAT(Find(c, "Run", "seed")->texts, testing::ElementsAre("1, 2", "1"));
  const Interval& hybrid = Find(c, "Loss, nats per token", "hybrid")->values[0];
  EXPECT_NEAR(hybrid.mean, (3.924 + 3.93) / 2, 1e-9);
  // u is 0.027 and 0.023: over rows alone clear, over two seeds not.
  const Interval& u = Find(c, "Linear part", "u")->values[0];
  EXPECT_NEAR(u.mean, 0.025, 1e-9);
  EXPECT_GT(u.high - u.mean, 12.7 * 0.002);
  EXPECT_TRUE(Find(c, "Linear part", "u")->values[1].above_zero());
  EXPECT_FALSE(u.above_zero());
  // The picture: a mark a seed.
  EXPECT_THAT(c.dots[0].hybrid_of_seeds, testing::SizeIs(2));
  EXPECT_THAT(c.dots[1].hybrid_of_seeds, testing::IsEmpty());
  // Difference to run 1, whose seeds vary.
  const Interval& to_first = Find(c, "As finished, minus", "run 1")->values[1];
  EXPECT_NEAR(to_first.mean, 3.924 - 3.927, 1e-9);
  EXPECT_GT(to_first.high - to_first.mean, 12.7 * 0.003);
}

TEST(CompareSeedsTest, OtherJobsAndTheSameSeedTwiceStayApart) {
  std::vector<ComparedRun> runs = SeededRuns();
  runs[2].result.settings.seed = "1";
  ASSERT_OK_AND_ASSIGN(const Comparison twice, CompareRuns(runs));
  EXPECT_EQ(twice.columns.size(), 3);
  runs = SeededRuns();
  runs[2].result.settings.job_digest.clear();
  ASSERT_OK_AND_ASSIGN(const Comparison unknown, CompareRuns(runs));
  EXPECT_EQ(unknown.columns.size(), 3);
  runs = SeededRuns();
  runs[2].result.settings.window = 32;
  ASSERT_OK_AND_ASSIGN(const Comparison other, CompareRuns(runs));
  EXPECT_EQ(other.columns.size(), 3);
  runs = SeededRuns();
  runs[0].name = "a";
  runs[2].name = "b";
  ASSERT_OK_AND_ASSIGN(const Comparison unlike, CompareRuns(runs));
  EXPECT_EQ(unlike.columns[0].name, "a (2 seeds)");
}

TEST(CompareSeedsTest, ProbesAreOverPromptsAndSeeds) {
  const std::vector<ComparedRun> runs = SeededRuns();
  ASSERT_OK_AND_ASSIGN(const Comparison c, CompareRuns(runs));
  const char* group = "Text probes, share right of facts outside";
  const ComparisonLine* hybrid = Find(c, group, "passkey 256");
  EXPECT_NEAR(hybrid->values[0].mean, 11 / 16.0, 1e-12);
  EXPECT_EQ(hybrid->values[0].high, 1);  // 0.125 of two seeds is far apart
  EXPECT_NEAR(hybrid->values[1].mean, 12 / 16.0, 1e-12);
  EXPECT_LT(hybrid->values[1].high, 0.95);
  EXPECT_EQ(Find(c, group, "passkey 256, swa_only")->values[0].mean, 0);
  // Other prompts are another line.
  std::vector<ComparedRun> apart = runs;
  apart[1].result.probes[0].digest = "bb";
  ASSERT_OK_AND_ASSIGN(const Comparison two, CompareRuns(apart));
  EXPECT_FALSE(Find(two, group, "passkey 256")->values[1].measured());
}

TEST(CompareSeedsTest, EveryViewNamesTheSeeds) {
  const std::vector<ComparedRun> runs = SeededRuns();
  ASSERT_OK_AND_ASSIGN(const Comparison c, CompareRuns(runs));
  const std::string text = ComparisonText(c, 80);
  EXPECT_THAT(text, AllOf(HasSubstr("out/ssd-s4 (2 seeds)"), HasSubstr("1, 2"),
                          HasSubstr("passkey 256")));
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    EXPECT_LE(TerminalColumns(line), 80) << line;
  }
  const std::string html = ComparisonHtml(c);
  ASSERT_OK_AND_ASSIGN(auto counts, CheckXml(html));
  EXPECT_EQ(counts["table"], 1);
  EXPECT_THAT(html, AllOf(HasSubstr("out/ssd-s4 (2 seeds)"),
                          HasSubstr("Mean over out/ssd-s4-seed1, "
                                    "out/ssd-s4-seed2."),
                          HasSubstr("class=\"of-seed\"")));
  const auto json = nlohmann::json::parse(ComparisonToJson(c));
  EXPECT_EQ(json["runs"].size(), 2);
  EXPECT_EQ(json["runs"][0]["members"][1], "out/ssd-s4-seed2");
  EXPECT_EQ(json["runs"][0]["seeds"][1], "2");
  EXPECT_EQ(json["lines"][3]["values"].size(), 2);
}

TEST(ComparisonTextTest, FitsTheTerminal) {
  ASSERT_OK_AND_ASSIGN(const Comparison c, CompareRuns(Runs()));
  for (const size_t width : {80, 100, 140}) {
    const std::string text = ComparisonText(c, width);
    for (absl::string_view line : absl::StrSplit(text, '\n')) {
      EXPECT_LE(TerminalColumns(line), static_cast<int>(width)) << line;
    }
    for (const char* part : {"runs/ssd", "bypassed", "3.900", "r = u / u*"}) {
      EXPECT_THAT(text, HasSubstr(part));
    }
  }
}

TEST(ComparisonTextTest, LongAndHostileNames) {
  std::vector<ComparedRun> runs = Runs();
  runs[0].name = "/a/very/long/path/to/a/folder/of/runs/lolcats";
  runs[1].name = "\x1b[2Jevil";
  ASSERT_OK_AND_ASSIGN(const Comparison c, CompareRuns(runs));
  const std::string text = ComparisonText(c, 80);
  EXPECT_THAT(text, AllOf(HasSubstr("\u2026"), HasSubstr("runs/lolcats"),
                          Not(HasSubstr("\x1b"))));
}

TEST(CompareRunsTest, ThePictureHasEveryRunAndWhatItIsSeenAgainst) {
  ASSERT_OK_AND_ASSIGN(const Comparison c, CompareRuns(Runs()));
  ASSERT_EQ(c.dots.size(), 3);
  EXPECT_EQ(c.dots[1].name, "ssd");
  EXPECT_NEAR(c.dots[1].hybrid, 3.90, 1e-9);
  EXPECT_NEAR(c.dots[1].swa_only, 3.98, 1e-9);
  ASSERT_EQ(c.references.size(), 3);
  EXPECT_TRUE(c.references[0].teacher);
  EXPECT_NEAR(c.references[0].loss, 3.865, 1e-9);
  EXPECT_NEAR(c.references[1].loss, 3.983, 1e-9);
  std::vector<ComparedRun> with_sinks = {Runs()[1]};
  ASSERT_OK_AND_ASSIGN(const Comparison near, CompareRuns(with_sinks));
  EXPECT_EQ(near.references.size(), 2);
  with_sinks[0].result.settings.recipe = "swa_control";
  ASSERT_OK_AND_ASSIGN(const Comparison control, CompareRuns(with_sinks));
  EXPECT_TRUE(std::isnan(control.dots[0].hybrid));
  EXPECT_NEAR(control.dots[0].swa_only, 3.98, 1e-9);
}

// A control is compared by what it was trained to be.
TEST(CompareRunsTest, HybridsAreComparedWithTheControl) {
  std::vector<ComparedRun> runs = Runs();
  runs[0].result.settings.sinks = 4;  // as runs[1], unlike runs[2]
  runs[0].result.settings.recipe = "swa_control";
  for (const bool first : {true, false}) {
    if (!first) std::swap(runs[0], runs[1]);
    const size_t control = first ? 0 : 1, ssd = 1 - control;
    ASSERT_OK_AND_ASSIGN(const Comparison c, CompareRuns(runs));
    const auto& gain = Find(c, "As finished, minus", "swa_control")->values;
    const double swa_only =
        Find(c, "Loss, nats per token", "swa_only")->values[control].mean;
    EXPECT_NEAR(gain[ssd].mean, 3.90 - swa_only, 1e-9);
    EXPECT_TRUE(gain[ssd].bounded());
    EXPECT_FALSE(gain[control].measured());
    EXPECT_FALSE(gain[2].measured());  // other sinks
    for (const char* label : {"u", "r = u / u*"}) {
      const ComparisonLine* line = Find(c, "Linear part", label);
      EXPECT_FALSE(line->values[control].measured()) << label;
      EXPECT_TRUE(line->values[ssd].measured()) << label;
    }
    const auto& to_teacher = Find(c, "As finished, minus", "teacher")->values;
    EXPECT_NEAR(to_teacher[control].mean, swa_only - 3.865, 1e-9);
    EXPECT_NEAR(to_teacher[ssd].mean, 3.90 - 3.865, 1e-9);
  }
}

// Two runs, of which the first finished as linear attention alone.
std::vector<ComparedRun> OneOfLinearAttention() {
  std::vector<ComparedRun> runs = Runs();
  runs.pop_back();
  runs[0].name = "runs/hedgehog-s0";
  runs[0].result.settings.recipe = "hedgehog";
  runs[0].result.settings.finished_as = "la_only";
  runs[1].result.settings.finished_as = "hybrid";
  return runs;
}

TEST(CompareRunsTest, SaysWhatEachRunFinishedAsAndComparesThat) {
  ASSERT_OK_AND_ASSIGN(const Comparison c, CompareRuns(OneOfLinearAttention()));
  EXPECT_THAT(Find(c, "Run", "finished as")->texts,
              testing::ElementsAre("la_only", "hybrid"));
  const auto& finished = Find(c, "Loss, nats per token", "as finished")->values;
  EXPECT_NEAR(finished[0].mean, 6.203, 1e-9);
  EXPECT_TRUE(finished[0].bounded());
  EXPECT_NEAR(finished[1].mean, 3.90, 1e-9);
  const auto& to_teacher = Find(c, "As finished, minus", "teacher")->values;
  EXPECT_NEAR(to_teacher[0].mean, 6.203 - 3.865, 1e-9);
  EXPECT_NEAR(to_teacher[1].mean, 3.90 - 3.865, 1e-9);
  EXPECT_NEAR(Find(c, "As finished, minus", "run 1")->values[1].mean,
              3.90 - 6.203, 1e-9);
  EXPECT_THAT(Find(c, "Linear part", "verdict")->texts,
              testing::ElementsAre("used, as a hybrid", "used"));
  EXPECT_THAT(c.columns[0].verdict, HasSubstr("; of the same model run as a "
                                              "hybrid, while the run finished "
                                              "as la_only)"));
  EXPECT_EQ(c.columns[0].finished_as, "la_only");
}

TEST(CompareRunsTest, TheLegendSaysWhoseDotIsNotTheFinishedModel) {
  ASSERT_OK_AND_ASSIGN(const Comparison c, CompareRuns(OneOfLinearAttention()));
  EXPECT_THAT(ComparisonHtml(c),
              AllOf(HasSubstr("Dot: the hybrid. Ring"),
                    HasSubstr("hedgehog-s0 finished as la_only, loss 6.203: "
                              "its dot is the same model run as a hybrid."),
                    Not(HasSubstr("finished hybrid"))));
  ASSERT_OK_AND_ASSIGN(const Comparison hybrids, CompareRuns(Runs()));
  EXPECT_THAT(ComparisonHtml(hybrids), Not(HasSubstr("its dot is")));
  std::vector<ComparedRun> control = Runs();
  control[0].result.settings.recipe = "swa_control";
  ASSERT_OK_AND_ASSIGN(const Comparison with, CompareRuns(control));
  EXPECT_THAT(ComparisonHtml(with),
              HasSubstr("lolcats finished as swa_only, loss 3.951: that is its "
                        "ring."));
}

TEST(ComparisonHtmlTest, LooksLikeTheOtherPages) {
  std::vector<ComparedRun> runs = Runs();
  runs[0].name = "runs/hedgehog_long-name";
  ASSERT_OK_AND_ASSIGN(const Comparison c, CompareRuns(runs));
  const std::string html = ComparisonHtml(c);
  EXPECT_THAT(html, AllOf(HasSubstr("<p class=\"eyebrow\">Comparison</p>"),
                          Not(HasSubstr("Attribution report"))));
  // Minus signs, but not those of JSON or a terminal.
  EXPECT_THAT(c.columns[2].verdict, HasSubstr("[-0.0"));
  EXPECT_THAT(html, Not(HasSubstr("[-0.0")));
  EXPECT_THAT(html, HasSubstr("[\u22120.0"));
  // Long names break between their parts only.
  EXPECT_THAT(html, HasSubstr("<th scope=\"col\">runs/<wbr/>hedgehog_<wbr/>"
                              "long-<wbr/>name</th>"));
}

TEST(ComparisonHtmlTest, IsOneWholePage) {
  std::vector<ComparedRun> runs = Runs();
  runs[0].name = "<script>";
  ASSERT_OK_AND_ASSIGN(const Comparison c, CompareRuns(runs));
  const std::string html = ComparisonHtml(c);
  ASSERT_OK_AND_ASSIGN(auto counts, CheckXml(html));
  EXPECT_EQ(counts["table"], 1);
  EXPECT_EQ(counts["svg"], 1);
  EXPECT_EQ(counts["circle"], 6);  // a dot and a ring of each
  EXPECT_EQ(counts["script"], 0);
  for (const char* reference : {"http:", "https:", "src=", "href=", "url("}) {
    EXPECT_THAT(html, Not(HasSubstr(reference)));
  }
  EXPECT_THAT(html, AllOf(HasSubstr("&lt;script&gt;"), HasSubstr("3.900"),
                          HasSubstr("bypassed")));
}

TEST(ComparisonJsonTest, HasALineForEachQuantity) {
  ASSERT_OK_AND_ASSIGN(const Comparison c, CompareRuns(Runs()));
  const auto json = nlohmann::json::parse(ComparisonToJson(c));
  EXPECT_EQ(json["runs"][1]["name"], "runs/ssd");
  EXPECT_EQ(json["lines"].size(), c.lines.size());
  EXPECT_EQ(json["lines"][3]["label"], "as finished");
  EXPECT_EQ(json["lines"][3]["values"].size(), 3);
  EXPECT_TRUE(json["lines"][3]["values"][0]["mean"].is_number());
  EXPECT_EQ(json["runs"][1]["finished_as"], "hybrid");
}

}  // namespace
}  // namespace caracal
