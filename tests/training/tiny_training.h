// The tiny model of the goldens with its rows, ready for optimiser steps.
#ifndef CARACAL_TESTS_TRAINING_TINY_TRAINING_H_
#define CARACAL_TESTS_TRAINING_TINY_TRAINING_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/base/temporary_folder.h"
#include "core/io/dataset/packed_dataset.h"
#include "core/model/batch_buffer.h"
#include "core/model/llama.h"
#include "dist/gang/gang.h"
#include "proto/job.pb.h"
#include "tests/model/golden_model.h"

namespace caracal {

class TinyTraining {
 public:
  // `batch` rows a step of the expanded `preset`.
  static absl::StatusOr<std::unique_ptr<TinyTraining>> Make(
      const std::string& preset, int32_t batch);

  const proto::Job& job() const { return job_; }
  Llama& llama() { return model_->llama(); }
  Execution& exec() { return model_->exec(); }
  golden::GoldenModel& model() { return *model_; }
  BatchBuffer& batch() { return *batch_; }
  Gang& gang() { return gang_; }
  // The rows of step `step`.
  absl::Status Fill(int64_t step);

 private:
  proto::Job job_;
  TemporaryFolder folder_;
  std::unique_ptr<golden::GoldenModel> model_;
  std::unique_ptr<PackedDataset> data_;
  std::unique_ptr<BatchBuffer> batch_;
  Gang gang_;
};

}  // namespace caracal

#endif  // CARACAL_TESTS_TRAINING_TINY_TRAINING_H_
