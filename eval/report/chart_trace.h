// Quantities of a training stage over its steps, several to a picture, each
// labelled at its end.
#ifndef CARACAL_EVAL_REPORT_CHART_TRACE_H_
#define CARACAL_EVAL_REPORT_CHART_TRACE_H_

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace caracal {

struct TraceLine {
  std::string name;   // at the line's end
  std::string style;  // "student", "teacher", "component" or "baseline"
  std::vector<std::pair<double, double>> points;  // (step, value), steps rising
  bool dots = false;  // points only: a quantity that jumps about its line
};

struct Trace {
  std::string axis;  // "nats per token"
  std::vector<TraceLine> lines;
  // What the axis shows at least; it widens to the values.
  double low = std::numeric_limits<double>::quiet_NaN();
  double high = std::numeric_limits<double>::quiet_NaN();
  // A ring around this point: what was chosen.
  std::pair<double, double> ring = {NAN, NAN};
  std::string ring_label = "";  // its tooltip
};

// An <svg> element; points that are not finite are left out, and lines without
// any. Empty when nothing is left. More than 1000 points are drawn as means of
// groups; up to 60 get dots with tooltips.
std::string TraceChart(const Trace& trace);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_CHART_TRACE_H_
