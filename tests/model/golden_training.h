// Stages of a job on the rows of a golden, step by step.
#ifndef CARACAL_TESTS_MODEL_GOLDEN_TRAINING_H_
#define CARACAL_TESTS_MODEL_GOLDEN_TRAINING_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/temporary_folder.h"
#include "core/io/dataset/packed_dataset.h"
#include "dist/gang/gang.h"
#include "proto/job.pb.h"
#include "tests/model/golden.h"
#include "tests/model/golden_model.h"

namespace caracal::golden {

// A preset with everything filled in. `batch`: rows of a step.
proto::Job GoldenJob(const std::string& preset, int32_t batch);

// Rows are taken in order, over all stages.
class GoldenTraining {
 public:
  // `rows`: tensors `tokens` and, where there is one, `document` of a golden,
  // from row `first_row` on. The model's student must have been set.
  static absl::StatusOr<std::unique_ptr<GoldenTraining>> Start(
      GoldenModel* model, const GoldenTensors& rows, int64_t first_row,
      const proto::Job& job);

  // Runs `steps` steps of the job's stage, as if it had no more, at a constant
  // learning rate. Returns their losses.
  absl::StatusOr<std::vector<double>> RunStage(int stage, int64_t steps,
                                               double learning_rate);

 private:
  GoldenTraining(GoldenModel* model, const proto::Job& job)
      : model_(model), job_(job) {}

  absl::Status WriteRows(const GoldenTensors& rows, int64_t first_row,
                         const std::string& path);

  GoldenModel* model_;
  Gang gang_;
  proto::Job job_;
  TemporaryFolder folder_;
  std::unique_ptr<PackedDataset> data_;
  int64_t next_row_ = 0, global_step_ = 0;
};

}  // namespace caracal::golden

#endif  // CARACAL_TESTS_MODEL_GOLDEN_TRAINING_H_
