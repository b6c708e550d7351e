#include "jobs/client/job_facts.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/io/dataset/packed_dataset.h"
#include "core/io/weight_source.h"
#include "jobs/client/model_words.h"
#include "jobs/spec/warnings.h"
#include "kernels/common/thread_pool.h"

namespace caracal {
namespace {

absl::StatusOr<std::unique_ptr<PackedDataset>> OpenData(const std::string& path,
                                                        FileSystem* files) {
  PackedDatasetOptions options;
  options.max_memory_bytes = 0;  // only its sizes are wanted
  return PackedDataset::Open(path, options, files);
}

// In and out features of a projection.
std::pair<int64_t, int64_t> ProjectionShape(const std::string& name,
                                            const ModelConfig& model) {
  const int64_t hidden = model.hidden_size;
  const int64_t query = model.heads * model.head_dim;
  const int64_t key = model.kv_heads * model.head_dim;
  if (name == "q") return {hidden, query};
  if (name == "k" || name == "v") return {hidden, key};
  if (name == "o") return {query, hidden};
  if (name == "down") return {model.intermediate_size, hidden};
  return {hidden, model.intermediate_size};  // gate, up
}

}  // namespace

int64_t TrainedParameters(const proto::Job& job, const proto::Stage& stage,
                          const ModelConfig& model) {
  const bool transfer = stage.has_transfer();
  const bool maps = transfer ? stage.transfer().train_feature_maps()
                             : stage.finetune().train_feature_maps();
  const bool factors = transfer ? stage.transfer().train_window_factors()
                                : stage.finetune().train_window_factors();
  const int64_t features = job.attention().has_features()
                               ? job.attention().features()
                               : model.head_dim;
  int64_t layer = 0;
  if (maps) layer += 2 * model.heads * model.head_dim * features;
  if (factors) layer += model.heads;
  if (!transfer && stage.finetune().train_lora()) {
    for (const std::string& name : job.lora().projections()) {
      const auto [in, out] = ProjectionShape(name, model);
      layer += job.lora().rank() * (in + out);
    }
  }
  return model.layers * layer;
}

absl::StatusOr<JobFacts> GatherJobFacts(const proto::Job& job,
                                        FileSystem* files) {
  JobFacts facts;
  ASSIGN_OR_RETURN(const std::unique_ptr<WeightSource> model,
                   OpenModel(job.model().path(), files));
  facts.model = model->config();
  facts.model_parameters = ModelParameters(facts.model);
  facts.weight_bytes = 4 * facts.model_parameters;

  ASSIGN_OR_RETURN(const auto train, OpenData(job.data().path(), files));
  facts.rows = train->rows();
  facts.row_tokens = train->seq_len();
  if (job.data().has_seq_len()) {
    if (job.data().seq_len() > facts.row_tokens) {
      return absl::InvalidArgumentError(absl::StrCat(
          "data.seq_len: is ", job.data().seq_len(), ", but the rows of ",
          job.data().path(), " have ", facts.row_tokens, " tokens"));
    }
    facts.row_tokens = job.data().seq_len();
  }
  if (facts.row_tokens > facts.model.max_positions) {
    return absl::InvalidArgumentError(
        absl::StrCat(job.data().path(), ": its rows have ", facts.row_tokens,
                     " tokens, more than the model's context of ",
                     facts.model.max_positions));
  }
  if (!job.data().validation().empty()) {
    ASSIGN_OR_RETURN(const auto held_out,
                     OpenData(job.data().validation(), files));
    facts.validation_rows = held_out->rows();
  }

  const int64_t batch = job.budget().batch();
  facts.step_tokens = batch * facts.row_tokens;
  for (const proto::Stage& stage : job.stages()) {
    StageFacts one;
    one.steps = stage.has_transfer() ? stage.transfer().steps()
                                     : stage.finetune().steps();
    one.tokens = one.steps * facts.step_tokens;
    one.passes = static_cast<double>(one.steps * batch) / facts.rows;
    one.trained_parameters = TrainedParameters(job, stage, facts.model);
    // The parameter, its gradient and two moments.
    facts.training_bytes =
        std::max<uint64_t>(facts.training_bytes, 16 * one.trained_parameters);
    facts.tokens += one.tokens;
    facts.stages.push_back(one);
  }
  facts.warnings = JobWarnings(job, {.rows = facts.rows,
                                     .seq_len = facts.row_tokens,
                                     .cores = AvailableCores()});
  return facts;
}

}  // namespace caracal
