#include "jobs/spec/expand.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "jobs/spec/field_rules.h"
#include "jobs/spec/layout.h"
#include "jobs/spec/presets.h"

namespace caracal {
namespace {

using proto::ComponentMode;

// Shorthands that some stage took.
struct Used {
  bool schedule = false, curriculum = false;
};

template <typename StageKind>
void ExpandSchedule(const proto::Job& job, StageKind* stage, Used* used) {
  if (!stage->has_schedule() && job.has_schedule()) {
    *stage->mutable_schedule() = job.schedule();
    used->schedule = true;
  }
  if (stage->schedule().shape_case() ==
      proto::LearningRateSchedule::SHAPE_NOT_SET) {
    stage->mutable_schedule()->mutable_plateau();
  }
}

void ExpandTransfer(const proto::Job& job, proto::TransferStage* stage,
                    Used* used) {
  if (!stage->has_steps() && job.budget().has_transfer_steps()) {
    stage->set_steps(job.budget().transfer_steps());
  }
  if (!stage->has_student_mode()) stage->set_student_mode(proto::HYBRID);
  const proto::TransferLoss& loss = stage->loss();
  if (!loss.has_mse() && !loss.has_xent() && !loss.has_kl()) {
    stage->mutable_loss()->set_mse(1000);
  }
  if (!stage->has_train_window_factors()) {
    stage->set_train_window_factors(stage->student_mode() == proto::HYBRID);
  }
  ExpandSchedule(job, stage, used);
}

void ExpandFinetune(const proto::Job& job, proto::FinetuneStage* stage,
                    Used* used) {
  if (!stage->has_steps() && job.budget().has_finetune_steps()) {
    stage->set_steps(job.budget().finetune_steps());
  }
  const proto::FinetuneLoss& loss = stage->loss();
  if (!loss.has_lm() && !loss.has_logit_kl()) {
    stage->mutable_loss()->set_lm(1);
  }
  ExpandSchedule(job, stage, used);
  if (!stage->has_curriculum() && job.has_curriculum()) {
    *stage->mutable_curriculum() = job.curriculum();
    used->curriculum = true;
  }
}

void FillWeightDecay(proto::Optimizer* optimizer) {
  const double all = optimizer->weight_decay();
  proto::GroupWeightDecay* group = optimizer->mutable_group_weight_decay();
  if (!group->has_feature_maps()) group->set_feature_maps(all);
  if (!group->has_feature_biases()) group->set_feature_biases(all);
  if (!group->has_window_factors()) group->set_window_factors(all);
  if (!group->has_lora()) group->set_lora(all);
}

void FillEvaluationModes(proto::Job* job) {
  if (job->evaluation().modes_size() > 0) return;
  for (const ComponentMode mode :
       {proto::TEACHER, proto::TEACHER_SWA, proto::HYBRID, proto::SWA_ONLY,
        proto::LA_ONLY, proto::LA_PAST, proto::SINKS_ONLY, proto::NONE}) {
    if (mode == proto::SINKS_ONLY && job->attention().sinks() < 1) continue;
    job->mutable_evaluation()->add_modes(mode);
  }
}

// A step count that a stage of its kind took, or that has no stage to go to
// (swa_control has no transfer), is used up. One that stages contradict stays,
// and so does another shorthand that no stage took: ValidateJob asks about it.
void ClearShorthands(const Used& used, proto::Job* job) {
  const proto::Budget& budget = job->budget();
  bool transfer = true, finetune = true;
  for (const proto::Stage& stage : job->stages()) {
    if (stage.has_transfer()) {
      transfer &= stage.transfer().steps() == budget.transfer_steps();
    } else if (stage.has_finetune()) {
      finetune &= stage.finetune().steps() == budget.finetune_steps();
    }
  }
  if (transfer) job->mutable_budget()->clear_transfer_steps();
  if (finetune) job->mutable_budget()->clear_finetune_steps();
  if (used.schedule) job->clear_schedule();
  if (used.curriculum) job->clear_curriculum();
}

}  // namespace

proto::Job ExpandJob(const proto::Job& original) {
  proto::Job job = original;
  ExpandPreset(&job);
  Used used;
  for (proto::Stage& stage : *job.mutable_stages()) {
    if (stage.has_transfer()) {
      ExpandTransfer(job, stage.mutable_transfer(), &used);
    } else if (stage.has_finetune()) {
      ExpandFinetune(job, stage.mutable_finetune(), &used);
    }
  }
  if (job.stages_size() > 0) ClearShorthands(used, &job);
  FillDefaults(&job);
  FillWeightDecay(job.mutable_optimizer());
  if (!job.attention().has_feature_bias()) {
    const std::string& map = job.attention().feature_map();
    job.mutable_attention()->set_feature_bias(map == "t2r" ||
                                              map == "hedgehog_fla");
  }
  if (job.parallel().layer() > 1 || job.parallel().has_finetune()) {
    const MeshShape finetune = FinetuneLayout(job);
    job.mutable_parallel()->mutable_finetune()->set_data(finetune.data);
    job.mutable_parallel()->mutable_finetune()->set_tensor(finetune.tensor);
  }
  if (!job.budget().has_micro_batch()) {
    // The rows of a rank in each stage that takes steps.
    int rows = 0;
    for (const proto::Stage& stage : job.stages()) {
      if ((stage.has_transfer() ? stage.transfer().steps()
                                : stage.finetune().steps()) > 0) {
        rows = std::gcd(rows, job.budget().batch() / LayoutOf(job, stage).data);
      }
    }
    if (rows == 0) rows = job.budget().batch() / TransferLayout(job).data;
    // A share out of its range is the batch's fault, which is told there.
    const FieldRule* rule =
        FindFieldRule(proto::Budget::descriptor()->FindFieldByNumber(
            proto::Budget::kMicroBatchFieldNumber));
    if (rule->range.Contains(std::max(1, rows))) {
      job.mutable_budget()->set_micro_batch(std::max(1, rows));
    }
  }
  FillEvaluationModes(&job);
  return job;
}

}  // namespace caracal
