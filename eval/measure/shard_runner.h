// Runs parts of a plan: the only place where a measurement uses the model.
#ifndef CARACAL_EVAL_MEASURE_SHARD_RUNNER_H_
#define CARACAL_EVAL_MEASURE_SHARD_RUNNER_H_

#include <atomic>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "core/io/dataset/packed_dataset.h"
#include "core/model/batch_buffer.h"
#include "core/model/llama.h"
#include "eval/measure/pass.h"
#include "proto/measurement.pb.h"

namespace caracal {

// Borrows all it is given. Sets the model's attention settings for a part and
// sets them back; the arena of `exec` is used and reset. Not thread-safe.
class ShardRunner {
 public:
  // The plan has passed CheckPlan, and is of this model and data.
  ShardRunner(const Llama& model, Execution exec, PackedDataset& data,
              const proto::MeasurementPlan& plan,
              const std::atomic<bool>* stop);

  // The same bits whatever was run before. kInvalidArgument when the part is
  // not the plan's, or does not suit the model; kCancelled when stopped: looked
  // at before every micro-batch.
  absl::StatusOr<proto::MeasurementPartial> Run(
      const proto::MeasurementShard& shard);

  // Rows that went through the model: what a measurement costs.
  int64_t rows_run() const { return rows_run_; }

 private:
  absl::Status RunBatch(const Pass& pass, const std::vector<int64_t>& rows,
                        proto::MeasurementPartial* partial);

  const Llama& model_;
  Execution exec_;
  PackedDataset& data_;
  const proto::MeasurementPlan& plan_;
  const std::atomic<bool>* const stop_;
  BatchBuffer buffer_;
  std::vector<float> nll_;  // [micro_batch * seq_len]
  ModePlan mode_plan_;
  int64_t rows_run_ = 0;
};

}  // namespace caracal

#endif  // CARACAL_EVAL_MEASURE_SHARD_RUNNER_H_
