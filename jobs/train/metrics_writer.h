// metrics.jsonl: one JSON object a line, a line a step. The same values go to
// TensorBoard's files.
#ifndef CARACAL_JOBS_TRAIN_METRICS_WRITER_H_
#define CARACAL_JOBS_TRAIN_METRICS_WRITER_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "core/base/file_system.h"
#include "jobs/train/step_record.h"
#include "jobs/train/tensorboard_writer.h"

namespace caracal {

// Numbers read back from it bit for bit. Without a line feed.
std::string ToJson(const StepRecord& metrics);

// Appends lines; not thread-safe.
class MetricsWriter {
 public:
  // `events` may be null, and is borrowed.
  MetricsWriter(FileSystem* files, std::string path,
                TensorBoardWriter* events = nullptr)
      : files_(files), path_(std::move(path)), events_(events) {}

  // Drops lines of steps after `global_step` (of a run that went on after the
  // checkpoint it is resumed from) and a half-written last line.
  absl::Status KeepUntil(int64_t global_step);

  absl::Status Write(const StepRecord& metrics);

 private:
  FileSystem* files_;
  std::string path_;
  TensorBoardWriter* events_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_TRAIN_METRICS_WRITER_H_
