// One optimiser step, and one validation, of a stage.
#ifndef CARACAL_JOBS_TRAIN_STAGE_RUNNER_H_
#define CARACAL_JOBS_TRAIN_STAGE_RUNNER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/model/batch_buffer.h"
#include "core/model/llama.h"
#include "core/optim/adamw.h"
#include "dist/gang/gang.h"
#include "dist/gradients/gradient_sync.h"
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

// What losses are made of: sums over rows, of one rank or of a gang.
struct LossSums {
  double rows = 0;     // of the data
  double targets = 0;  // that count
  double nll = 0, kl = 0, dropped = 0;
  double squared_error = 0, cross_entropy = 0, teacher_entropy = 0;

  // To sums over all ranks, on all ranks.
  absl::Status SumOver(Gang& gang);
};

// Computes gradients in micro-batches and applies them. Owns the optimizer of
// its stage. Every rank of a gang has its own, makes the same calls, and gives
// its own rows: as many as each of the others, the gang's rows one data rank
// after another. Not thread-safe.
class StageRunner {
 public:
  virtual ~StageRunner() = default;

  // "transfer" or "finetune".
  virtual const char* name() const = 0;

  // Runs all rows of the batch and updates the parameters. kDataLoss when the
  // loss or a gradient is not finite, naming layer and tensor; the parameters
  // are then as they were.
  absl::StatusOr<StepResult> Step(BatchBuffer& batch, const StepInputs& in);

  // Adds what this rank computes of the losses of rows in the batch to `sums`;
  // nothing is trained.
  virtual absl::Status Validate(BatchBuffer& batch, LossSums* sums) = 0;
  // What validation makes of the sums over the gang.
  virtual double ValidationLoss(const LossSums& sums) const = 0;

  AdamW& optimizer() { return optimizer_; }

 protected:
  // Of the parameters that are trained now.
  StageRunner(Llama* model, Execution exec, Gang* gang, int64_t micro_batch,
              const AdamWSettings& settings);

  // Adds the gradients of the whole batch, and its sums. Errors of the pass
  // are in exec().status.
  virtual void Accumulate(BatchBuffer& batch, const StepInputs& in,
                          LossSums* sums) = 0;
  // The losses that sums over the gang come to.
  virtual StepResult ResultOf(const LossSums& sums) const = 0;

  Llama& model() const { return *model_; }
  Execution& exec() { return exec_; }
  Gang& gang() const { return *gang_; }
  int64_t micro_batch() const { return micro_batch_; }
  // Tells the reduction of gradients about layers: from the last micro-batch.
  void WatchLayers(bool watch) {
    exec_.layer_done = watch && reduce_ ? &layer_done_ : nullptr;
  }

 private:
  // After a non-finite result: which layer and tensor it came from. The same
  // on all ranks.
  absl::Status Diagnose(BatchBuffer& batch, const StepInputs& in,
                        const StepResult& result);

  Llama* model_;
  Execution exec_;
  Gang* gang_;
  int64_t micro_batch_;
  GradientSync sync_;
  AdamW optimizer_;
  bool reduce_ = true;  // gradients are reduced as layers are done
  std::function<void(int)> layer_done_;
};

// Sets the store's trained groups, and makes the runner of an expanded stage.
std::unique_ptr<StageRunner> MakeStageRunner(const proto::Stage& stage,
                                             const proto::Job& job,
                                             Llama* model, Execution exec,
                                             Gang* gang, int64_t micro_batch);

}  // namespace caracal

#endif  // CARACAL_JOBS_TRAIN_STAGE_RUNNER_H_
