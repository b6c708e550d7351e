#include "jobs/train/student_config.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/model/feature_map_name.h"
#include "jobs/spec/problem.h"
#include "jobs/spec/surroundings.h"
#include "jobs/spec/window_kind.h"

namespace caracal {
namespace {

struct ModePair {
  proto::ComponentMode proto;
  ComponentMode mode;
};
constexpr ModePair kModes[] = {
    {proto::HYBRID, ComponentMode::kHybrid},
    {proto::SWA_ONLY, ComponentMode::kSwaOnly},
    {proto::LA_ONLY, ComponentMode::kLaOnly},
    {proto::LA_PAST, ComponentMode::kLaPast},
    {proto::SINKS_ONLY, ComponentMode::kSinksOnly},
    {proto::NONE, ComponentMode::kNone},
    {proto::SOFTMAX, ComponentMode::kSoftmax},
    {proto::TEACHER, ComponentMode::kTeacher},
    {proto::TEACHER_SWA, ComponentMode::kTeacherSwa},
};

template <typename Stage>
ScheduleSettings ScheduleOfStage(const Stage& stage) {
  const proto::LearningRateSchedule& s = stage.schedule();
  ScheduleSettings out;
  out.peak = stage.lr();
  out.steps = stage.steps();
  out.warmup_steps = s.warmup_steps();
  switch (s.shape_case()) {
    case proto::LearningRateSchedule::kConstant:
      out.shape = ScheduleShape::kConstant;
      break;
    case proto::LearningRateSchedule::kLinear:
      out.shape = ScheduleShape::kLinear;
      out.decay_to = s.linear().to();
      break;
    case proto::LearningRateSchedule::kCosine:
      out.shape = ScheduleShape::kCosine;
      out.decay_to = s.cosine().to();
      break;
    case proto::LearningRateSchedule::kPlateau:
    case proto::LearningRateSchedule::SHAPE_NOT_SET:
      out.shape = ScheduleShape::kPlateau;
      out.plateau_factor = s.plateau().factor();
      out.plateau_patience = s.plateau().patience();
      out.plateau_floor = s.plateau().floor();
      out.plateau_threshold = s.plateau().threshold();
      break;
  }
  return out;
}

}  // namespace

ComponentMode ModeFromProto(proto::ComponentMode mode) {
  for (const ModePair& pair : kModes) {
    if (pair.proto == mode) return pair.mode;
  }
  CARACAL_CHECK(false) << "component mode " << mode;
  return ComponentMode::kHybrid;
}

ComponentMode EvaluationModeOf(const proto::Job& job) {
  if (job.evaluation().has_eval_mode()) {
    return ModeFromProto(job.evaluation().eval_mode());
  }
  const proto::Stage& last = job.stages(job.stages_size() - 1);
  return ModeFromProto(last.has_transfer() ? last.transfer().student_mode()
                                           : last.finetune().student_mode());
}

absl::StatusOr<StudentConfig> StudentConfigOf(const proto::Job& job,
                                              const ModelConfig& model) {
  const proto::Attention& a = job.attention();
  StudentConfig config;
  config.attention.window = a.window();
  config.attention.sinks = a.sinks();
  config.attention.window_kind = WindowKindOf(a);
  // The specification was validated: a name it has no map for is a bug.
  const auto map = FeatureMapFromName(a.feature_map(), a.half_space());
  CARACAL_CHECK(map.ok()) << std::string(map.status().message());
  config.attention.feature_map = *map;
  config.feature_bias = a.feature_bias();
  config.tied_features = a.tied_feature_maps();
  config.kaiming_features = a.feature_init() == "kaiming";
  config.attention.affine = a.affine();
  config.features = a.features() > 0 ? a.features() : model.head_dim;
  config.gamma_init = static_cast<float>(a.gamma_init());
  std::vector<Problem> problems;
  CheckSoftmaxLayers(job, model.layers, &problems);
  RETURN_IF_ERROR(ProblemsToStatus(problems, absl::StrCat("job ", job.name())));
  for (const int32_t layer : a.softmax_layers()) {
    config.softmax_layers.resize(model.layers);
    config.softmax_layers[layer] = true;
  }
  config.lora.rank = job.lora().rank();
  config.lora.alpha = static_cast<float>(job.lora().alpha());
  config.lora.projections.fill(false);
  for (const std::string& name : job.lora().projections()) {
    const auto at =
        std::find(kProjectionNames.begin(), kProjectionNames.end(), name);
    CARACAL_CHECK(at != kProjectionNames.end()) << "projection " << name;
    config.lora.projections[at - kProjectionNames.begin()] = true;
  }
  return config;
}

ScheduleSettings ScheduleOf(const proto::Stage& stage) {
  return stage.has_transfer() ? ScheduleOfStage(stage.transfer())
                              : ScheduleOfStage(stage.finetune());
}

int64_t StepsOf(const proto::Stage& stage) {
  return stage.has_transfer() ? stage.transfer().steps()
                              : stage.finetune().steps();
}

}  // namespace caracal
