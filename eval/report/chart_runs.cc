// One row a run; references are labelled above the plot, on a second line
// where two would touch.
#include "eval/report/chart_runs.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "eval/report/numbers.h"
#include "eval/report/scale.h"
#include "eval/report/svg.h"

namespace caracal {
namespace {

constexpr double kWidth = 760;
constexpr double kLeft = 210, kRight = kWidth - 120;
constexpr double kLabelLine = 16, kRowHeight = 26, kFooter = 42;
// Of a label's letter at 12.5 pixels, on average.
constexpr double kLetterWidth = 6.4;

struct PlacedLabel {
  double from, to;
};

double LabelWidth(const RunReference& reference) {
  return kLetterWidth * static_cast<double>(reference.name.size());
}

// Above its line, but not over the columns at the right.
double LabelMiddle(const RunReference& reference, const Scale& x) {
  return std::min(x.At(reference.loss), kRight - LabelWidth(reference) / 2 - 6);
}

// Each reference's line of labels, counted from the plot upwards.
std::vector<int> LabelLines(const std::vector<RunReference>& references,
                            const Scale& x) {
  std::vector<std::vector<PlacedLabel>> lines;
  std::vector<int> placed;
  for (const RunReference& reference : references) {
    const double middle = LabelMiddle(reference, x);
    const double half = LabelWidth(reference) / 2 + 5;
    const PlacedLabel label{middle - half, middle + half};
    size_t line = 0;
    const auto touches = [&](const PlacedLabel& other) {
      return label.from < other.to && other.from < label.to;
    };
    while (line < lines.size() &&
           std::any_of(lines[line].begin(), lines[line].end(), touches)) {
      ++line;
    }
    if (line == lines.size()) lines.emplace_back();
    lines[line].push_back(label);
    placed.push_back(static_cast<int>(line));
  }
  return placed;
}

// References always fit; of the runs what lies within half the references'
// spread above the highest of them.
Scale FitScale(const std::vector<RunDots>& runs,
               const std::vector<RunReference>& references) {
  double low = HUGE_VAL, high = -HUGE_VAL;
  const auto take = [&](double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  };
  for (const RunReference& reference : references) take(reference.loss);
  const double limit =
      references.size() > 1 ? high + (high - low) / 2 : HUGE_VAL;
  for (const RunDots& run : runs) {
    for (const double loss : {run.hybrid, run.swa_only}) {
      if (loss <= limit) take(loss);
    }
    for (const auto* seeds : {&run.hybrid_of_seeds, &run.swa_only_of_seeds}) {
      for (const double loss : *seeds) {
        if (loss <= limit) take(loss);
      }
    }
  }
  if (!(low <= high)) low = high = 0;
  const double margin = std::max(0.04 * (high - low), 1e-3);
  return Scale::Linear(low - margin, high + margin, kLeft, kRight);
}

std::string Loss(double loss) {
  return std::isfinite(loss) ? Fixed(loss, 3) : "not measured";
}

void DrawRun(Svg& svg, const RunDots& run, const Scale& x, double middle) {
  svg.Text(kLeft - 14, middle + 4, run.name, "label", Anchor::kEnd);
  const double difference = run.swa_only - run.hybrid;
  const bool both = std::isfinite(difference);
  const bool harm = both && difference < 0;
  const auto at = [&](double loss) { return std::min(x.At(loss), kRight); };
  if (both) {
    svg.Line(at(run.hybrid), middle, at(run.swa_only), middle,
             harm ? "span harm" : "span");
  }
  const std::string tooltip =
      absl::StrCat(run.name, ": hybrid ", Loss(run.hybrid),
                   ", without its linear part ", Loss(run.swa_only));
  for (const auto* of_seeds : {&run.hybrid_of_seeds, &run.swa_only_of_seeds}) {
    for (const double loss : *of_seeds) {
      if (!(loss <= x.high())) continue;
      svg.Line(x.At(loss), middle - 9, x.At(loss), middle + 9, "of-seed");
    }
  }
  if (run.swa_only <= x.high()) {
    svg.Circle(x.At(run.swa_only), middle, 5, "run-ring", tooltip);
  }
  if (run.hybrid <= x.high()) {
    svg.Circle(x.At(run.hybrid), middle, 5.5, "dot student", tooltip);
  }
  const bool beyond = run.hybrid > x.high();
  svg.Text(
      kRight + 14, middle + 4,
      absl::StrCat(std::isfinite(run.hybrid) ? Fixed(run.hybrid, 3) : "\u2013",
                   beyond ? " \u2192" : ""),
      "value strong");
  if (both) {
    svg.Text(kWidth, middle + 4, Signed(difference, 3),
             harm ? "value of-baseline" : "value", Anchor::kEnd);
  }
}

}  // namespace

std::string RunsChart(const std::vector<RunDots>& all,
                      const std::vector<RunReference>& all_references) {
  std::vector<RunDots> runs;
  for (const RunDots& run : all) {
    if (std::isfinite(run.hybrid) || std::isfinite(run.swa_only)) {
      runs.push_back(run);
    }
  }
  std::vector<RunReference> references;
  for (const RunReference& reference : all_references) {
    if (std::isfinite(reference.loss)) references.push_back(reference);
  }
  if (runs.empty()) return "";
  const Scale x = FitScale(runs, references);
  const std::vector<int> lines = LabelLines(references, x);
  const int most =
      lines.empty() ? 0 : 1 + *std::max_element(lines.begin(), lines.end());
  const double top = 10 + kLabelLine * std::max(most, 1);
  const double bottom = top + kRowHeight * static_cast<double>(runs.size()) + 6;

  std::string description = "Loss of each run, in nats per token:";
  for (const RunDots& run : runs) {
    absl::StrAppend(&description, " ", run.name, " hybrid ", Loss(run.hybrid),
                    ", without its linear part ", Loss(run.swa_only), ";");
  }
  Svg svg(kWidth, bottom + kFooter, description);
  DrawVerticalGrid(svg, x, top, bottom, 6);
  svg.Text(kRight, bottom + kFooter - 4, "nats per token", "axis-name",
           Anchor::kEnd);
  svg.Text(kRight + 14, top - 8, "hybrid", "tick");
  svg.Text(kWidth, top - 8, "u", "tick", Anchor::kEnd);
  for (size_t i = 0; i < references.size(); ++i) {
    const double at = x.At(references[i].loss);
    svg.Line(at, top - 4 - kLabelLine * lines[i], at, bottom,
             references[i].teacher ? "reference" : "reference baseline");
    svg.Text(LabelMiddle(references[i], x), top - 8 - kLabelLine * lines[i],
             references[i].name, "tick", Anchor::kMiddle);
  }
  for (size_t i = 0; i < runs.size(); ++i) {
    DrawRun(svg, runs[i], x,
            top + kRowHeight * (static_cast<double>(i) + 0.5) + 3);
  }
  return std::move(svg).Finish();
}

}  // namespace caracal
