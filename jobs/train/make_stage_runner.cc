#include "jobs/train/make_stage_runner.h"

#include <vector>

#include "jobs/train/finetune_runner.h"
#include "jobs/train/transfer_runner.h"

namespace caracal {
namespace {

AdamWSettings OptimizerSettings(const proto::Optimizer& o) {
  const proto::GroupWeightDecay& decay = o.group_weight_decay();
  AdamWSettings settings = {.beta1 = static_cast<float>(o.beta1()),
                            .beta2 = static_cast<float>(o.beta2()),
                            .epsilon = static_cast<float>(o.eps()),
                            .grad_clip = static_cast<float>(o.grad_clip())};
  for (const auto& [group, value] :
       {std::pair(ParameterGroup::kFeatureMap, decay.feature_maps()),
        {ParameterGroup::kFeatureBias, decay.feature_biases()},
        {ParameterGroup::kWindowFactor, decay.window_factors()},
        {ParameterGroup::kLora, decay.lora()}}) {
    settings.weight_decay[static_cast<int>(group)] = static_cast<float>(value);
  }
  return settings;
}

}  // namespace

std::unique_ptr<StageRunner> MakeStageRunner(const proto::Stage& stage,
                                             const proto::Job& job,
                                             Llama* model, Execution exec,
                                             Gang* gang, int64_t micro_batch,
                                             MicroBatches* rows) {
  std::vector<ParameterGroup> groups;
  const auto add = [&](bool trained, ParameterGroup group) {
    if (trained) groups.push_back(group);
  };
  const AdamWSettings settings = OptimizerSettings(job.optimizer());
  ParameterStore& store = model->adapters().parameters();
  if (stage.has_transfer()) {
    const proto::TransferStage& s = stage.transfer();
    add(s.train_feature_maps(), ParameterGroup::kFeatureMap);
    add(s.train_feature_maps(), ParameterGroup::kFeatureBias);
    add(s.train_window_factors(), ParameterGroup::kWindowFactor);
    store.SetTrained(groups);
    return std::make_unique<TransferRunner>(s, model, exec, gang, micro_batch,
                                            settings, rows);
  }
  const proto::FinetuneStage& s = stage.finetune();
  add(s.train_feature_maps(), ParameterGroup::kFeatureMap);
  add(s.train_feature_maps(), ParameterGroup::kFeatureBias);
  add(s.train_window_factors(), ParameterGroup::kWindowFactor);
  add(s.train_lora(), ParameterGroup::kLora);
  store.SetTrained(groups);
  return MakeFinetuneRunner(s, job.seed(), model, exec, gang, micro_batch,
                            settings);
}

}  // namespace caracal
