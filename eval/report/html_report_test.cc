// The page as a whole: well-formed, self-contained, escaped, complete.
#include "eval/report/html_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/base/status_matchers.h"
#include "eval/report/terminal_report.h"
#include "eval/report/testing/sample_report.h"
#include "eval/report/testing/xml_checker.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(HtmlReportTest, IsWellFormedAndHasEveryPart) {
  ASSERT_OK_AND_ASSIGN(auto counts, CheckXml(HtmlReport(SampleReport())));
  EXPECT_EQ(counts["html"], 1);
  EXPECT_EQ(counts["h1"], 1);
  EXPECT_EQ(counts["h2"], 5);
  EXPECT_EQ(counts["svg"], 2 + 3 + 1 + 1 + 2);
  EXPECT_EQ(counts["table"], 2 + 4);
  EXPECT_EQ(counts["caption"], counts["table"]);
  EXPECT_EQ(counts["mark"], 2);
}

TEST(HtmlReportTest, SteeredRunsShowWhatSteeredThem) {
  const std::string html = HtmlReport(SampleSteeredReport());
  ASSERT_OK_AND_ASSIGN(auto counts, CheckXml(html));
  EXPECT_EQ(counts["svg"], 2 + 3 + 1 + 1 + 1 + 2 + 2 + 2 + 6 + 1);
  for (const char* text :
       {"Window dropout", "By class of key", "\u03b3 by layer",
        "Linear parts removed one at a time", "Closed loop: what it measures",
        "Early stop", "Choosing \u03b3", "Of 11 values tried", "W(t)"}) {
    EXPECT_THAT(html, HasSubstr(text));
  }
}

TEST(HtmlReportTest, SaysWhatTheRunFinishedAs) {
  ReportInput input = SampleReport();
  EXPECT_THAT(HtmlReport(input), Not(HasSubstr("inished as")));
  input.attribution.settings.finished_as = "la_only";
  const std::string html = HtmlReport(input);
  EXPECT_OK(CheckXml(html));
  for (const char* text :
       {"<p class=\"sub\">Finished as la_only, with a loss of 6.203 nats per "
        "token, not as this hybrid</p>",
        "<dt>la_only minus teacher</dt>",
        "<dt>la_only minus untrained window</dt>",
        "<dt>Linear part brings the hybrid (u)</dt>",
        "Verdict on the same model as a hybrid: <b>used</b>",
        "<li><span class=\"swatch student\"></span>the student as a "
        "hybrid</li>",
        "linear attention alone, over the whole past; the run finished as "
        "this"}) {
    EXPECT_THAT(html, HasSubstr(text));
  }
  EXPECT_THAT(html, Not(HasSubstr("Hybrid minus")));
}

TEST(HtmlReportTest, SaysWhereGammaWasChosenOnRowsScoredHere) {
  const std::string said = "the first 16 of the 32 rows scored above";
  ReportInput input = SampleSteeredReport();
  EXPECT_THAT(HtmlReport(input), Not(HasSubstr("rows scored above")));
  EXPECT_THAT(TerminalReport(input), Not(HasSubstr("rows scored above")));
  input.gamma_rows_scored = 16;
  EXPECT_THAT(HtmlReport(input), HasSubstr(said));
  EXPECT_THAT(TerminalReport(input, {.width = 500}), HasSubstr(said));
  input.gamma_rows_scored = 32;
  EXPECT_THAT(HtmlReport(input), HasSubstr("the 32 rows scored above"));
}

TEST(HtmlReportTest, ProbesAloneAreAPageToo) {
  ReportInput input = SampleProbeReport();
  input.attribution.probes[0].probe = "<b>passkey";
  input.attribution.probes[0].modes[2].mode = "<i>";
  const std::string html = HtmlReport(input);
  ASSERT_OK_AND_ASSIGN(auto counts, CheckXml(html));
  EXPECT_EQ(counts["svg"], 3);
  EXPECT_EQ(counts["table"], 3);
  EXPECT_EQ(counts["caption"], counts["table"]);
  for (const char* text :
       {"Text probes that need the past", "Passkey, 512 tokens: used.",
        "Guessing gets 0.12.", "11 of 16 outside", "Nats a token",
        "cannot tell: the teacher gets"}) {
    EXPECT_THAT(html, HasSubstr(text));
  }
  EXPECT_THAT(html, Not(HasSubstr("<b>passkey")));
  EXPECT_THAT(html, Not(HasSubstr("0 rows")));
  EXPECT_THAT(html, Not(HasSubstr("Verdict: ")));
}

