// Intervals of modes and of their differences, all over the same resamples.
// A result of one run is a pool of one seed.
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
  for (const std::vector<double>& rows : mode.per_seed) {
    if (rows.size() != mode.per_row.size()) return false;
  }
  return mode.row_tokens.empty() ||
         (mode.row_tokens.size() == mode.per_row.size() &&
          std::all_of(mode.row_tokens.begin(), mode.row_tokens.end(),
                      [](double n) { return n > 0 && std::isfinite(n); }));
}

// The losses of each seed; of a result that was not pooled one seed's.
SeedsAndRows BySeed(const ModeResult& mode) {
  return mode.per_seed.empty() ? SeedsAndRows{mode.per_row} : mode.per_seed;
}

// The same for `seeds` seeds: what knows no seed is the same for all.
SeedsAndRows BySeed(const ModeResult& mode, size_t seeds) {
  SeedsAndRows values = BySeed(mode);
  if (values.size() == 1) values.resize(seeds, values[0]);
  return values;
}

SeedsAndRows Minus(SeedsAndRows a, const SeedsAndRows& b) {
  for (size_t s = 0; s < a.size(); ++s) {
    for (size_t i = 0; i < a[s].size(); ++i) a[s][i] -= b[s][i];
  }
  return a;
}

}  // namespace

Interval MeanLoss(const ModeResult& mode, const BootstrapOptions& options) {
  if (!Consistent(mode)) return {};
  return SeedsMean(BySeed(mode), RowWeights(mode), options);
}

Interval LossDifference(const ModeResult* a, const ModeResult* b,
                        const BootstrapOptions& options) {
  if (a == nullptr || b == nullptr) return {};
  if (a->per_row.size() != b->per_row.size()) return {};
  if (!Consistent(*a) || RowWeights(*a) != RowWeights(*b)) return {};
  const size_t seeds = std::max(BySeed(*a).size(), BySeed(*b).size());
  const SeedsAndRows of_a = BySeed(*a, seeds), of_b = BySeed(*b, seeds);
  if (of_a.size() != of_b.size()) {
    return SeedsDifference(of_a, of_b, RowWeights(*a), options);
  }
  return SeedsMean(Minus(of_a, of_b), RowWeights(*a), options);
}

Interval UseRatio(const AttributionResult& result,
                  const BootstrapOptions& options) {
  const ModeResult* modes[] = {result.Find("swa_only"), result.Find("hybrid"),
                               result.Find("teacher_swa"),
                               result.Find("teacher")};
  size_t seeds = 1;
  for (const ModeResult* mode : modes) {
    if (mode == nullptr || mode->per_row.size() != modes[0]->per_row.size() ||
        !Consistent(*mode) || RowWeights(*mode) != RowWeights(*modes[0])) {
      return {};
    }
    seeds = std::max(seeds, BySeed(*mode).size());
  }
  if (!result.ustar.above_zero()) return {};
  return SeedsRatio(Minus(BySeed(*modes[0], seeds), BySeed(*modes[1], seeds)),
                    Minus(BySeed(*modes[2], seeds), BySeed(*modes[3], seeds)),
                    RowWeights(*modes[0]), options);
}

void FillIntervals(AttributionResult& result, const BootstrapOptions& options) {
  for (auto* list : {&result.modes, &result.baselines}) {
    for (ModeResult& mode : *list) {
      mode.interval = MeanLoss(mode, options);
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
