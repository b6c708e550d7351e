// Several runs side by side: what each lost, and how much its linear part is
// used. Runs are compared on the same rows of the same text only, so that
// differences between them can be paired. Runs that differ in their seed alone
// stand in one column: their mean, with intervals over rows and seeds
// (eval/statistics/seeds.h).
#ifndef CARACAL_EVAL_REPORT_COMPARISON_H_
#define CARACAL_EVAL_REPORT_COMPARISON_H_

#include <limits>
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

// A column: a run, or several that differ in their seed alone.
struct ComparedGroup {
  std::string name;  // what the members' names begin with: "runs/ssd (2 seeds)"
  std::string verdict;               // the word and its rule
  std::vector<std::string> members;  // names of its runs
  std::vector<std::string> seeds;    // (members); empty: not known
  std::string finished_as;           // FinishedMode()
  // Its loss, nats per token; NaN: not measured.
  double finished_loss = std::numeric_limits<double>::quiet_NaN();
};

// A line of the table: one quantity of every column.
struct ComparisonLine {
  enum class Kind { kLoss, kDifference, kRatio, kShare, kText };

  std::string group;  // "Losses", ...; lines of a group follow one another
  std::string label;
  Kind kind = Kind::kLoss;
  std::vector<Interval> values;    // (columns); not measured: it has none
  std::vector<std::string> texts;  // (columns), for kText
};

struct Comparison {
  std::string about;  // the model and the rows, which all runs share
  std::vector<ComparedGroup> columns;
  std::vector<ComparisonLine> lines;
  // The picture of it (chart_runs.h).
  std::vector<RunDots> dots;  // (columns)
  std::vector<RunReference> references;
};

// Settings, losses by mode, differences of what each run finished as to the
// first run's and others, u, u*, r, the verdict and the training-free
// baselines. kInvalidArgument naming two runs and what differs: the rows, their
// length or number, the model, or what its teacher loses.
absl::StatusOr<Comparison> CompareRuns(const std::vector<ComparedRun>& runs);

// {"about", "runs": [{name, verdict, members, seeds, finished_as}], "lines":
// [{group, label, values: [{mean, low, high} or a text]}]}, a value a run of
// "runs"; ends with a new line. `members` are the runs' names, `seeds` theirs.
std::string ComparisonToJson(const Comparison& comparison);

// A table for a terminal of `width` columns, runs beside one another as far as
// they fit, then the verdicts.
std::string ComparisonText(const Comparison& comparison, size_t width);

// A page of its own, as HtmlReport() makes.
std::string ComparisonHtml(const Comparison& comparison);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_COMPARISON_H_