TEST(HtmlReportTest, RefersToNothingOutside) {
  const std::string html = HtmlReport(SampleSteeredReport());
  for (const char* reference :
       {"http:", "https:", "//", "src=", "href=", "url(", "@import", "<script",
        "<link", "<img", "<iframe", "<object", "@font-face", "javascript:"}) {
    EXPECT_THAT(html, Not(HasSubstr(reference)));
  }
  EXPECT_THAT(html, HasSubstr("default-src 'none'"));
}

TEST(HtmlReportTest, HasTheNumbersAndTheVerdict) {
  const std::string html = HtmlReport(SampleReport());
  for (const char* text : {"SmolLM2-135M-Instruct",
                           "The linear part is used",
                           "3.865",
                           "3.924",
                           "3.951",
                           "10.512",
                           "5.070",
                           "3.983",
                           "+0.059",
                           "teacher_swa S=4",
                           "1 min 47 s",
                           "1.9 GiB",
                           "runs/smollm2-demo/metrics.jsonl",
                           "preset: LOLCATS",
                           "Stage transfer",
                           "Stage finetune",
                           "Shapley value",
                           "all of attention",
                           "layer 29, head 8",
                           "prefers-color-scheme:dark",
                           "@media print"}) {
    EXPECT_THAT(html, HasSubstr(text));
  }
}

TEST(HtmlReportTest, EveryTextOfTheInputIsEscaped) {
  const std::string evil = "</title><script>alert(\"1\")</script>&'\xFF\x1b";
  ReportInput input = SampleReport();
  AttributionSettings& settings = input.attribution.settings;
  for (std::string* text :
       {&settings.model, &settings.data, &settings.window_kind,
        &settings.feature_map, &input.run.model_path, &input.run.job_path,
        &input.run.job_text, &input.run.date, &input.run.prompt,
        &input.run.teacher_continuation, &input.run.student_continuation,
        &input.run.files[0].what, &input.run.files[0].path,
        &input.run.timings[0].what, &input.metrics[0].stage,
        &input.attribution.drop[1].component}) {
    *text = evil;
  }
  ModeResult mode = input.attribution.modes[0];
  mode.mode = evil;
  input.attribution.modes.push_back(mode);
  const std::string html = HtmlReport(input);
  EXPECT_OK(CheckXml(html));
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, HasSubstr("&lt;script&gt;alert(&quot;1&quot;)"));
}

TEST(HtmlReportTest, PartsWithoutDataAreLeftOut) {
  ASSERT_OK_AND_ASSIGN(auto empty, CheckXml(HtmlReport({})));
  EXPECT_EQ(empty["svg"], 0);
  EXPECT_EQ(empty["table"], 0);
  ReportInput input = SampleReport();
  input.metrics.clear();
  input.run = {};
  input.attribution.by_position.clear();
  input.attribution.masses = {};
  const std::string html = HtmlReport(input);
  ASSERT_OK_AND_ASSIGN(auto counts, CheckXml(html));
  EXPECT_EQ(counts["svg"], 2);
  EXPECT_THAT(html, Not(HasSubstr("Training")));
}

TEST(HtmlReportTest, SameContinuationsAreNotMarked) {
  ReportInput input = SampleReport();
  input.run.student_continuation = input.run.teacher_continuation;
  const std::string html = HtmlReport(input);
  ASSERT_OK_AND_ASSIGN(auto counts, CheckXml(html));
  EXPECT_EQ(counts["mark"], 0);
  EXPECT_THAT(html, HasSubstr("the two are the same"));
}

TEST(HtmlReportTest, WarningsAreWordsNotOnlyColors) {
  const std::string html =
      HtmlReport(SampleReport({.hybrid = 4.10, .swa_only = 4.15}));
  EXPECT_THAT(html, HasSubstr("class=\"unseen\">Warning: </span>The hybrid is "
                              "worse"));
}

TEST(HtmlReportTest, SameInputSameBytes) {
  EXPECT_EQ(HtmlReport(SampleReport()), HtmlReport(SampleReport()));
}

}  // namespace
}  // namespace caracal
