// Several runs side by side: what each lost, and how much its linear part is
// used. Runs are compared on the same rows of the same text only, so that
// differences between them can be paired.
#ifndef CARACAL_EVAL_REPORT_COMPARISON_H_
#define CARACAL_EVAL_REPORT_COMPARISON_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "eval/attribution/result.h"
#include "eval/report/chart_runs.h"
#include "eval/statistics/interval.h"

namespace caracal {

struct ComparedRun {
  std::string name;  // for people: the run's folder
  AttributionResult result;
};

// A line of the table: one quantity of every run.
struct ComparisonLine {
  enum class Kind { kLoss, kDifference, kRatio, kText };

  std::string group;  // "Losses", ...; lines of a group follow one another
  std::string label;
  Kind kind = Kind::kLoss;
  std::vector<Interval> values;    // (runs); not measured: the run has none
  std::vector<std::string> texts;  // (runs), for kText
};

struct Comparison {
  std::string about;  // the model and the rows, which all runs share
  std::vector<std::string> names;     // (runs)
  std::vector<std::string> verdicts;  // (runs), the word and its rule
  std::vector<ComparisonLine> lines;
  // The picture of it (chart_runs.h).
  std::vector<RunDots> dots;  // (runs)
  std::vector<RunReference> references;
};

// Settings, losses by mode, differences of the hybrids to the first run's, u,
// u*, r, the verdict and the training-free baselines. kInvalidArgument naming
// two runs and what differs: the rows, their length or number, the model, or
// what its teacher loses.
absl::StatusOr<Comparison> CompareRuns(const std::vector<ComparedRun>& runs);

// {"about", "runs": [{name, verdict}], "lines": [{group, label, values: [{mean,
// low, high} or a text]}]}, ends with a new line.
std::string ComparisonToJson(const Comparison& comparison);

// A table for a terminal of `width` columns, runs beside one another as far as
// they fit, then the verdicts.
std::string ComparisonText(const Comparison& comparison, size_t width);

// A page of its own, as HtmlReport() makes.
std::string ComparisonHtml(const Comparison& comparison);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_COMPARISON_H_
