// Puts the parts of a measurement together.
#ifndef CARACAL_EVAL_MEASURE_MERGE_H_
#define CARACAL_EVAL_MEASURE_MERGE_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "eval/attribution/result.h"
#include "eval/measure/plan.h"
#include "proto/measurement.pb.h"

namespace caracal {

// That the partial is of this part, whole: kInvalidArgument saying what is
// wrong.
absl::Status CheckPartial(const proto::MeasurementPlan& plan,
                          const proto::MeasurementShard& shard,
                          const proto::MeasurementPartial& partial);

// The same bits for any order of the parts, and however the plan was cut: rows
// are summed in their order, masses micro-batch by micro-batch.
// kInvalidArgument unless each row of each pass is there, once.
absl::StatusOr<AttributionResult> MergeMeasurement(
    const proto::MeasurementPlan& plan,
    const std::vector<proto::MeasurementPartial>& partials);

}  // namespace caracal

#endif  // CARACAL_EVAL_MEASURE_MERGE_H_
