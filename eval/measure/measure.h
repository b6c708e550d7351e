// Runs a model in every component mode over the same rows, and measures what
// each component brings (docs/method.md, section 5).
#ifndef CARACAL_EVAL_MEASURE_MEASURE_H_
#define CARACAL_EVAL_MEASURE_MEASURE_H_

#include "absl/status/statusor.h"
#include "core/io/dataset/packed_dataset.h"
#include "core/model/llama.h"
#include "eval/attribution/result.h"
#include "eval/measure/measure_options.h"
#include "eval/measure/plan.h"

namespace caracal {

// All in this process: plans (plan.h), runs the parts (shard_runner.h), merges
// (merge.h). Parts that others run give the same bits.
//
// Leaves the model's attention settings as they were. The arena of `exec` is
// used and reset. settings.model, data and recipe are the caller's to fill.
// kCancelled when stopped: nothing of a half-done measurement comes back.
absl::StatusOr<AttributionResult> MeasureAttribution(
    const Llama& model, Execution exec, PackedDataset& data,
    const MeasureOptions& options);

}  // namespace caracal

#endif  // CARACAL_EVAL_MEASURE_MEASURE_H_
