#include "eval/measure/pass_list.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/model/attention_statistics.h"
#include "eval/attribution/shapley.h"
#include "kernels/hybrid_attention/hybrid_attention.h"

namespace caracal {
namespace {

constexpr ComponentMode kDefaultModes[] = {
    ComponentMode::kTeacher,   ComponentMode::kTeacherSwa,
    ComponentMode::kHybrid,    ComponentMode::kSwaOnly,
    ComponentMode::kLaOnly,    ComponentMode::kLaPast,
    ComponentMode::kSinksOnly, ComponentMode::kNone};

bool HasMode(const std::vector<Pass>& passes, ComponentMode mode) {
  return std::any_of(passes.begin(), passes.end(), [&](const Pass& pass) {
    return pass.mode == mode && pass.overrides.empty();
  });
}

std::vector<Pass> ModePassesOf(const MeasureOptions& options, int64_t sinks) {
  std::vector<Pass> passes;
  std::vector<ComponentMode> modes = options.modes;
  if (modes.empty()) {
    modes.assign(std::begin(kDefaultModes), std::end(kDefaultModes));
  }
  for (const ComponentMode mode : modes) {
    if (mode == ComponentMode::kSinksOnly && sinks == 0) continue;
    // Asked for twice, it is still one.
    if (HasMode(passes, mode)) continue;
    passes.push_back({.name = std::string(NameOf(mode)),
                      .mode = mode,
                      .sinks = sinks,
                      .statistics = mode == ComponentMode::kHybrid});
  }
  if (!options.mode_at.empty()) {
    passes.push_back({.name = ModeAtName(options.mode_at),
                      .sinks = sinks,
                      .overrides = options.mode_at});
  }
  return passes;
}

// The keys that the components of a subset own (docs/method.md, section 5).
Pass SubsetPass(std::string name, int subset, int64_t sinks) {
  int terms = kernels::kNoTerms;
  if (subset & kSwaPlayer) {
    terms |= kernels::kNearTerms | kernels::kNearSinkTerms;
  }
  if (subset & kLaPlayer) terms |= kernels::kLinearPastTerms;
  if (subset & kSinksPlayer) terms |= kernels::kFarSinkTerms;
  return {.name = std::move(name),
          .terms = static_cast<uint8_t>(terms),
          .sinks = sinks};
}

// Hybrid attention without the keys of one owner; "la" is swa_only.
// Without hybrid there is nothing to compare with.
std::vector<Pass> DropPassesOf(const MeasureOptions& options,
                               const std::vector<Pass>& modes, int64_t sinks) {
  std::vector<Pass> passes;
  if (!options.drops || !HasMode(modes, ComponentMode::kHybrid)) return passes;
  passes.push_back(SubsetPass("swa", kLaPlayer | kSinksPlayer, sinks));
  if (sinks > 0) {
    passes.push_back(SubsetPass("sinks", kSwaPlayer | kLaPlayer, sinks));
  }
  return passes;
}

// To compare the hybrid with, or because teacher_swa was asked for itself.
std::vector<Pass> BaselinePassesOf(const MeasureOptions& options,
                                   const std::vector<Pass>& modes) {
  std::vector<Pass> passes;
  if (!HasMode(modes, ComponentMode::kHybrid) &&
      !HasMode(modes, ComponentMode::kTeacherSwa)) {
    return passes;
  }
  const std::set<int64_t> rising(options.baseline_sinks.begin(),
                                 options.baseline_sinks.end());
  for (const int64_t sinks : rising) {
    passes.push_back({.name = absl::StrCat("teacher_swa_s", sinks),
                      .mode = ComponentMode::kTeacherSwa,
                      .sinks = sinks});
  }
  return passes;
}

// The student with sinks in the linear part's place, unless it has them.
void AddSinksInstead(const std::vector<Pass>& modes, int64_t sinks,
                     std::vector<Pass>* passes) {
  if (!HasMode(modes, ComponentMode::kSwaOnly) || sinks >= kSinkPositions) {
    return;
  }
  passes->push_back({.name = absl::StrCat("swa_only_s", kSinkPositions),
                     .mode = ComponentMode::kSwaOnly,
                     .sinks = kSinkPositions});
}

std::vector<Pass> AblationPassesOf(const MeasureOptions& options,
                                   const Llama& model) {
  std::vector<Pass> passes;
  const StudentConfig& student = model.adapters().config();
  const int64_t heads = options.ablate == Ablate::kHeads ? model.heads() : 1;
  for (int64_t l = 0; l < model.layers(); ++l) {
    if (options.ablate == Ablate::kNothing || student.IsSoftmaxLayer(l)) {
      continue;
    }
    for (int64_t h = 0; h < heads; ++h) {
      Pass pass{.name = absl::StrCat("layer ", l), .ablated_layer = l};
      pass.sinks = student.attention.sinks;
      if (options.ablate == Ablate::kHeads) {
        absl::StrAppend(&pass.name, " head ", h);
        pass.ablated_head = h;
      }
      passes.push_back(std::move(pass));
    }
  }
  return passes;
}

}  // namespace

std::string ModeAtName(const std::vector<ModeOverride>& overrides) {
  std::string name = "at";
  for (const ModeOverride& at : overrides) {
    absl::StrAppend(&name, " ", at.ToString());
  }
  return name;
}

std::vector<std::pair<PassRole, Pass>> PassesOf(const MeasureOptions& options,
                                                const Llama& model) {
  const int64_t sinks = model.adapters().config().attention.sinks;
  std::vector<std::pair<PassRole, Pass>> all;
  const auto add = [&](PassRole role, std::vector<Pass> passes) {
    for (Pass& pass : passes) all.emplace_back(role, std::move(pass));
  };
  const std::vector<Pass> modes = ModePassesOf(options, sinks);
  std::vector<Pass> baselines = BaselinePassesOf(options, modes);
  AddSinksInstead(modes, sinks, &baselines);
  add(proto::MeasurementPass::MODE, modes);
  add(proto::MeasurementPass::BASELINE, std::move(baselines));
  add(proto::MeasurementPass::DROP, DropPassesOf(options, modes, sinks));
  // Shapley values split hybrid - none, so they need both. Most subsets are
  // modes or drops too, and are not run again.
  if (HasMode(modes, ComponentMode::kHybrid) &&
      HasMode(modes, ComponentMode::kNone)) {
    for (int s = 0; s < kSubsets; ++s) {
      add(proto::MeasurementPass::SUBSET, {SubsetPass("", s, sinks)});
    }
  }
  std::vector<Pass> ablations = AblationPassesOf(options, model);
  // Runs it where the caller's modes left it out.
  if (!ablations.empty()) {
    add(proto::MeasurementPass::REFERENCE, {Pass{.sinks = sinks}});
  }
  add(proto::MeasurementPass::ABLATION, std::move(ablations));
  return all;
}

proto::MeasurementPass ToProto(PassRole role, const Pass& pass) {
  proto::MeasurementPass out;
  out.set_role(role);
  out.set_name(pass.name);
  out.set_mode(std::string(NameOf(pass.mode)));
  if (pass.terms.has_value()) out.set_terms(*pass.terms);
  out.set_sinks(pass.sinks);
  out.set_statistics(pass.statistics);
  out.set_ablated_layer(pass.ablated_layer);
  out.set_ablated_head(pass.ablated_head);
  for (const ModeOverride& at : pass.overrides) {
    out.add_overrides(at.ToString());
  }
  return out;
}

absl::StatusOr<Pass> PassFromProto(const proto::MeasurementPass& pass) {
  Pass out = {.name = pass.name(),
              .sinks = pass.sinks(),
              .statistics = pass.statistics(),
              .ablated_layer = pass.ablated_layer(),
              .ablated_head = pass.ablated_head()};
  ASSIGN_OR_RETURN(out.mode, ComponentModeFromName(pass.mode()));
  if (pass.has_terms()) out.terms = static_cast<uint8_t>(pass.terms());
  for (const std::string& text : pass.overrides()) {
    ASSIGN_OR_RETURN(ModeOverride at, ParseModeOverride(text));
    out.overrides.push_back(std::move(at));
  }
  return out;
}

}  // namespace caracal
