// The runner of a stage of a job.
#ifndef CARACAL_JOBS_TRAIN_MAKE_STAGE_RUNNER_H_
#define CARACAL_JOBS_TRAIN_MAKE_STAGE_RUNNER_H_

#include <memory>

#include "jobs/train/layer_chain.h"
#include "jobs/train/stage_runner.h"

namespace caracal {

// Sets the store's trained groups, and makes the runner of an expanded stage.
// `rows`: what a layer chain runs ahead on; null without one.
std::unique_ptr<StageRunner> MakeStageRunner(const proto::Stage& stage,
                                             const proto::Job& job,
                                             Llama* model, Execution exec,
                                             Gang* gang, int64_t micro_batch,
                                             MicroBatches* rows = nullptr);

}  // namespace caracal

#endif  // CARACAL_JOBS_TRAIN_MAKE_STAGE_RUNNER_H_
