// The page, section by section: what was found first, then the evidence, then
// what the run was.
#include "eval/report/html_report.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "eval/attribution/result_intervals.h"
#include "eval/report/chart_gamma.h"
#include "eval/report/chart_heat_map.h"
#include "eval/report/chart_key_classes.h"
#include "eval/report/chart_layers.h"
#include "eval/report/chart_loss_curve.h"
#include "eval/report/chart_modes.h"
#include "eval/report/chart_position.h"
#include "eval/report/finished.h"
#include "eval/report/html.h"
#include "eval/report/html_findings.h"
#include "eval/report/html_probes.h"
#include "eval/report/html_style.h"
#include "eval/report/html_tables.h"
#include "eval/report/mode_rows.h"
#include "eval/report/numbers.h"
#include "eval/report/settings_text.h"
#include "eval/report/text.h"
#include "eval/report/trace_figures.h"
#include "eval/report/verdict.h"
#include "eval/statistics/quantile.h"

namespace caracal {
namespace {

constexpr char kNotes[] =
    "u, what the linear part brings, is the loss of swa_only minus that of "
    "hybrid. swa_only is this student with its linear part taken out, not a "
    "model trained without one: how far fine-tuning alone would have come is "
    "for a swa_control run at the same budget to say. Shapley values split "
    "what all of attention brings, the loss of none minus that of hybrid: each "
    "component gets what it adds, averaged over every order of adding them. "
    "Intervals are bootstrapped over rows; differences are paired row by row.";

std::string VerdictBox(const AttributionSettings& settings,
                       const Verdict& verdict) {
  std::string findings;
  for (const Finding& finding : verdict.findings) {
    findings += FindingItem(finding);
  }
  return Element(
      "div", absl::StrCat("verdict ", ToneClass(verdict.headline.tone)),
      absl::StrCat(
          Element("p", "headline", HtmlText(verdict.headline.text)),
          verdict.word.empty()
              ? ""
              : Element("p", "rule",
                        absl::StrCat(
                            VerdictLabel(settings),
                            Element("b", "", HtmlText(verdict.word)),
                            HtmlText(absl::StrCat(" (", verdict.rule, ").")))),
          findings.empty() ? "" : Element("ul", "findings", findings)));
}

std::string Header(const ReportInput& input, const Verdict& verdict) {
  const AttributionSettings& settings = input.attribution.settings;
  std::string html = Element("p", "eyebrow", "Attribution report");
  html += Element("h1", "", EscapeHtml(settings.model));
  html += Element("p", "sub", EscapeHtml(DescribeAttention(settings)));
  if (const std::string finished = FinishedLine(input.attribution);
      !finished.empty()) {
    html += Element("p", "sub", HtmlText(finished));
  }
  std::string about = DescribeRows(settings);
  for (const std::string* part : {&input.run.job_path, &input.run.date}) {
    if (part->empty()) continue;
    absl::StrAppend(&about, about.empty() ? "" : " \u00b7 ", *part);
  }
  if (!about.empty()) html += Element("p", "sub", EscapeHtml(about));
  return Element("header", "", html + VerdictBox(settings, verdict));
}

std::string Tile(absl::string_view name, absl::string_view figure,
                 absl::string_view detail) {
  return Element("div", "tile",
                 absl::StrCat(Element("dt", "", HtmlText(name)),
                              Element("dd", "figure num", HtmlText(figure)),
                              Element("dd", "detail num", HtmlText(detail))));
}

std::string DifferenceTile(absl::string_view name, const Interval& interval) {
  if (!interval.measured()) return "";
  const int decimals = DecimalsFor(interval);
  return Tile(name, Signed(interval.mean, decimals),
              absl::StrCat(SignedRange(interval, decimals), " nats/token"));
}

std::string Tiles(const AttributionResult& result) {
  const AttributionSettings& settings = result.settings;
  const ModeResult* finished = FindFinished(result);
  const bool hybrid = FinishedAsHybrid(settings);
  const std::string name = hybrid ? "Hybrid" : FinishedMode(settings);
  std::string tiles;
  // Of a control it is the worth of an untrained linear part.
  if (settings.recipe != "swa_control") {
    tiles += DifferenceTile(
        hybrid ? "Linear part brings (u)" : "Linear part brings the hybrid (u)",
        result.what_la_brings);
  }
  tiles += DifferenceTile(absl::StrCat(name, " minus teacher"),
                          LossDifference(finished, result.Find("teacher")));
  for (int sinks : {0, 4}) {
    tiles += DifferenceTile(
        absl::StrCat(name, " minus untrained ",
                     sinks > 0 ? absl::StrCat(sinks, " sinks") : "window"),
        LossDifference(finished,
                       result.Find(absl::StrCat("teacher_swa_s", sinks))));
  }
  const double la = GridMean(result.masses.la_mass);
  if (std::isfinite(la)) {
    tiles +=
        Tile("Linear part's attention mass", Percent(la),
             absl::StrCat("teacher outside the window: ",
                          Percent(GridMean(result.masses.teacher_out_mass))));
  }
  if (std::isfinite(result.reach)) {
    tiles += Tile("Reach", Percent(result.reach),
                  "of scored tokens have a linear set");
  }
  return tiles.empty() ? "" : Element("dl", "tiles", tiles);
}

std::string Legend(const AttributionSettings& settings) {
  const std::pair<const char*, const char*> entries[] = {
      {"teacher", "teacher"},
      {"student", FinishedAsHybrid(settings) ? "hybrid student"
                                             : "the student as a hybrid"},
      {"component", "student with parts removed"},
      {"baseline", "untrained teacher with a window"}};
  std::string items;
  for (const auto& [style_class, name] : entries) {
    items += Element(
        "li", "",
        absl::StrCat("<span class=\"swatch ", style_class, "\"></span>", name));
  }
  return Element("ul", "legend", items);
}

std::string ModeSection(const AttributionResult& result) {
  const std::vector<ModeRow> rows = ModeRows(result);
  const std::string charts = absl::StrCat(
      Figure("Loss",
             "Whiskers: 95% intervals over rows, which differ in how hard "
             "they are.",
             ModeLossChart(rows)),
      Figure("Difference to the teacher",
             "Paired row by row, on a finer scale; arrows run off it.",
             ModeDifferenceChart(rows)));
  if (charts.empty()) return "";
  return Section("Loss by component mode",
                 absl::StrCat(Element("div", "charts two aligned", charts),
                              Legend(result.settings), ModeTable(rows),
                              ComponentTable(result),
                              Element("p", "note", HtmlText(kNotes))));
}

std::string AboutMasses(const AttentionMasses& masses) {
  return Element(
      "div", "",
      absl::StrCat(
          Element("h3", "", "How to read this"),
          Element(
              "p", "",
              "LA mass is the linear part of a row's attention "
              "denominator. Beside it stands what the teacher's softmax puts "
              "on the same tokens, those outside the window. A head that is "
              "clearly orange in the gap is bypassed: its linear part carries "
              "less than the teacher asks for."),
          Element("p", "",
                  HtmlText(absl::StrCat(
                      "All are means over the positions that have a past "
                      "outside the window. Of the output's norm the linear "
                      "part makes ",
                      Percent(GridMean(masses.la_output_share)),
                      ". Mass shows where the linear part could matter; only "
                      "the losses above show that it does.")))));
}

// Mean, smallest and largest of each layer's heads.
std::vector<Interval> RangesOf(const HeadGrid& grid) {
  std::vector<Interval> ranges;
  for (const std::vector<double>& layer : grid) {
    Interval range;
    range.mean = GridMean({layer});
    for (const double value : layer) {
      range.low = std::fmin(range.low, value);
      range.high = std::fmax(range.high, value);
    }
    ranges.push_back(range);
  }
  return ranges;
}

std::string MassSection(const AttributionResult& result) {
  const AttentionMasses& masses = result.masses;
  if (masses.empty() || masses.la_mass[0].empty()) return "";
  const HeadGrid gap = masses.LaGap();
  const double limit = std::max(HeatMapLimit(masses.la_mass),
                                HeatMapLimit(masses.teacher_out_mass));
  const std::string maps = absl::StrCat(
      Figure("LA mass", "Share of attention the linear part carries.",
             HeatMapChart({"LA mass", &masses.la_mass, limit, false})),
      Figure("Teacher outside the window",
             "What it should carry; same colours.",
             HeatMapChart({"teacher's mass outside the window",
                           &masses.teacher_out_mass, limit, false})),
      Figure("Gap", "LA mass minus teacher. Orange: bypassed.",
             HeatMapChart({"gap", &gap, HeatMapLimit(gap), true})));
  const std::string position =
      Figure("By position",
             "The farther into a row, the more past lies outside the window.",
             PositionChart(result.by_position));
  const std::string classes = Figure(
      "By class of key",
      result.settings.sinks > 0
          ? "The sinks that left the window stand apart; the linear part has "
            "the other past."
          : "Sink positions: the first 4 tokens, once they left the window. "
            "The linear part has them, and the other past.",
      KeyClassChart(TeacherClasses(result), StudentClasses(result)));
  const std::string gamma = Figure(
      "\u03b3 by layer",
      "The softmax part's weight: mean over heads, smallest and largest.",
      LayerChart("\u03b3", RangesOf(result.gamma), 0, 0));
  const std::string tables = Element(
      "details", "",
      absl::StrCat(
          Element("summary", "", "Values by layer and head"),
          HeadTable("LA mass", masses.la_mass, false),
          HeadTable("Teacher's mass outside the window",
                    masses.teacher_out_mass, false),
          HeadTable("Gap", gap, true),
          HeadTable("Share of the output", masses.la_output_share, false)));
  return Section(
      "Where the linear part carries attention",
      absl::StrCat(Element("div", "charts three aligned", maps),
                   Element("div", "charts two aligned", position + classes),
                   Element("div", "charts two", gamma + AboutMasses(masses)),
                   tables));
}

// What the linear part of each layer, or of each head, is worth.
std::string AblationSection(const AttributionResult& result) {
  std::vector<Interval> layers(result.settings.layers);
  HeadGrid heads(result.settings.layers,
                 std::vector<double>(result.settings.heads, NAN));
  bool by_head = false;
  for (const LinearAblation& a : result.ablation) {
    if (a.layer < 0 || a.layer >= result.settings.layers) continue;
    if (a.head < 0) {
      layers[a.layer] = a.cost;
    } else if (a.head < result.settings.heads) {
      heads[a.layer][a.head] = a.cost.mean;
      by_head = true;
    }
  }
  std::string charts = Figure(
      "By layer", "Loss without this layer's linear part, minus hybrid's.",
      LayerChart("nats per token", layers, 0, 0));
  if (!charts.empty()) charts = Element("div", "charts two", charts);
  if (by_head) {
    const std::string map = Figure(
        "By head", "The same of one head at a time. Blue: it helps.",
        HeatMapChart({"cost of removing", &heads, HeatMapLimit(heads), true}));
    charts += Element("div", "charts three", map);
  }
  return Section("Linear parts removed one at a time", charts);
}

std::string AboutStage(const std::vector<StepMetrics>& steps) {
  std::vector<double> rates;
  bool validated = false;
  for (const StepMetrics& s : steps) {
    validated |= std::isfinite(s.validation_loss);
    if (std::isfinite(s.tokens_per_s)) rates.push_back(s.tokens_per_s);
  }
  std::string about = absl::StrCat(Count(static_cast<int64_t>(steps.size())),
                                   steps.size() == 1 ? " step" : " steps");
  if (!rates.empty()) {
    absl::StrAppend(&about, ", median ",
                    Count(std::llround(Median(std::move(rates)))), " tokens/s");
  }
  if (validated) about += "; circles: validation";
  return about;
}

std::string TrainingSection(const ReportInput& input) {
  std::string charts;
  for (const auto& [stage, steps] : SplitByStage(input.metrics)) {
    charts += Figure(absl::StrCat("Stage ", stage), AboutStage(steps),
                     LossCurveChart(stage, steps));
    for (const TraceFigure& figure : TraceFigures(steps)) {
      charts += Figure(figure.title, figure.about, figure.chart);
    }
  }
  std::string facts;
  for (const RunInfo::Timing& timing : input.run.timings) {
    facts += Fact(timing.what, Duration(timing.seconds));
  }
  if (input.run.peak_bytes > 0) {
    facts += Fact("peak memory", Bytes(input.run.peak_bytes));
  }
  return Section(
      "Training",
      absl::StrCat(
          charts.empty() ? "" : Element("div", "charts two aligned", charts),
          facts.empty() ? "" : Element("dl", "facts", facts)));
}

std::string GammaSection(const ReportInput& input) {
  const std::string chart =
      Figure("", "", GammaChart(input.gamma_sweep, input.chosen_gamma));
  if (chart.empty()) return "";
  return Section(
      "Choosing \u03b3, the window's weight",
      absl::StrCat(Element("p", "",
                           HtmlText(GammaSentence(input.gamma_sweep,
                                                  input.chosen_gamma) +
                                    AboutGammaRows(input))),
                   Element("div", "charts two", chart)));
}

// A continuation with what departs from the other one marked.
std::string Continuation(absl::string_view name, absl::string_view text,
                         size_t shared) {
  const std::string rest = EscapeHtml(text.substr(shared));
  return Element(
      "figure", "quote",
      absl::StrCat(Element("h3", "", HtmlText(name)),
                   "<blockquote dir=\"auto\">",
                   EscapeHtml(text.substr(0, shared)),
                   rest.empty() ? "" : absl::StrCat("<mark>", rest, "</mark>"),
                   "</blockquote>\n"));
}

std::string TextSection(const RunInfo& run) {
  if (run.teacher_continuation.empty() && run.student_continuation.empty()) {
    return "";
  }
  const std::string teacher(
      absl::StripAsciiWhitespace(Printable(run.teacher_continuation)));
  const std::string student(
      absl::StripAsciiWhitespace(Printable(run.student_continuation)));
  const size_t shared = CommonPrefix(teacher, student);
  return Section(
      "The same prompt, continued",
      absl::StrCat(
          Element("p", "",
                  teacher == student
                      ? "Greedy decoding; the two are the same."
                      : "Greedy decoding; marked from where the two part."),
          Element("figure", "prompt",
                  absl::StrCat(Element("h3", "", "Prompt"),
                               "<blockquote dir=\"auto\">",
                               EscapeHtml(run.prompt), "</blockquote>\n")),
          Element("div", "charts two",
                  Continuation("Teacher", teacher, shared) +
                      Continuation("Student", student, shared))));
}

std::string RunSection(const ReportInput& input) {
  std::string facts;
  for (const auto& [name, value] : SettingsTable(input.attribution.settings)) {
    facts += Fact(name, value);
  }
  facts += Fact("model file", input.run.model_path);
  std::string html = Element("dl", "facts", facts);
  if (!input.run.files.empty()) {
    std::string files;
    for (const RunInfo::File& file : input.run.files) {
      files += absl::StrCat(
          Element("dt", "", EscapeHtml(file.what)),
          Element("dd", "", Element("code", "", EscapeHtml(file.path))));
    }
    absl::StrAppend(&html, "<h3 class=\"prompt\">Written</h3>\n",
                    Element("dl", "facts", files));
  }
  if (!input.run.job_text.empty()) {
    absl::StrAppend(
        &html, "<details open=\"open\">\n", Element("summary", "", "Job"),
        Element("pre", "", EscapeHtml(input.run.job_text)), "</details>\n");
  }
  return Section("The run", html);
}

}  // namespace

std::string HtmlReport(const ReportInput& input) {
  const AttributionResult& result = input.attribution;
  const Verdict verdict = JudgeAttribution(result);
  // The policy forbids the page to load or run anything, whatever slips in.
  return absl::StrCat(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
      "<meta charset=\"utf-8\"/>\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src "
      "'none'; style-src 'unsafe-inline'\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, "
      "initial-scale=1\"/>\n"
      "<meta name=\"color-scheme\" content=\"light dark\"/>\n",
      Element("title", "",
              absl::StrCat(EscapeHtml(result.settings.model),
                           ": attribution report")),
      Element("style", "", HtmlReportStyle()), "</head>\n<body>\n<main>\n",
      Header(input, verdict), Tiles(result), ModeSection(result),
      MassSection(result), AblationSection(result), ProbeSection(result),
      TrainingSection(input), GammaSection(input), TextSection(input.run),
      RunSection(input), Element("footer", "", "Made by Caracal."),
      "</main>\n</body>\n</html>\n");
}

}  // namespace caracal
