// From the job's messages to what the model code takes.
#ifndef CARACAL_JOBS_TRAIN_STUDENT_CONFIG_H_
#define CARACAL_JOBS_TRAIN_STUDENT_CONFIG_H_

#include "absl/status/statusor.h"
#include "core/io/model_config.h"
#include "core/model/adapters.h"
#include "core/model/component_mode.h"
#include "core/optim/learning_rate.h"
#include "proto/job.pb.h"

namespace caracal {

// `mode` must be set (an expanded job's always is).
ComponentMode ModeFromProto(proto::ComponentMode mode);

// What the finished model runs in: evaluation.eval_mode, or where that is not
// set the last stage's student_mode. Of an expanded job.
ComponentMode EvaluationModeOf(const proto::Job& job);

// Of an expanded and validated job, for a model of that shape; features 0
// becomes the head dimension. kInvalidArgument naming the field when the model
// has no such layer.
absl::StatusOr<StudentConfig> StudentConfigOf(const proto::Job& job,
                                              const ModelConfig& model);

// Of a stage with its schedule filled in.
ScheduleSettings ScheduleOf(const proto::Stage& stage);
int64_t StepsOf(const proto::Stage& stage);

}  // namespace caracal

#endif  // CARACAL_JOBS_TRAIN_STUDENT_CONFIG_H_
