// metrics.jsonl: one JSON object a line, a line a step.
#ifndef CARACAL_JOBS_TRAIN_METRICS_WRITER_H_
#define CARACAL_JOBS_TRAIN_METRICS_WRITER_H_

#include <cstdint>
#include <limits>
#include <string>

#include "absl/status/status.h"
#include "core/base/file_system.h"

namespace caracal {

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
  // Held-out loss after the step; NaN (left out) where it was not measured.
  double validation_loss = std::numeric_limits<double>::quiet_NaN();
};

// Appends lines; not thread-safe. Numbers are written so that they read back
// bit for bit.
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
