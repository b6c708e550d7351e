// One optimiser step, and one validation, of a stage.
#ifndef CARACAL_JOBS_TRAIN_STAGE_RUNNER_H_
#define CARACAL_JOBS_TRAIN_STAGE_RUNNER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/device/recorded_passes.h"
#include "core/model/batch_buffer.h"
#include "core/model/llama.h"
#include "core/optim/adamw.h"
#include "dist/gang/gang.h"
#include "dist/gradients/gradient_sync.h"
#include "jobs/train/loss_sums.h"
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

  // When no more steps follow, for whatever reason but an error.
  virtual absl::Status Finish() { return absl::OkStatus(); }

  AdamW& optimizer() { return optimizer_; }

  // On a device no pass is launched as it was recorded any more; to measure
  // what that gains.
  void LaunchEveryPass() { exec_.recorded = nullptr; }
  // On a device, why every pass is launched anew: the first one that was to be
  // recorded could not be. OK otherwise.
  absl::Status recording() const {
    return recorded_.has_value() ? recorded_->status() : absl::OkStatus();
  }

 protected:
  // A step's rows once, gradients being reduced on the way, or again.
  enum class Pass { kStep, kRepeat };

  // Of the parameters that are trained now.
  StageRunner(Llama* model, Execution exec, Gang* gang, int64_t micro_batch,
              const AdamWSettings& settings);

  // Adds the gradients of the whole batch, and its sums. Errors of the pass
  // are in exec().status; one that is returned leaves the gang unusable.
  virtual absl::Status Accumulate(BatchBuffer& batch, const StepInputs& in,
                                  Pass pass, LossSums* sums) = 0;
  // The losses that sums over the gang come to.
  virtual StepResult ResultOf(const LossSums& sums) const = 0;

  Llama& model() const { return *model_; }
  Execution& exec() { return exec_; }
  Gang& gang() const { return *gang_; }
  int64_t micro_batch() const { return micro_batch_; }
  // While the last micro-batch of a Pass::kStep runs. Gradients are whole as it
  // is done with each layer, and are reduced then; behind it the rest of them
  // and the norm's squares are enqueued, which come with its losses.
  void set_last_pass(bool last) {
    exec_.layer_done = last && sync_.reduces() ? &layer_done_ : nullptr;
    exec_.pass_enqueued = last ? &finish_gradients_ : nullptr;
  }

 private:
  void LayerDone(int layer);
  void FinishGradients();
  // After a non-finite result: which layer and tensor it came from. The same
  // on all ranks.
  absl::Status Diagnose(BatchBuffer& batch, const StepInputs& in,
                        const StepResult& result);

  Llama* model_;
  Execution exec_;
  std::optional<RecordedPasses> recorded_;  // on a device
  Gang* gang_;
  int64_t micro_batch_;
  GradientSync sync_;
  AdamW optimizer_;
  std::function<void(int)> layer_done_;
  std::function<void()> finish_gradients_;
  std::optional<absl::Status> reduced_;  // what that came to in this step
  LossSums sums_;
  std::vector<double> squares_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_TRAIN_STAGE_RUNNER_H_
