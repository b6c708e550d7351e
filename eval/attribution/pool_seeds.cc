#include "eval/attribution/pool_seeds.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "eval/attribution/result_intervals.h"
#include "kernels/common/check.h"

namespace caracal {
namespace {

using Runs = std::vector<const AttributionResult*>;

// The mode of every run, on the same rows; empty where one lacks it.
std::vector<const ModeResult*> OfAll(const Runs& runs,
                                     const std::string& mode) {
  std::vector<const ModeResult*> all;
  for (const AttributionResult* run : runs) {
    const ModeResult* found = run->Find(mode);
    if (found == nullptr ||
        (!all.empty() && (found->per_row.size() != all[0]->per_row.size() ||
                          found->row_tokens != all[0]->row_tokens))) {
      return {};
    }
    all.push_back(found);
  }
  return all;
}

ModeResult Pool(const std::vector<const ModeResult*>& runs) {
  ModeResult pooled;
  pooled.mode = runs[0]->mode;
  pooled.row_tokens = runs[0]->row_tokens;
  pooled.loss = pooled.second_half = 0;
  pooled.per_row.resize(runs[0]->per_row.size());
  const auto n = static_cast<double>(runs.size());
  for (const ModeResult* run : runs) {
    pooled.loss += run->loss / n;
    pooled.second_half += run->second_half / n;
    pooled.per_seed.push_back(run->per_row);
    for (size_t i = 0; i < pooled.per_row.size(); ++i) {
      pooled.per_row[i] += run->per_row[i] / n;
    }
  }
  return pooled;
}

std::vector<ModeResult> PoolAll(const Runs& runs,
                                const std::vector<ModeResult>& modes) {
  std::vector<ModeResult> pooled;
  for (const ModeResult& mode : modes) {
    const std::vector<const ModeResult*> all = OfAll(runs, mode.mode);
    if (!all.empty()) pooled.push_back(Pool(all));
  }
  return pooled;
}

}  // namespace

AttributionResult PoolSeeds(const Runs& runs) {
  CARACAL_CHECK(!runs.empty());
  AttributionResult pooled;
  if (runs.size() == 1) {
    pooled = *runs[0];
    FillIntervals(pooled);
    return pooled;
  }
  pooled.settings = runs[0]->settings;
  pooled.settings.seed.clear();
  for (const AttributionResult* run : runs) {
    absl::StrAppend(&pooled.settings.seed,
                    pooled.settings.seed.empty() ? "" : ", ",
                    run->settings.seed);
  }
  pooled.reach = runs[0]->reach;
  pooled.modes = PoolAll(runs, runs[0]->modes);
  pooled.baselines = PoolAll(runs, runs[0]->baselines);
  FillIntervals(pooled);
  return pooled;
}

}  // namespace caracal
