#include "tests/model/golden_training.h"

#include "core/base/status.h"
#include "core/io/hdf5/hdf5.h"
#include "core/model/batch_buffer.h"
#include "jobs/curriculum/schedule.h"
#include "jobs/spec/expand.h"
#include "jobs/train/make_stage_runner.h"

namespace caracal::golden {

proto::Job GoldenJob(const std::string& preset, int32_t batch) {
  proto::Job job;
  job.set_preset(preset);
  job.mutable_budget()->set_batch(batch);
  job.mutable_budget()->set_transfer_steps(1);
  job.mutable_budget()->set_finetune_steps(1);
  return ExpandJob(job);
}

absl::StatusOr<std::unique_ptr<GoldenTraining>> GoldenTraining::Start(
    GoldenModel* model, const GoldenTensors& rows, int64_t first_row,
    const proto::Job& job) {
  std::unique_ptr<GoldenTraining> training(new GoldenTraining(model, job));
  const std::string path = training->folder_.File("rows.h5");
  RETURN_IF_ERROR(training->WriteRows(rows, first_row, path));
  ASSIGN_OR_RETURN(training->data_, PackedDataset::Open(path));
  return training;
}

absl::Status GoldenTraining::WriteRows(const GoldenTensors& rows,
                                       int64_t first_row,
                                       const std::string& path) {
  const std::vector<int64_t>& shape = rows.at("tokens").shape;
  const int64_t count = shape[0] - first_row, length = shape[1];
  ASSIGN_OR_RETURN(hdf5::File file, hdf5::File::Create(path));
  RETURN_IF_ERROR(file.Write<int32_t>(
      kTokensDataset, {count, length},
      GoldenRows(rows, "tokens", first_row, count, length)));
  if (rows.count("document") > 0) {
    const std::vector<int32_t> numbers =
        GoldenRows(rows, "document", first_row, count, length);
    // A golden counts from 0 in each row, a file over all of them.
    std::vector<int64_t> documents;
    for (size_t i = 0; i < numbers.size(); ++i) {
      const int64_t row = static_cast<int64_t>(i) / length;
      documents.push_back(row * length + numbers[i]);
    }
    RETURN_IF_ERROR(
        file.Write<int64_t>(kDocumentDataset, {count, length}, documents));
  }
  return file.Close();
}

absl::StatusOr<std::vector<double>> GoldenTraining::RunStage(
    int stage, int64_t steps, double learning_rate) {
  const int64_t batch = job_.budget().batch();
  const std::unique_ptr<StageRunner> runner =
      MakeStageRunner(job_.stages(stage), job_, &model_->llama(),
                      model_->exec(), &gang_, job_.budget().micro_batch());
  BatchBuffer buffer(batch, data_->seq_len(),
                     job_.attention().reset_at_document());
  const proto::Curriculum& curriculum =
      job_.stages(stage).finetune().curriculum();
  std::vector<double> losses;
  for (int64_t step = 0; step < steps; ++step) {
    RETURN_IF_ERROR(
        buffer.Fill(*data_, batch, [&](int64_t i) { return next_row_ + i; }));
    next_row_ += batch;
    const ScheduledValues values = ScheduledValuesAt(curriculum, step, steps);
    ASSIGN_OR_RETURN(
        const StepResult result,
        runner->Step(buffer, {.learning_rate = learning_rate,
                              .global_step = global_step_++,
                              .drop_probability = values.drop_probability,
                              .window = values.window}));
    losses.push_back(result.loss);
  }
  return losses;
}

}  // namespace caracal::golden
