// One optimiser step, and one validation, of a stage.
#ifndef CARACAL_JOBS_TRAIN_STAGE_RUNNER_H_
#define CARACAL_JOBS_TRAIN_STAGE_RUNNER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/model/batch_buffer.h"
#include "core/model/llama.h"
#include "core/optim/adamw.h"
#include "jobs/train/metrics_writer.h"
#include "proto/job.pb.h"

namespace caracal {

// What the trainer decides for a step.
struct StepInputs {
  double learning_rate = 0;
  int64_t global_step = 0;  // of the job, from 0
  double drop_probability = 0;
  int64_t window = 0;  // tokens; 0: the student's own
};

struct StepResult {
  // A stage with one loss: that loss, not scaled by its weight (transfer:
  // mean over layers; finetune: nats a token over unmasked targets). A mix:
  // the weighted sum.
  double loss = 0;
  double grad_norm = 0;  // of the weighted objective, before clipping
  LossParts parts;
  double dropped_share = 0;  // of (sample, layer, head)
};

// Computes gradients in micro-batches and applies them. Owns the optimizer of
// its stage. Not thread-safe.
class StageRunner {
 public:
  virtual ~StageRunner() = default;

  // "transfer" or "finetune".
  virtual const char* name() const = 0;

  // Runs all rows of the batch and updates the parameters. kDataLoss when the
  // loss or a gradient is not finite, naming layer and tensor; the parameters
  // are then as they were.
  absl::StatusOr<StepResult> Step(BatchBuffer& batch, const StepInputs& in);

  // The loss of rows in the batch, nothing trained. Adds to `sum` and
  // `weight`: loss = sum / weight over several calls.
  virtual absl::Status Validate(BatchBuffer& batch, double* sum,
                                double* weight) = 0;

  AdamW& optimizer() { return optimizer_; }

 protected:
  StageRunner(Llama* model, Execution exec, int64_t micro_batch,
              const AdamWSettings& settings)
      : model_(model),
        exec_(exec),
        micro_batch_(micro_batch),
        optimizer_(&model->adapters().parameters(), settings) {}

  // Adds the gradients of the whole batch and sets the result's losses. Errors
  // of the pass are in exec().status.
  virtual void Accumulate(BatchBuffer& batch, const StepInputs& in,
                          StepResult* result) = 0;

  Llama& model() { return *model_; }
  Execution& exec() { return exec_; }
  int64_t micro_batch() const { return micro_batch_; }

 private:
  // After a non-finite result: which layer and tensor it came from.
  absl::Status Diagnose(BatchBuffer& batch, const StepInputs& in,
                        StepResult result);

  Llama* model_;
  Execution exec_;
  int64_t micro_batch_;
  AdamW optimizer_;
};

// Sets the store's trained groups, and makes the runner of an expanded stage.
std::unique_ptr<StageRunner> MakeStageRunner(const proto::Stage& stage,
                                             const proto::Job& job,
                                             Llama* model, Execution exec,
                                             int64_t micro_batch);

}  // namespace caracal

#endif  // CARACAL_JOBS_TRAIN_STAGE_RUNNER_H_
