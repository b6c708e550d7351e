#include "jobs/spec/presets.h"

#include <google/protobuf/text_format.h>

#include <array>
#include <iterator>

#include "core/base/status.h"

namespace caracal {
namespace {

// Steps, loss weights and learning rates that are not given here are the
// field defaults, which are LoLCATs' recipe.
constexpr Preset kPresets[] = {
    {"lolcats", "attention transfer, then LoRA (LoLCATs)", R"(
        stages { transfer { student_mode: HYBRID loss { mse: 1000 } } }
        stages { finetune { student_mode: HYBRID } })"},

    {"hedgehog", "pure linear attention, then LoRA (Hedgehog)", R"(
        stages { transfer { student_mode: LA_ONLY loss { xent: 1 } } }
        stages { finetune { student_mode: LA_ONLY } })"},

    {"inference_hybrid", "the hedgehog model, made hybrid for inference", R"(
        stages { transfer { student_mode: LA_ONLY loss { xent: 1 } } }
        stages { finetune { student_mode: LA_ONLY } }
        evaluation {
          eval_mode: HYBRID
          gamma_override: [ 0.02, 0.1, 0.3, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99 ]
        })"},

    {"hedgecats", "linear transfer, then a short hybrid LoRA stage", R"(
        stages { transfer { student_mode: LA_ONLY loss { xent: 1 } } }
        stages {
          finetune {
            student_mode: HYBRID
            train_window_factors: true
            early_stop { rule: COMPONENT_AWARE }
          }
        })"},

    {"ssd", "lolcats with scheduled sliding-window dropout", R"(
        stages { transfer { student_mode: HYBRID loss { mse: 1000 } } }
        stages {
          finetune {
            student_mode: HYBRID
            train_window_factors: true
            curriculum { drop { step: [ 0.9, 0.75, 0.5 ] } }
          }
        })"},

    {"swa_control", "LoRA on the sliding window alone: the control", R"(
        stages { finetune { student_mode: SWA_ONLY } })"},
};

// What a preset adds to a job, read once.
const proto::Job& JobOf(const Preset& preset) {
  static const auto* const jobs = [] {
    auto* read = new std::array<proto::Job, std::size(kPresets)>;
    for (size_t i = 0; i < read->size(); ++i) {
      CARACAL_CHECK(google::protobuf::TextFormat::ParseFromString(
          kPresets[i].job, &(*read)[i]))
          << "preset " << kPresets[i].name;
    }
    return read;
  }();
  return (*jobs)[&preset - kPresets];
}

// A schedule is one thing: its shape, and how many values it has.
void LayOver(const proto::Curriculum& own, proto::Curriculum* presets) {
  if (own.has_drop()) presets->clear_drop();
  if (own.has_window()) presets->clear_window();
  presets->MergeFrom(own);
}

}  // namespace

const Preset* FindPreset(absl::string_view name) {
  for (const Preset& preset : kPresets) {
    if (name == preset.name) return &preset;
  }
  return nullptr;
}

std::vector<std::string> PresetNames() {
  std::vector<std::string> names;
  for (const Preset& preset : kPresets) names.push_back(preset.name);
  return names;
}

void ExpandPreset(proto::Job* job) {
  if (!job->has_preset() || job->stages_size() > 0) return;
  const Preset* preset = FindPreset(job->preset());
  if (preset == nullptr) return;
  proto::Job expanded = JobOf(*preset);
  // What the job says itself goes on top; lists are replaced, not appended.
  if (job->evaluation().gamma_override_size() > 0) {
    expanded.mutable_evaluation()->clear_gamma_override();
  }
  if (job->has_curriculum()) {
    for (proto::Stage& stage : *expanded.mutable_stages()) {
      if (!stage.has_finetune()) continue;
      LayOver(job->curriculum(),
              stage.mutable_finetune()->mutable_curriculum());
    }
  }
  expanded.MergeFrom(*job);
  expanded.clear_preset();
  expanded.clear_curriculum();
  expanded.set_expanded_from(preset->name);
  *job = std::move(expanded);
}

}  // namespace caracal
