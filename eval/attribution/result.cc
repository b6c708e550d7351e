// Look-ups and derived values of an attribution result.
#include "eval/attribution/result.h"

#include <cmath>
#include <cstddef>
#include <limits>

#include "kernels/common/check.h"

namespace caracal {

HeadGrid AttentionMasses::LaGap() const {
  CARACAL_CHECK_EQ(la_mass.size(), teacher_out_mass.size());
  HeadGrid gap = la_mass;
  for (size_t layer = 0; layer < gap.size(); ++layer) {
    for (size_t head = 0; head < gap[layer].size(); ++head) {
      gap[layer][head] -= teacher_out_mass[layer][head];
    }
  }
  return gap;
}

KeyClasses SplitByKey(double outside, double on_sinks, int64_t sinks) {
  if (sinks > 0) return {1 - outside - on_sinks, on_sinks, outside};
  return {1 - outside, on_sinks, outside - on_sinks};
}

double GridMean(const HeadGrid& grid) {
  double sum = 0;
  size_t count = 0;
  for (const auto& layer : grid) {
    for (const double value : layer) {
      if (std::isnan(value)) continue;
      sum += value;
      ++count;
    }
  }
  return count == 0 ? std::numeric_limits<double>::quiet_NaN()
                    : sum / static_cast<double>(count);
}

const ModeResult* AttributionResult::Find(absl::string_view mode) const {
  for (const auto* list : {&modes, &baselines}) {
    for (const ModeResult& result : *list) {
      if (result.mode == mode) return &result;
    }
  }
  return nullptr;
}

}  // namespace caracal
