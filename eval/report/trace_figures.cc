// A function a picture; each gives an empty chart where nothing was measured.
#include "eval/report/trace_figures.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "eval/report/chart_trace.h"
#include "eval/report/numbers.h"

namespace caracal {
namespace {

using Steps = std::vector<StepMetrics>;

TraceLine Line(const Steps& steps, const char* name, const char* style,
               double StepMetrics::*field) {
  TraceLine line{name, style, {}};
  for (const StepMetrics& s : steps) {
    if (std::isfinite(s.*field)) {
      line.points.push_back({static_cast<double>(s.step), s.*field});
    }
  }
  return line;
}

TraceFigure Dropout(const Steps& steps) {
  Trace trace{
      .axis = "probability, share",
      .lines = {Line(steps, "dropped", "component",
                     &StepMetrics::dropped_share),
                Line(steps, "p", "student", &StepMetrics::drop_probability)},
      .low = 0,
      .high = 1};
  trace.lines[0].dots = true;
  return {"Window dropout",
          "p as scheduled or steered, and the share that the draws dropped.",
          TraceChart(trace)};
}

// Only where it moves: a window that stays is among the settings.
TraceFigure Window(const Steps& steps) {
  const TraceLine line = Line(steps, "W", "student", &StepMetrics::window);
  const bool moves =
      std::any_of(line.points.begin(), line.points.end(),
                  [&](const std::pair<double, double>& point) {
                    return point.second != line.points.front().second;
                  });
  if (!moves) return {};
  return {"Window", "Keys that softmax attention sees, W(t).",
          TraceChart({.axis = "tokens", .lines = {line}, .low = 0})};
}

TraceFigure Use(const Steps& steps) {
  return {
      "Closed loop: what it measures",
      "u: what the linear part brings. u*: what the past outside the "
      "window is worth to the teacher.",
      TraceChart({.axis = "nats per token",
                  .lines = {Line(steps, "u*", "teacher", &StepMetrics::u_star),
                            Line(steps, "u", "student", &StepMetrics::u)},
                  .low = 0})};
}

TraceFigure Steering(const Steps& steps) {
  return {"Closed loop: what it does",
          "r = u / u*; the loop raises p, the dropout that follows, while r "
          "is too low.",
          TraceChart({.axis = "ratio, probability",
                      .lines = {Line(steps, "next p", "baseline",
                                     &StepMetrics::next_drop_probability),
                                Line(steps, "r", "student", &StepMetrics::r)},
                      .low = 0,
                      .high = 1})};
}

TraceFigure EarlyStop(const Steps& steps) {
  const TraceLine score =
      Line(steps, "score", "baseline", &StepMetrics::early_stop_score);
  Trace trace{
      .axis = "nats per token",
      .lines = {
          Line(steps, "swa_only", "component", &StepMetrics::swa_only_loss),
          score, Line(steps, "hybrid", "student", &StepMetrics::hybrid_loss)}};
  std::string about =
      "Held-out losses; the gap between swa_only and hybrid is u.";
  const auto best = std::min_element(
      score.points.begin(), score.points.end(),
      [](const auto& a, const auto& b) { return a.second < b.second; });
  if (best != score.points.end()) {
    trace.ring = *best;
    trace.ring_label =
        absl::StrCat("lowest score, step ", Fixed(best->first, 0));
    absl::StrAppend(&about, " Ring: the lowest score, at step ",
                    Count(static_cast<int64_t>(best->first)), ", is kept.");
  }
  return {"Early stop", about, TraceChart(trace)};
}

// A picture of its own: on the other losses' scale they would be one line.
TraceFigure LinearAlone(const Steps& steps) {
  return {"Early stop: linear attention alone",
          "Held-out loss of la_only, without any softmax.",
          TraceChart({.axis = "nats per token",
                      .lines = {Line(steps, "la_only", "student",
                                     &StepMetrics::la_only_loss)}})};
}

}  // namespace

std::vector<TraceFigure> TraceFigures(const Steps& steps) {
  std::vector<TraceFigure> figures;
  for (TraceFigure figure :
       {Dropout(steps), Window(steps), Use(steps), Steering(steps),
        EarlyStop(steps), LinearAlone(steps)}) {
    if (!figure.chart.empty()) figures.push_back(std::move(figure));
  }
  return figures;
}

}  // namespace caracal
