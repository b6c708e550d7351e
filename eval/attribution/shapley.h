// Shapley values of attention's components: a fair split of what all of
// attention brings among the window (SWA), the linear part (LA) and the sinks.
//
//     v(S)       = -loss with the keys of the components in S only
//     shapley(c) = mean over the orders in which components can be added of
//                  what adding c gains
// They sum to v(all) - v(none) = loss(none) - loss(hybrid). Source: Shapley
// 1953; ownership of keys: docs/method.md, section 5.
#ifndef CARACAL_EVAL_ATTRIBUTION_SHAPLEY_H_
#define CARACAL_EVAL_ATTRIBUTION_SHAPLEY_H_

#include <array>
#include <cstdint>
#include <vector>

#include "eval/attribution/result.h"
#include "eval/statistics/bootstrap.h"

namespace caracal {

// The players, as bits of a subset.
inline constexpr int kSwaPlayer = 1, kLaPlayer = 2, kSinksPlayer = 4;
inline constexpr int kSubsets = 8;

// subset[s]: losses with the components of s kept. Without sinks, subsets that
// differ in sinks only hold the same result, and sinks (whose value is 0) are
// left out. Intervals are paired over rows, all over the same resamples, so
// that the values sum in every resample. Empty when a subset is nullptr or has
// other rows than the rest.
std::vector<ComponentValue> ShapleyValues(
    const std::array<const ModeResult*, kSubsets>& subset, bool has_sinks,
    const BootstrapOptions& options = {});

}  // namespace caracal

#endif  // CARACAL_EVAL_ATTRIBUTION_SHAPLEY_H_
