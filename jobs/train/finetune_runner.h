// Steps of LoRA fine-tuning.
#ifndef CARACAL_JOBS_TRAIN_FINETUNE_RUNNER_H_
#define CARACAL_JOBS_TRAIN_FINETUNE_RUNNER_H_

#include <memory>

#include "jobs/train/stage_runner.h"

namespace caracal {

// The store's trained groups are set.
std::unique_ptr<StageRunner> MakeFinetuneRunner(
    const proto::FinetuneStage& stage, uint64_t seed, Llama* model,
    Execution exec, Gang* gang, int64_t micro_batch,
    const AdamWSettings& settings);

}  // namespace caracal

#endif  // CARACAL_JOBS_TRAIN_FINETUNE_RUNNER_H_
