#include "jobs/client/job_facts.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "core/base/status.h"
#include "core/io/weight_source.h"
#include "jobs/client/model_words.h"
#include "jobs/model/job_surroundings.h"
#include "jobs/spec/warnings.h"

namespace caracal {
namespace {

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
  // Layers kept as softmax have adapters, of which only LoRA is used.
  const int64_t converted =
      model.layers - job.attention().softmax_layers_size();
  int64_t layer = 0, lora = 0;
  if (maps) {
    const proto::Attention& a = job.attention();
    // hedgehog_fla has one map for all heads.
    const int64_t each = (a.feature_map() == "hedgehog_fla" ? 1 : model.heads) *
                         features *
                         (model.head_dim + (a.feature_bias() ? 1 : 0));
    layer += (a.tied_feature_maps() ? 1 : 2) * each;
  }
  if (factors) layer += model.heads;
  if (!transfer && stage.finetune().train_lora()) {
    for (const std::string& name : job.lora().projections()) {
      const auto [in, out] = ProjectionShape(name, model);
      lora += job.lora().rank() * (in + out);
    }
  }
  return converted * layer + model.layers * lora;
}

absl::StatusOr<JobFacts> GatherJobFacts(const proto::Job& job,
                                        FileSystem* files) {
  JobFacts facts;
  ASSIGN_OR_RETURN(const std::unique_ptr<WeightSource> model,
                   OpenModel(job.model().path(), files));
  facts.model = model->config();
  facts.model_parameters = ModelParameters(facts.model);
  facts.weight_bytes = 4 * facts.model_parameters;

  ASSIGN_OR_RETURN(const JobSurroundings around,
                   ReadSurroundings(job, facts.model, files));
  facts.rows = around.train.rows;
  facts.row_tokens = TrainedTokens(job, around);
  if (around.held_out.has_value()) {
    facts.validation_rows = around.held_out->rows;
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
  facts.warnings = JobWarnings(job, around);
  return facts;
}

}  // namespace caracal
