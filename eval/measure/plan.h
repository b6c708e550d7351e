// An attribution as a plan: which rows of which pass have to be run. Whoever
// has the plan, the model and the data can do any part of it.
#ifndef CARACAL_EVAL_MEASURE_PLAN_H_
#define CARACAL_EVAL_MEASURE_PLAN_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/io/dataset/packed_dataset.h"
#include "core/model/llama.h"
#include "eval/attribution/result.h"
#include "eval/measure/measure_options.h"
#include "proto/measurement.pb.h"

namespace caracal {

// Equal parts that a row's positions are told apart by, where masses are given
// by position.
inline constexpr int64_t kPositionBuckets = 8;

// What the model is, without what it is measured on.
AttributionSettings StudentSettings(const Llama& model);

// Reads all rows, runs none. settings.model, data and recipe are the caller's
// to fill. kInvalidArgument when nothing is left to be scored; kCancelled when
// stopped.
absl::StatusOr<proto::MeasurementPlan> PlanMeasurement(
    const Llama& model, PackedDataset& data, const MeasureOptions& options);

// A plan that measures nothing: what the model is.
proto::MeasurementPlan EmptyPlan(const Llama& model);

// That the plan holds together by itself: kInvalidArgument naming the field.
// What comes from another process is to be checked first.
absl::Status CheckPlan(const proto::MeasurementPlan& plan);

// Parts of at most about `rows` rows (at least a micro-batch), by pass and row;
// those of which nothing is to be run are left out. A part's result is never
// much larger than 2 MiB.
std::vector<proto::MeasurementShard> CutPlan(const proto::MeasurementPlan& plan,
                                             int64_t rows);

// Of [begin, end), those that the pass itself has to run.
std::vector<int64_t> RowsToRun(const proto::MeasurementPlan& plan, int pass,
                               int64_t begin, int64_t end);

// The pass whose run gives the losses of this row in this pass.
int SourceOf(const proto::MeasurementPlan& plan, int pass, int64_t row);

// kInvalidArgument unless it is one of the plan's, cut at micro-batches.
absl::Status CheckShard(const proto::MeasurementPlan& plan,
                        const proto::MeasurementShard& shard);

AttributionSettings SettingsFromProto(const proto::MeasurementPlan& plan);
// But for rows and tokens, which are the plan's.
proto::MeasurementSettings ToProto(const AttributionSettings& settings);

}  // namespace caracal

#endif  // CARACAL_EVAL_MEASURE_PLAN_H_
