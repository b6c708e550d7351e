// Intervals of modes and of their differences, all over the same resamples.
#include "eval/attribution/result_intervals.h"

#include <algorithm>

namespace caracal {

Interval LossDifference(const ModeResult* a, const ModeResult* b,
                        const BootstrapOptions& options) {
  if (a == nullptr || b == nullptr) return {};
  if (a->per_row.size() != b->per_row.size()) return {};
  return BootstrapDifference(a->per_row, b->per_row, options);
}

void FillIntervals(AttributionResult& result, const BootstrapOptions& options) {
  for (auto* list : {&result.modes, &result.baselines}) {
    for (ModeResult& mode : *list) {
      mode.interval = BootstrapMean(mode.per_row, options);
    }
  }
  result.what_la_brings =
      LossDifference(result.Find("swa_only"), result.Find("hybrid"), options);
  result.ustar = LossDifference(result.Find("teacher_swa"),
                                result.Find("teacher"), options);
  if (!result.what_la_brings.measured()) return;
  const auto la = std::find_if(
      result.drop.begin(), result.drop.end(),
      [](const ComponentDrop& drop) { return drop.component == "la"; });
  if (la != result.drop.end()) {
    la->drop = result.what_la_brings;
  } else {
    result.drop.insert(result.drop.begin(), {"la", result.what_la_brings});
  }
}

}  // namespace caracal
