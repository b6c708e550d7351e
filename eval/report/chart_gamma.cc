// Points in rising order of gamma, joined by straight lines.
#include "eval/report/chart_gamma.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "eval/report/numbers.h"
#include "eval/report/scale.h"
#include "eval/report/svg.h"

namespace caracal {
namespace {

constexpr double kWidth = 480, kHeight = 270;
constexpr double kLeft = 50, kRight = kWidth - 30;
constexpr double kTop = 46, kBottom = kHeight - 44;
// Labels closer than this touch.
constexpr double kLabelWidth = 34;

double LogOdds(double gamma) { return std::log(gamma / (1 - gamma)); }

std::vector<GammaLoss> Drawable(std::vector<GammaLoss> sweep) {
  sweep.erase(std::remove_if(sweep.begin(), sweep.end(),
                             [](const GammaLoss& point) {
                               return !(point.gamma > 0 && point.gamma < 1 &&
                                        std::isfinite(point.loss));
                             }),
              sweep.end());
  std::sort(
      sweep.begin(), sweep.end(),
      [](const GammaLoss& a, const GammaLoss& b) { return a.gamma < b.gamma; });
  if (sweep.size() < 2) sweep.clear();
  return sweep;
}

// As it was given: "0.1", "0.999".
std::string GammaText(double gamma) { return absl::StrCat(gamma); }

// Round values where enough of them are in range, else those that were tried.
std::vector<double> TickValues(const Scale& x,
                               const std::vector<GammaLoss>& points) {
  std::vector<double> round;
  for (const double gamma :
       {0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99, 0.999}) {
    const double value = LogOdds(gamma);
    if (value >= x.low() && value <= x.high()) round.push_back(gamma);
  }
  if (round.size() >= 3) return round;
  std::vector<double> tried;
  for (const GammaLoss& point : points) tried.push_back(point.gamma);
  return tried;
}

void DrawGammaAxis(Svg& svg, const Scale& x,
                   const std::vector<GammaLoss>& points) {
  double last = -HUGE_VAL;
  for (const double gamma : TickValues(x, points)) {
    const double at = x.At(LogOdds(gamma));
    if (at - last < kLabelWidth) continue;
    last = at;
    svg.Line(at, kBottom, at, kBottom + 4, "axis");
    svg.Text(at, kBottom + 18, GammaText(gamma), "tick", Anchor::kMiddle);
  }
  svg.Line(kLeft, kBottom, kRight, kBottom, "axis");
}

const GammaLoss* Find(const std::vector<GammaLoss>& sweep, double gamma) {
  for (const GammaLoss& point : sweep) {
    if (point.gamma == gamma) return &point;
  }
  return nullptr;
}

}  // namespace

std::string GammaChart(const std::vector<GammaLoss>& sweep, double chosen) {
  const std::vector<GammaLoss> points = Drawable(sweep);
  if (points.empty()) return "";
  const auto [least, most] = std::minmax_element(
      points.begin(), points.end(),
      [](const GammaLoss& a, const GammaLoss& b) { return a.loss < b.loss; });
  const double pad = std::max(0.08 * (most->loss - least->loss), 1e-4);
  const Scale x =
      Scale::Linear(LogOdds(points.front().gamma) - 0.15,
                    LogOdds(points.back().gamma) + 0.15, kLeft, kRight);
  const Scale y =
      Scale::Linear(least->loss - pad, most->loss + pad, kBottom, kTop);
  Svg svg(kWidth, kHeight,
          absl::StrCat("Validation loss by gamma, from ",
                       GammaText(points.front().gamma), " to ",
                       GammaText(points.back().gamma), ". ",
                       GammaSentence(sweep, chosen)));
  DrawHorizontalGrid(svg, y, kLeft, kRight, 5);
  DrawGammaAxis(svg, x, points);
  svg.Text(0, 13, "validation loss, nats per token", "axis-name");
  svg.Text(kRight, kHeight - 4, "\u03b3, by its log-odds", "axis-name",
           Anchor::kEnd);
  std::vector<std::pair<double, double>> line;
  for (const GammaLoss& point : points) {
    line.push_back({x.At(LogOdds(point.gamma)), y.At(point.loss)});
  }
  const GammaLoss* best = Find(points, chosen);
  if (best != nullptr) {
    const double at = x.At(LogOdds(best->gamma));
    svg.Line(at, kTop, at, kBottom, "reference");
    const Anchor anchor = at < kLeft + 110    ? Anchor::kStart
                          : at > kRight - 110 ? Anchor::kEnd
                                              : Anchor::kMiddle;
    svg.Text(at, kTop - 6,
             absl::StrCat("\u03b3 = ", GammaText(best->gamma), ": ",
                          Fixed(best->loss, 3)),
             "value strong", anchor);
  }
  svg.Polyline(line, "line");
  for (size_t i = 0; i < points.size(); ++i) {
    svg.Circle(line[i].first, line[i].second, 4, "dot student",
               absl::StrCat("\u03b3 = ", GammaText(points[i].gamma), ": ",
                            Fixed(points[i].loss, 4)));
  }
  if (best != nullptr) {
    svg.Circle(x.At(LogOdds(best->gamma)), y.At(best->loss), 8, "ring",
               absl::StrCat("chosen: \u03b3 = ", GammaText(best->gamma)));
  }
  return std::move(svg).Finish();
}

std::string GammaSentence(const std::vector<GammaLoss>& sweep, double chosen) {
  const std::vector<GammaLoss> points = Drawable(sweep);
  const GammaLoss* best = Find(points, chosen);
  if (best == nullptr) return "";
  const GammaLoss& worst = *std::max_element(
      points.begin(), points.end(),
      [](const GammaLoss& a, const GammaLoss& b) { return a.loss < b.loss; });
  std::string text = absl::StrCat(
      "Of ", points.size(),
      " values tried on validation rows, \u03b3 = ", GammaText(chosen),
      " has the lowest loss, ", Fixed(best->loss, 3),
      " nats per token; the worst, ", GammaText(worst.gamma), ", has ",
      Fixed(worst.loss, 3), ".");
  const bool smallest = best->gamma == points.front().gamma;
  if (smallest || best->gamma == points.back().gamma) {
    absl::StrAppend(&text, " It is the ", smallest ? "smallest" : "largest",
                    " tried: a ", smallest ? "smaller" : "larger",
                    " one may be better still.");
  }
  return text;
}

std::string AboutGammaRows(const ReportInput& input) {
  const int64_t twice = input.gamma_rows_scored;
  const int64_t rows = input.attribution.settings.rows;
  if (twice <= 0) return "";
  return absl::StrCat(
      " It was chosen on ",
      twice < rows ? absl::StrCat("the first ", twice, " of ") : "", "the ",
      rows, rows == 1 ? " row" : " rows",
      " scored above, whose losses may for that look a little too good.");
}

}  // namespace caracal
