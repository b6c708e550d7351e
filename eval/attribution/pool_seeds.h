// Several runs that differ in their seed alone, as one result.
#ifndef CARACAL_EVAL_ATTRIBUTION_POOL_SEEDS_H_
#define CARACAL_EVAL_ATTRIBUTION_POOL_SEEDS_H_

#include <vector>

#include "eval/attribution/result.h"

namespace caracal {

// Means over runs of the losses of every row, in the modes and baselines that
// all runs have, with per_seed filled; and the intervals that follow from them,
// over rows and seeds. Settings and reach are the first run's, but for `seed`:
// all of them, with commas between. Masses, Shapley values, drops, ablations
// and probes are left out. Runs are on the same rows; there is one at least,
// and of one the result is its own but for its intervals, which are taken over
// the same resamples as any other's: a mode that no seed touches has one.
AttributionResult PoolSeeds(const std::vector<const AttributionResult*>& runs);

}  // namespace caracal

#endif  // CARACAL_EVAL_ATTRIBUTION_POOL_SEEDS_H_
