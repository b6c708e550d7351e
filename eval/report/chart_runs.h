// Several runs at a glance: each finished student's loss with and without its
// linear part, between its teacher and what a window buys without training.
#ifndef CARACAL_EVAL_REPORT_CHART_RUNS_H_
#define CARACAL_EVAL_REPORT_CHART_RUNS_H_

#include <string>
#include <vector>

namespace caracal {

// Losses in nats per token; NaN where not measured or without meaning.
struct RunDots {
  std::string name;
  double hybrid;
  double swa_only;  // the same student without its linear part
  // Of a mean over several seeds each one's; else empty.
  std::vector<double> hybrid_of_seeds = {}, swa_only_of_seeds = {};
};

// A loss that all runs are seen against.
struct RunReference {
  std::string name;  // short: it stands above its line
  double loss;
  bool teacher = false;  // else a training-free baseline
};

// An <svg> element: a line a run from swa_only (ring) to hybrid (dot), warm
// where the linear part does harm, a small mark for each seed of a mean, and a
// vertical line for each reference. Runs
// beyond the scale, which ends a little above the worst baseline, get an arrow
// and their number. Empty without a measured run.
std::string RunsChart(const std::vector<RunDots>& runs,
                      const std::vector<RunReference>& references);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_CHART_RUNS_H_
