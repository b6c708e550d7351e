// How many parts a plan may have, and how large it may be, for a coordinator to
// hand it to workers.
#ifndef CARACAL_EVAL_MEASURE_PLAN_CUT_H_
#define CARACAL_EVAL_MEASURE_PLAN_CUT_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/measurement.pb.h"

namespace caracal {

// A pass over all rows for each head of the largest models, and some.
inline constexpr int64_t kMostPlanParts = 16'384;
// Serialized, with its parts. A message to the coordinator has 4 MiB; the rest
// is for what the plan is sent along with.
inline constexpr int64_t kMostPlanBytes = (4 << 20) - (128 << 10);

// CutPlan in at most `most` parts of about `rows` rows. `rows` of 0: an eighth
// of all, or as few more as it takes. kInvalidArgument when there would be
// more, with the smallest --part-rows that works, if any does.
absl::StatusOr<std::vector<proto::MeasurementShard>> CutPlanWithin(
    const proto::MeasurementPlan& plan, int64_t rows, int64_t most);

}  // namespace caracal

#endif  // CARACAL_EVAL_MEASURE_PLAN_CUT_H_
