#include "tests/model/golden_model.h"

#include <utility>

#include "core/base/status.h"
#include "core/model/student_file.h"

namespace caracal::golden {

GoldenBatch::GoldenBatch(const std::vector<int32_t>& rows,
                         int64_t tokens_per_row,
                         const std::vector<int32_t>* documents) {
  const int64_t length = tokens_per_row + 1;
  const int64_t count = static_cast<int64_t>(rows.size()) / length;
  for (int64_t r = 0; r < count; ++r) {
    int32_t position = 0;
    for (int64_t t = 0; t < tokens_per_row; ++t) {
      const int64_t i = r * length + t;
      const bool starts =
          t == 0 || (documents && (*documents)[i] != (*documents)[i - 1]);
      if (starts) {
        offsets_.push_back(static_cast<int64_t>(tokens_.size()));
        position = 0;
      }
      tokens_.push_back(rows[i]);
      targets_.push_back(rows[i + 1]);
      positions_.push_back(position++);
    }
  }
  offsets_.push_back(static_cast<int64_t>(tokens_.size()));
}

TokenBatch GoldenBatch::batch() const {
  TokenBatch batch;
  batch.sequences = sequences();
  batch.offsets = offsets_.data();
  batch.tokens = ConstTensorView(tokens_.data(), {rows()});
  batch.targets = ConstTensorView(targets_.data(), {rows()});
  batch.positions = ConstTensorView(positions_.data(), {rows()});
  return batch;
}

absl::StatusOr<std::unique_ptr<GoldenModel>> GoldenModel::Load(
    const std::string& path, int threads, Collective* group) {
  std::unique_ptr<GoldenModel> model(new GoldenModel(threads));
  model->exec_.ctx.pool = &model->pool_;
  model->exec_.arena = &model->arena_;
  model->exec_.collective = group == nullptr ? &model->collective_ : group;
  ASSIGN_OR_RETURN(model->source_, OpenModel(path));
  ASSIGN_OR_RETURN(model->weights_,
                   LlamaWeights::Load(model->exec_.ctx, *model->source_,
                                      Shard{model->exec_.collective->rank(),
                                            model->exec_.collective->size()},
                                      WeightForm::kDense));
  return model;
}

absl::Status GoldenModel::SetStudent(
    const kernels::HybridAttentionConfig& attention, const LoraConfig& lora,
    const std::string& student) {
  StudentConfig config;
  config.attention = attention;
  config.features = weights_.config.head_dim;
  config.lora = lora;
  if (!student.empty()) {
    ASSIGN_OR_RETURN(StudentFileShape shape, ReadStudentShape(student));
    config.features = shape.features;
    config.lora = shape.lora;
    config.lora.alpha = lora.alpha;
  }
  SetStudent(config);
  if (student.empty()) return absl::OkStatus();
  return ReadStudent(student, adapters_.get());
}

void GoldenModel::SetStudent(const StudentConfig& config) {
  adapters_ = std::make_unique<Adapters>(weights_.adapter_shape(), config);
  adapters_->Initialize(/*seed=*/0);
  llama_ = std::make_unique<Llama>(&weights_, adapters_.get());
}

std::vector<float> GoldenModel::Losses(const GoldenBatch& batch,
                                       const ModePlan& plan,
                                       AttentionStatistics* statistics) {
  std::vector<float> nll(batch.rows());
  arena_.Reset();
  llama_->Evaluate(exec_, batch.batch(), plan,
                   TensorView(nll.data(), {batch.rows()}), TensorView(),
                   statistics);
  return nll;
}

}  // namespace caracal::golden
