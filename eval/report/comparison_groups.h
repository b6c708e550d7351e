// Which runs of a comparison stand in one column, and what their probes say.
#ifndef CARACAL_EVAL_REPORT_COMPARISON_GROUPS_H_
#define CARACAL_EVAL_REPORT_COMPARISON_GROUPS_H_

#include <string>
#include <vector>

#include "eval/report/comparison.h"

namespace caracal {

struct RunGroup {
  std::string name;
  std::vector<const ComparedRun*> runs;  // into the runs compared
};

// Runs of the same job_digest with other seeds are one group, which stands
// where its first run does. A run of unknown job or seed, or given twice, is
// a group of its own.
std::vector<RunGroup> GroupBySeed(const std::vector<ComparedRun>& runs);

// Of every probe and length that was asked of all runs that have it with the
// same prompts: what share of the facts outside each hybrid gets right, and
// what without its linear part; over prompts and seeds.
std::vector<ComparisonLine> ProbeLines(const std::vector<RunGroup>& groups);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_COMPARISON_GROUPS_H_
