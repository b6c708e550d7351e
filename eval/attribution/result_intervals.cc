// Intervals of modes and of their differences, all over the same resamples.
#include "eval/attribution/result_intervals.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace caracal {
namespace {

std::vector<double> RowWeights(const ModeResult& mode) {
  if (!mode.row_tokens.empty()) return mode.row_tokens;
  return std::vector<double>(mode.per_row.size(), 1.0);
}

// Whether the lengths fit and every weight can be one: false for files that
// contradict themselves.
bool Consistent(const ModeResult& mode) {
  return mode.row_tokens.empty() ||
         (mode.row_tokens.size() == mode.per_row.size() &&
          std::all_of(mode.row_tokens.begin(), mode.row_tokens.end(),
                      [](double n) { return n > 0 && std::isfinite(n); }));
}

}  // namespace

Interval LossDifference(const ModeResult* a, const ModeResult* b,
                        const BootstrapOptions& options) {
  if (a == nullptr || b == nullptr) return {};
  if (a->per_row.size() != b->per_row.size()) return {};
  if (!Consistent(*a) || RowWeights(*a) != RowWeights(*b)) return {};
  return BootstrapDifference(a->per_row, b->per_row, RowWeights(*a), options);
}

Interval UseRatio(const AttributionResult& result,
                  const BootstrapOptions& options) {
  const ModeResult* modes[] = {result.Find("swa_only"), result.Find("hybrid"),
                               result.Find("teacher_swa"),
                               result.Find("teacher")};
  for (const ModeResult* mode : modes) {
    if (mode == nullptr || mode->per_row.size() != modes[0]->per_row.size() ||
        !Consistent(*mode) || RowWeights(*mode) != RowWeights(*modes[0])) {
      return {};
    }
  }
  if (!result.ustar.above_zero()) return {};
  std::vector<double> u(modes[0]->per_row.size()), ustar(u.size());
  for (size_t i = 0; i < u.size(); ++i) {
    u[i] = modes[0]->per_row[i] - modes[1]->per_row[i];
    ustar[i] = modes[2]->per_row[i] - modes[3]->per_row[i];
  }
  return BootstrapRatio(u, ustar, RowWeights(*modes[0]), options);
}

void FillIntervals(AttributionResult& result, const BootstrapOptions& options) {
  for (auto* list : {&result.modes, &result.baselines}) {
    for (ModeResult& mode : *list) {
      mode.interval =
          Consistent(mode)
              ? BootstrapWeightedMean(mode.per_row, RowWeights(mode), options)
              : Interval();
    }
  }
  result.what_la_brings =
      LossDifference(result.Find("swa_only"), result.Find("hybrid"), options);
  result.ustar = LossDifference(result.Find("teacher_swa"),
                                result.Find("teacher"), options);
  result.what_attention_brings =
      LossDifference(result.Find("none"), result.Find("hybrid"), options);
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
