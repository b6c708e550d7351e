// Smoothing is a local straight-line fit with Gaussian weights, which does not
// sag at the ends as a running mean does; in logarithms on a logarithmic axis.
#include "eval/report/chart_loss_curve.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "absl/strings/str_cat.h"
#include "eval/report/numbers.h"
#include "eval/report/scale.h"
#include "eval/report/svg.h"

namespace caracal {
namespace {

constexpr double kWidth = 480, kHeight = 270;
constexpr double kLeft = 50, kRight = kWidth - 62;
constexpr double kTop = 30, kBottom = kHeight - 40;
constexpr size_t kMaxPoints = 1000;
constexpr double kLogFactor = 20;

struct Point {
  double step;
  double loss;
};

// Finite losses, in at most kMaxPoints groups of neighbouring steps.
std::vector<Point> Thin(const std::vector<StepMetrics>& steps) {
  std::vector<Point> finite;
  for (const StepMetrics& s : steps) {
    if (std::isfinite(s.loss)) {
      finite.push_back({static_cast<double>(s.step), s.loss});
    }
  }
  const size_t group = (finite.size() + kMaxPoints - 1) / kMaxPoints;
  if (group <= 1) return finite;
  std::vector<Point> means;
  for (size_t i = 0; i < finite.size(); i += group) {
    const size_t end = std::min(i + group, finite.size());
    Point mean{0, 0};
    for (size_t k = i; k < end; ++k) {
      mean.step += finite[k].step;
      mean.loss += finite[k].loss;
    }
    const double count = static_cast<double>(end - i);
    means.push_back({mean.step / count, mean.loss / count});
  }
  return means;
}

std::vector<Point> Smooth(const std::vector<Point>& points, bool log) {
  const auto count = static_cast<int64_t>(points.size());
  const double sigma = std::max(1.5, static_cast<double>(count) / 20);
  const auto reach = static_cast<int64_t>(std::ceil(3 * sigma));
  std::vector<Point> smooth = points;
  for (int64_t i = 0; i < count; ++i) {
    // Weighted sums of 1, x, x^2, y and x y, with x counted from point i.
    double s0 = 0, s1 = 0, s2 = 0, t0 = 0, t1 = 0;
    const int64_t end = std::min(i + reach + 1, count);
    for (int64_t k = std::max<int64_t>(i - reach, 0); k < end; ++k) {
      const double x = static_cast<double>(k - i);
      const double y = log ? std::log(points[k].loss) : points[k].loss;
      const double weight = std::exp(-0.5 * x * x / (sigma * sigma));
      s0 += weight;
      s1 += weight * x;
      s2 += weight * x * x;
      t0 += weight * y;
      t1 += weight * x * y;
    }
    const double fit =
        count < 3 ? t0 / s0 : (s2 * t0 - s1 * t1) / (s0 * s2 - s1 * s1);
    smooth[i].loss = log ? std::exp(fit) : fit;
  }
  return smooth;
}

// Three significant digits, without an exponent where it can be avoided.
std::string LossLabel(double loss) {
  if (loss == 0) return "0";
  const int lead = static_cast<int>(std::floor(std::log10(std::abs(loss))));
  return Fixed(loss, std::clamp(2 - lead, 0, 8));
}

}  // namespace

std::vector<std::pair<std::string, std::vector<StepMetrics>>> SplitByStage(
    const std::vector<StepMetrics>& metrics) {
  std::vector<std::pair<std::string, std::vector<StepMetrics>>> stages;
  for (const StepMetrics& m : metrics) {
    auto it = std::find_if(stages.begin(), stages.end(),
                           [&](const auto& s) { return s.first == m.stage; });
    if (it == stages.end()) it = stages.insert(it, {m.stage, {}});
    it->second.push_back(m);
  }
  return stages;
}

std::string LossCurveChart(const std::string& stage,
                           const std::vector<StepMetrics>& steps) {
  const std::vector<Point> raw = Thin(steps);
  if (raw.empty()) return "";
  std::vector<Point> validation;
  for (const StepMetrics& s : steps) {
    if (std::isfinite(s.validation_loss)) {
      validation.push_back({static_cast<double>(s.step), s.validation_loss});
    }
  }

  double low = raw[0].loss, high = raw[0].loss;
  for (const std::vector<Point>* points :
       std::initializer_list<const std::vector<Point>*>{&raw, &validation}) {
    for (const Point& p : *points) {
      low = std::min(low, p.loss);
      high = std::max(high, p.loss);
    }
  }
  const bool log = low > 0 && high > kLogFactor * low;
  const double pad = log ? std::pow(high / low, 0.05) : 0.06 * (high - low);
  const Scale y = log ? Scale::Log(low / pad, high * pad, kBottom, kTop)
                      : Scale::Linear(low - pad, high + pad, kBottom, kTop);
  const Scale x =
      Scale::Linear(raw.front().step, raw.back().step, kLeft, kRight);
  const std::vector<Point> smooth = Smooth(raw, log);

  Svg svg(
      kWidth, kHeight,
      absl::StrCat("Loss of stage ", stage, " over steps ",
                   Count(steps.front().step), " to ", Count(steps.back().step),
                   ": from ", LossLabel(raw.front().loss), " to ",
                   LossLabel(raw.back().loss), "."));
  DrawHorizontalGrid(svg, y, kLeft, kRight, 5);
  for (const Scale::Tick& tick : x.Ticks(6)) {
    if (tick.value != std::round(tick.value)) continue;
    const double at = x.At(tick.value);
    svg.Line(at, kBottom, at, kBottom + 4, "axis");
    svg.Text(at, kBottom + 18, tick.label, "tick", Anchor::kMiddle);
  }
  svg.Line(kLeft, kBottom, kRight, kBottom, "axis");
  svg.Text(0, 13, log ? "loss (logarithmic)" : "loss", "axis-name");
  svg.Text(kRight, kHeight - 4, "step", "axis-name", Anchor::kEnd);

  const double radius = raw.size() > 200 ? 1.3 : 2.4;
  for (const Point& p : raw) {
    svg.Circle(x.At(p.step), y.At(p.loss), radius, "raw",
               raw.size() > 200 ? ""
                                : absl::StrCat("step ", Fixed(p.step, 0), ": ",
                                               LossLabel(p.loss)));
  }
  std::vector<std::pair<double, double>> line;
  for (const Point& p : smooth) line.push_back({x.At(p.step), y.At(p.loss)});
  if (line.size() > 1) svg.Polyline(line, "line");
  for (const Point& p : validation) {
    svg.Circle(x.At(p.step), y.At(p.loss), 4, "validation",
               absl::StrCat("validation at step ", Fixed(p.step, 0), ": ",
                            LossLabel(p.loss)));
  }
  svg.Text(kRight + 8, y.At(smooth.back().loss) + 4,
           LossLabel(smooth.back().loss), "value strong");
  return std::move(svg).Finish();
}

}  // namespace caracal
