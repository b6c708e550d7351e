// Table, masses, verdict, then texts and places.
#include "eval/report/terminal_report.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "eval/report/chart_gamma.h"
#include "eval/report/chart_key_classes.h"
#include "eval/report/component_rows.h"
#include "eval/report/finished.h"
#include "eval/report/mode_rows.h"
#include "eval/report/numbers.h"
#include "eval/report/settings_text.h"
#include "eval/report/spark_line.h"
#include "eval/report/terminal_probes.h"
#include "eval/report/terminal_writer.h"
#include "eval/report/text.h"
#include "eval/report/verdict.h"

namespace caracal {
namespace {

constexpr size_t kLabel = 18, kNumber = 9, kRange = 19;
constexpr size_t kTable = 2 + kLabel + 2 * kNumber + 2 * kRange;

// Drops first, then the split of what attention brings.
void WriteComponents(TerminalWriter& out, const AttributionResult& result) {
  const std::vector<ComponentRow> rows = ComponentRows(result);
  const auto line = [&](absl::string_view name, const Interval& value,
                        const std::string& after) {
    const int decimals = DecimalsFor(value);
    out.Line(absl::StrCat(
        "  ", Left(name, kLabel), Right(Signed(value.mean, decimals), kNumber),
        out.Style(kDim, Right(SignedRange(value, decimals), kRange)), after));
  };
  for (const ComponentRow& row : rows) {
    if (!row.drop.measured()) continue;
    line(absl::StrCat("removing ", Printable(row.component)), row.drop, "");
  }
  if (result.shapley.empty()) return;
  line("none \u2212 hybrid", result.what_attention_brings,
       out.Style(kDim, Right("Shapley", kNumber + 2)));
  for (const ComponentRow& row : rows) {
    if (!row.shapley.measured() || row.component == "all") continue;
    line(
        absl::StrCat("  of it ", Printable(row.component)), row.shapley,
        std::isfinite(row.share) ? Right(Percent(row.share), kNumber + 2) : "");
  }
}

void WriteTable(TerminalWriter& out, const AttributionResult& result) {
  const std::vector<ModeRow> rows = ModeRows(result);
  if (rows.empty()) return;
  out.Line(out.Style(
      kDim, absl::StrCat("  ", Left("nats per token", kLabel),
                         Right("loss", kNumber), Right("95% interval", kRange),
                         Right("\u2212 teacher", kNumber + 2),
                         Right("95% interval", kRange - 2))));
  out.Rule(kTable);
  for (size_t i = 0; i < rows.size(); ++i) {
    const ModeRow& row = rows[i];
    if (i > 0 && StartsGroup(rows, i)) {
      out.Line(out.Style(kDim, row.kind == ModeKind::kBaseline
                                   ? "  untrained teacher with a window"
                                   : "  student with parts removed"));
    }
    const bool teacher = row.kind == ModeKind::kTeacher;
    const bool student = row.finished;
    const std::string name =
        absl::StrCat("  ", Left(Printable(row.label), kLabel),
                     Right(Fixed(row.result->loss, 3), kNumber));
    const std::string difference =
        teacher ? "" : Right(Signed(row.to_teacher.mean, 3), kNumber);
    out.Line(absl::StrCat(
        student ? out.Style(kBold, name) : name,
        out.Style(kDim, Right(Range(row.result->interval, 3), kRange)),
        student ? out.Style(kBold, difference) : difference,
        out.Style(kDim, teacher
                            ? ""
                            : Right(SignedRange(row.to_teacher, 3), kRange))));
  }
  out.Rule(kTable);
  WriteComponents(out, result);
  for (const ModeRow& row : rows) {
    if (row.label != kModeAtLabel) continue;
    out.Paragraph(absl::StrCat("  ", Left(row.label, kLabel)),
                  Printable(row.meaning));
  }
  out.Line();
}

// One block character a layer, the mean over its heads on a common scale.
std::string Spark(const HeadGrid& grid, double limit) {
  std::vector<double> means;
  for (const auto& layer : grid) means.push_back(GridMean({layer}));
  return SparkLine(means, 0, limit);
}

double LargestLayer(const HeadGrid& grid) {
  double largest = 0;
  for (const auto& layer : grid) {
    const double mean = GridMean({layer});
    if (std::isfinite(mean)) largest = std::max(largest, mean);
  }
  return largest;
}

void WriteKeyClasses(TerminalWriter& out, const AttributionResult& result) {
  const KeyClasses teacher = TeacherClasses(result);
  const KeyClasses student = StudentClasses(result);
  if (!std::isfinite(teacher.sinks) || !std::isfinite(student.sinks)) return;
  const auto cells = [](const std::string& window, const std::string& sinks,
                        const std::string& past) {
    return absl::StrCat(Right(window, 6), Right(sinks, 17), Right(past, 13));
  };
  out.Line(out.Style(
      kDim, absl::StrCat("  ", Left("attention by class of key", 28),
                         cells("window", "sink positions", "other past"))));
  for (const auto& [name, classes] :
       {std::pair("student", student), std::pair("teacher", teacher)}) {
    out.Line(absl::StrCat("  ", Left(name, 28),
                          cells(Percent(classes.window), Percent(classes.sinks),
                                Percent(classes.past))));
  }
  out.Line();
}

void WriteGamma(TerminalWriter& out, const AttributionResult& result) {
  const double mean = GridMean(result.gamma);
  if (!std::isfinite(mean)) return;
  double low = HUGE_VAL, high = -HUGE_VAL;
  for (const auto& layer : result.gamma) {
    for (const double gamma : layer) {
      low = std::fmin(low, gamma);
      high = std::fmax(high, gamma);
    }
  }
  out.Line(absl::StrCat("  ", Left("gamma, of the softmax part", 28),
                        Right(Fixed(mean, 2), 6), "   ",
                        Spark(result.gamma, LargestLayer(result.gamma)), "  ",
                        Fixed(low, 2), " to ", Fixed(high, 2)));
}

// Those that cost most.
void WriteAblation(TerminalWriter& out, const AttributionResult& result) {
  std::vector<const LinearAblation*> largest;
  for (const LinearAblation& a : result.ablation) largest.push_back(&a);
  std::stable_sort(largest.begin(), largest.end(),
                   [](const LinearAblation* a, const LinearAblation* b) {
                     return std::abs(a->cost.mean) > std::abs(b->cost.mean);
                   });
  constexpr size_t kShown = 8;
  if (largest.empty()) return;
  out.Line(out.Style(
      kDim,
      absl::StrCat("  linear part removed from one ",
                   largest[0]->head < 0 ? "layer" : "head",
                   largest.size() > kShown ? ", the largest effects" : "")));
  for (size_t i = 0; i < std::min(kShown, largest.size()); ++i) {
    const Interval& cost = largest[i]->cost;
    const int decimals = std::max(4, DecimalsFor(cost));
    std::string name = absl::StrCat("layer ", largest[i]->layer);
    if (largest[i]->head >= 0) {
      absl::StrAppend(&name, " head ", largest[i]->head);
    }
    out.Line(absl::StrCat("  ", Left(name, kLabel),
                          Right(Signed(cost.mean, decimals), kNumber), "  ",
                          out.Style(kDim, SignedRange(cost, decimals))));
  }
  out.Line();
}

void WriteMasses(TerminalWriter& out, const AttributionResult& result) {
  const AttentionMasses& masses = result.masses;
  const double la = GridMean(masses.la_mass);
  if (std::isfinite(la)) {
    const double limit = std::max(LargestLayer(masses.la_mass),
                                  LargestLayer(masses.teacher_out_mass));
    const double teacher = GridMean(masses.teacher_out_mass);
    const auto line = [&](absl::string_view name, const HeadGrid& grid) {
      out.Line(absl::StrCat("  ", Left(name, 28),
                            Right(Percent(GridMean(grid)), 6), "   ",
                            Spark(grid, limit)));
    };
    out.Line(out.Style(kDim, absl::StrCat("  ", Left("attention mass", 28),
                                          Right("mean", 6), "   by layer")));
    line("linear part", masses.la_mass);
    line("teacher outside the window", masses.teacher_out_mass);
    out.Line(absl::StrCat("  ", Left("gap, points", 28),
                          Right(Signed(100 * (la - teacher), 1), 6)));
    out.Line(absl::StrCat("  ", Left("linear part of the output", 28),
                          Right(Percent(GridMean(masses.la_output_share)), 6)));
  }
  if (std::isfinite(result.reach)) {
    out.Line(absl::StrCat("  ", Left("reach, of scored tokens", 28),
                          Right(Percent(result.reach), 6)));
  }
  WriteGamma(out, result);
  if (std::isfinite(la) || std::isfinite(result.reach)) out.Line();
  WriteKeyClasses(out, result);
}

void WriteVerdict(TerminalWriter& out, const AttributionSettings& settings,
                  const Verdict& verdict) {
  const auto color = [](Tone tone) {
    return tone == Tone::kGood      ? absl::string_view(kGreen)
           : tone == Tone::kWarning ? absl::string_view(kYellow)
                                    : absl::string_view();
  };
  out.Paragraph("", verdict.headline.text,
                absl::StrCat(kBold, ";", color(verdict.headline.tone)));
  if (!verdict.word.empty()) {
    out.Paragraph("", absl::StrCat(VerdictLabel(settings), verdict.word, " (",
                                   verdict.rule, ")."));
  }
  for (const Finding& finding : verdict.findings) out.Write(finding);
  out.Line();
}

void WriteTexts(TerminalWriter& out, const RunInfo& run) {
  if (run.teacher_continuation.empty() && run.student_continuation.empty()) {
    return;
  }
  const auto text = [&](absl::string_view name, const std::string& what) {
    const std::string clean = Printable(what);
    out.Paragraph(Left(name, 10), absl::StripAsciiWhitespace(clean));
  };
  text("prompt", run.prompt);
  text("teacher", run.teacher_continuation);
  text("student", run.student_continuation);
  out.Line();
}

void WriteRun(TerminalWriter& out, const RunInfo& run) {
  std::string timings;
  for (const RunInfo::Timing& timing : run.timings) {
    absl::StrAppend(&timings, timings.empty() ? "" : ", ",
                    Printable(timing.what), " ", Duration(timing.seconds));
  }
  if (run.peak_bytes > 0) {
    absl::StrAppend(&timings, timings.empty() ? "" : ", ", "peak memory ",
                    Bytes(run.peak_bytes));
  }
  if (!timings.empty()) out.Paragraph("", timings);
  size_t widest = 0;
  for (const RunInfo::File& file : run.files) {
    widest = std::max(widest, Columns(Printable(file.what)));
  }
  // Not wrapped: a path must stay whole to be copied.
  for (const RunInfo::File& file : run.files) {
    out.Line(Left(Printable(file.what), widest + 2) + Printable(file.path));
  }
}

}  // namespace

std::string TerminalReport(const ReportInput& input,
                           const TerminalOptions& options) {
  const AttributionResult& result = input.attribution;
  TerminalWriter out(options);
  out.Line(out.Style(kBold, absl::StrCat("Attribution report: ",
                                         Printable(result.settings.model))));
  out.Paragraph("", Printable(DescribeAttention(result.settings)));
  if (const std::string finished = FinishedLine(result); !finished.empty()) {
    out.Paragraph("", Printable(finished));
  }
  // Probes alone have none.
  const std::string rows = DescribeRows(result.settings);
  if (!rows.empty()) out.Paragraph("", Printable(rows));
  out.Line();
  WriteTable(out, result);
  WriteMasses(out, result);
  WriteAblation(out, result);
  WriteProbes(out, result);
  WriteVerdict(out, result.settings, JudgeAttribution(result));
  const std::string gamma =
      GammaSentence(input.gamma_sweep, input.chosen_gamma);
  if (!gamma.empty()) {
    out.Paragraph("", gamma + AboutGammaRows(input));
    out.Line();
  }
  WriteTexts(out, input.run);
  WriteRun(out, input.run);
  return std::move(out).Finish();
}

}  // namespace caracal
