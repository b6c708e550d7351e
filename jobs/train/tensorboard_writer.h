// Event files for TensorBoard, in the folder that holds metrics.jsonl and with
// the same values, rounded to float: tags are STAGE/NAME, such as
// transfer/loss, steps are global. Of la_mass, STAGE/la_mass is the mean and
// STAGE_la_mass/layer_NNN each layer's.
//
// A file is a sequence of records: length (8 bytes, little endian), its masked
// CRC-32C, an Event (proto/tensorboard.proto), its masked CRC-32C.
#ifndef CARACAL_JOBS_TRAIN_TENSORBOARD_WRITER_H_
#define CARACAL_JOBS_TRAIN_TENSORBOARD_WRITER_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "core/base/clock.h"
#include "core/base/file_system.h"
#include "jobs/train/step_record.h"

namespace caracal {

// Not thread-safe. Borrows files and clock.
class TensorBoardWriter {
 public:
  TensorBoardWriter(FileSystem* files, Clock* clock, std::string folder)
      : files_(files), clock_(clock), folder_(std::move(folder)) {}

  // The coming steps follow `global_step`, and go to a file of their own, which
  // is made with the first of them. It tells readers that what earlier files
  // have of later steps does not count: they are not rewritten, and a record
  // that one of them ends in the middle of is lost.
  void Start(int64_t global_step);

  // Not fsynced. After Start().
  absl::Status Write(const StepRecord& record);

 private:
  absl::Status OpenFile();

  FileSystem* files_;
  Clock* clock_;
  std::string folder_;
  std::string path_;  // "": made by the next Write
  int64_t global_step_ = 0;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_TRAIN_TENSORBOARD_WRITER_H_
