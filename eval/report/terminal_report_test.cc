// The text report: numbers, widths, colours and hostile texts.
#include "eval/report/terminal_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_split.h"
#include "core/base/utf8.h"
#include "eval/report/testing/sample_report.h"

namespace caracal {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(TerminalReportTest, HasTheTableTheVerdictAndThePlaces) {
  const std::string text = TerminalReport(SampleReport());
  EXPECT_THAT(text, ContainsRegex("  teacher +3\\.865 +\\[3\\.[0-9]{3}, "
                                  "[34]\\.[0-9]{3}\\]\n"));
  EXPECT_THAT(text, ContainsRegex("  hybrid +3\\.924 .* \\+0\\.059 +\\[\\+"));
  EXPECT_THAT(text, ContainsRegex("  teacher_swa S=0 +5\\.070 .*\\+1\\.205"));
  EXPECT_THAT(text, ContainsRegex("  teacher_swa S=4 +3\\.983 .*\\+0\\.118"));
  EXPECT_THAT(text, ContainsRegex("  removing la +\\+0\\.027"));
  EXPECT_THAT(text, ContainsRegex("  none \u2212 hybrid +\\+6\\.588"));
  EXPECT_THAT(text, ContainsRegex("    of it swa +\\+[56]\\..* 7[0-9]%\n"));
  EXPECT_THAT(text, ContainsRegex("    of it la +\\+[01]\\..* 2[0-9]%\n"));
  EXPECT_THAT(text, ContainsRegex("reach, of scored tokens +88%"));
  for (const char* part :
       {"The linear part is used", "Sinks alone", "training-free baseline",
        "The package manager of a Debian system", "archive & checks",
        "runs/smollm2-demo/metrics.jsonl", "attention transfer 1 min 47 s",
        "peak memory 1.9 GiB"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
}

TEST(TerminalReportTest, SaysWhatTheRunFinishedAs) {
  ReportInput input = SampleReport();
  EXPECT_THAT(TerminalReport(input), Not(HasSubstr("inished as")));
  input.attribution.settings.finished_as = "la_only";
  const std::string text = TerminalReport(input, {.width = 300});
  EXPECT_THAT(text, HasSubstr("\nFinished as la_only, with a loss of 6.203 "
                              "nats per token, not as this hybrid\n"));
  EXPECT_THAT(text, HasSubstr("Verdict on the same model as a hybrid: used ("));
  EXPECT_THAT(TerminalReport(input, {.color = true}),
              HasSubstr("\x1b[1m  la_only "));
}

TEST(TerminalReportTest, NoLineIsWiderThanTheTerminal) {
  for (size_t width : {80, 100, 140}) {
    const std::string text = TerminalReport(SampleReport(), {.width = width});
    for (absl::string_view line : absl::StrSplit(text, '\n')) {
      EXPECT_LE(TerminalColumns(line), static_cast<int>(width)) << line;
    }
  }
}

TEST(TerminalReportTest, ProbesHaveATableAndASentenceEach) {
  const std::string text = TerminalReport(SampleSteeredReport());
  EXPECT_THAT(text, ContainsRegex("  passkey +256 tokens +512 tokens +1,024 "
                                  "tokens\n  facts outside +11 of 16 +13 of "
                                  "16 +15 of 16\n  teacher +1\\.00 "
                                  "\\[0\\.[0-9]{2}, 1\\.00\\]"));
  // Where the teacher cannot, nobody else was asked.
  EXPECT_THAT(text, ContainsRegex("  hybrid +0\\.[0-9]{2} \\[.* \u2013\n"));
  EXPECT_THAT(text, HasSubstr("  recall "));
  EXPECT_THAT(text, HasSubstr("+ Passkey, 256 tokens: used."));
  EXPECT_THAT(text, HasSubstr("Passkey, 1,024 tokens: cannot tell: the "
                              "teacher gets 0."));
  EXPECT_THAT(text, HasSubstr("! Recall, 256 tokens: no use seen: at most"));
  for (size_t width : {60, 80, 120}) {
    for (absl::string_view line : absl::StrSplit(
             TerminalReport(SampleProbeReport(), {.width = width}), '\n')) {
      EXPECT_LE(TerminalColumns(line), static_cast<int>(width)) << line;
    }
  }
}

TEST(TerminalReportTest, ProbesAloneAreAReportToo) {
  const std::string text = TerminalReport(SampleProbeReport());
  EXPECT_THAT(text, HasSubstr("The linear part is used: in 2 of the 4 (of "
                              "5)"));
  EXPECT_THAT(text, Not(HasSubstr("Verdict:")));
  EXPECT_THAT(text, Not(HasSubstr("0 rows")));
  EXPECT_THAT(text, Not(HasSubstr("nan")));
}

TEST(TerminalReportTest, NeverLeavesTwoEmptyLines) {
  for (const ReportInput& input : {SampleReport(), SampleProbeReport(),
                                   SampleSteeredReport(), ReportInput{}}) {
    EXPECT_THAT(TerminalReport(input), Not(HasSubstr("\n\n\n")));
  }
}

TEST(TerminalReportTest, ColorsOnlyWhenAskedFor) {
  EXPECT_THAT(TerminalReport(SampleReport()), Not(HasSubstr("\x1b")));
  EXPECT_THAT(TerminalReport(SampleReport(), {.color = true}),
              HasSubstr("\x1b[1m"));
}

TEST(TerminalReportTest, TextsCannotSteerTheTerminal) {
  ReportInput input = SampleReport();
  const std::string evil =
      "\x1b]0;title\x07\x1b[2J\x9b"
      "2J\r";
  for (std::string* text :
       {&input.attribution.settings.model, &input.attribution.settings.data,
        &input.attribution.settings.feature_map, &input.run.prompt,
        &input.run.teacher_continuation, &input.run.files[0].path,
        &input.run.files[0].what, &input.run.timings[0].what,
        &input.attribution.modes[2].mode,
        &input.attribution.drop[0].component}) {
    *text = evil;
  }
  const std::string out = TerminalReport(input);
  for (char c : out) {
    EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20);
  }
  EXPECT_THAT(out, Not(HasSubstr("\x1b")));
}

TEST(TerminalReportTest, AnEmptyResultSaysThatNothingWasMeasured) {
  const std::string text = TerminalReport({});
  EXPECT_THAT(text, HasSubstr("was not measured"));
  EXPECT_THAT(text, Not(HasSubstr("nan")));
}

}  // namespace
}  // namespace caracal
