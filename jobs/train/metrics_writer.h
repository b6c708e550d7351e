// metrics.jsonl: one JSON object a line, a line a step.
#ifndef CARACAL_JOBS_TRAIN_METRICS_WRITER_H_
#define CARACAL_JOBS_TRAIN_METRICS_WRITER_H_

#include <cstdint>
#include <limits>
#include <string>

#include "absl/status/status.h"
#include "core/base/file_system.h"

namespace caracal {

// NaN: was not computed, and is left out of the line.
inline constexpr double kNotMeasured = std::numeric_limits<double>::quiet_NaN();

// Losses of a stage, not scaled by their weights.
struct LossParts {
  double mse = kNotMeasured, xent = kNotMeasured, kl = kNotMeasured;
  double lm = kNotMeasured, logit_kl = kNotMeasured;
};

// What a curriculum set for a step.
struct CurriculumValues {
  double drop_probability = kNotMeasured;  // p(t)
  double dropped_share = kNotMeasured;     // of (sample, layer, head)
  double window = kNotMeasured;            // W(t), tokens
};

// Held-out losses by mode that early stopping looked at after the step.
struct EarlyStopTrace {
  double hybrid_loss = kNotMeasured, swa_only_loss = kNotMeasured;
  double la_only_loss = kNotMeasured;
  double score = kNotMeasured;
};

// What the closed loop saw after the step; its p is the next step's.
struct ClosedLoopTrace {
  double use = kNotMeasured;        // u, nats a token
  double potential = kNotMeasured;  // u*, nats a token
  double ratio = kNotMeasured;      // r = u / u*, not smoothed
  double next_drop_probability = kNotMeasured;
};

// One optimiser step. Keys of the line are the fields' names.
struct StepRecord {
  std::string stage;        // "transfer", "finetune"
  int64_t stage_index = 0;  // of the job's list
  int64_t step = 0;         // in the stage, from 1
  int64_t global_step = 0;  // over all stages, from 1
  double loss = 0;
  double learning_rate = 0;
  double grad_norm = 0;
  int64_t tokens = 0;  // of this step
  double tokens_per_s = 0;
  LossParts parts;
  CurriculumValues curriculum;
  double validation_loss = kNotMeasured;  // held out, after the step
  EarlyStopTrace early_stop;
  ClosedLoopTrace closed_loop;
};

// Numbers read back from it bit for bit. Without a line feed.
std::string ToJson(const StepRecord& metrics);

// Appends lines; not thread-safe.
class MetricsWriter {
 public:
  MetricsWriter(FileSystem* files, std::string path)
      : files_(files), path_(std::move(path)) {}

  // Drops lines of steps after `global_step` (of a run that went on after the
  // checkpoint it is resumed from) and a half-written last line.
  absl::Status KeepUntil(int64_t global_step);

  absl::Status Write(const StepRecord& metrics);

 private:
  FileSystem* files_;
  std::string path_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_TRAIN_METRICS_WRITER_H_
