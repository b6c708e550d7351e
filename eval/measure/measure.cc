#include "eval/measure/measure.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/model/feature_map_name.h"
#include "eval/attribution/result_intervals.h"
#include "eval/attribution/shapley.h"
#include "eval/measure/measurement.h"
#include "eval/measure/pass.h"
#include "kernels/hybrid_attention/hybrid_attention.h"

namespace caracal {
namespace {

constexpr ComponentMode kDefaultModes[] = {
    ComponentMode::kTeacher,   ComponentMode::kTeacherSwa,
    ComponentMode::kHybrid,    ComponentMode::kSwaOnly,
    ComponentMode::kLaOnly,    ComponentMode::kLaPast,
    ComponentMode::kSinksOnly, ComponentMode::kNone};

void FillMasses(const AttentionStatistics& statistics, int64_t layers,
                int64_t heads, AttributionResult* result) {
  AttentionMasses& masses = result->masses;
  for (HeadGrid* grid :
       {&masses.la_mass, &masses.la_output_share, &masses.teacher_out_mass,
        &masses.sink_mass, &masses.teacher_sink_mass}) {
    grid->assign(layers, std::vector<double>(heads, NAN));
  }
  for (int64_t l = 0; l < layers; ++l) {
    for (int64_t h = 0; h < heads; ++h) {
      if (statistics.rows(l, h) == 0) continue;
      const AttentionStatistics::Row mean = statistics.mean(l, h);
      masses.la_mass[l][h] = mean.la_mass;
      masses.la_output_share[l][h] = mean.la_output_share;
      masses.teacher_out_mass[l][h] = mean.teacher_out_mass;
      masses.sink_mass[l][h] = mean.sink_mass;
      masses.teacher_sink_mass[l][h] = mean.teacher_sink_mass;
    }
  }
  const int64_t width = statistics.bucket_tokens();
  for (int64_t b = 0; b < statistics.buckets(); ++b) {
    if (statistics.bucket_rows(b) == 0) continue;
    const AttentionStatistics::Row mean = statistics.bucket_mean(b);
    result->by_position.push_back(
        {b * width, std::min((b + 1) * width, result->settings.tokens_per_row),
         mean.la_mass, mean.la_output_share, mean.teacher_out_mass,
         mean.sink_mass, mean.teacher_sink_mass});
  }
}

HeadGrid GammaOf(const Llama& model) {
  HeadGrid gamma(model.layers(), std::vector<double>(model.heads(), NAN));
  for (int64_t l = 0; l < model.layers(); ++l) {
    if (model.adapters().config().IsSoftmaxLayer(l)) continue;
    const float* factors =
        model.adapters().window_factor(static_cast<int>(l)).value.f32();
    for (int64_t h = 0; h < model.heads(); ++h) {
      gamma[l][h] = 1 / (1 + std::exp(-static_cast<double>(factors[h])));
    }
  }
  return gamma;
}

bool HasMode(const std::vector<Pass>& passes, ComponentMode mode) {
  return std::any_of(passes.begin(), passes.end(), [&](const Pass& pass) {
    return pass.mode == mode && pass.overrides.empty();
  });
}

std::vector<Pass> PassesOf(const MeasureOptions& options, int64_t sinks) {
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

// The passes of one attribution, in order.
class Attribution {
 public:
  Attribution(const Llama& model, Execution exec, PackedDataset& data,
              const MeasureOptions& options, int64_t rows, int64_t seq_len)
      : model_(model),
        options_(options),
        sinks_(model.adapters().config().attention.sinks),
        bootstrap_{.seed = options.seed,
                   .resamples = options.bootstrap_samples},
        measurement_(model, exec, data, options, rows, seq_len),
        modes_(PassesOf(options, sinks_)),
        drops_(DropPassesOf(options, modes_, sinks_)),
        baselines_(BaselinePassesOf(options, modes_)),
        ablations_(AblationPassesOf(options, model)) {
    AddSinksInstead(modes_, sinks_, &baselines_);
    result_.settings = StudentSettings(model);
    result_.settings.rows = rows;
    result_.settings.tokens_per_row = seq_len;
    passes_ =
        static_cast<int>(modes_.size() + drops_.size() + baselines_.size() +
                         ablations_.size() + SplitsAttention());
  }

  absl::StatusOr<AttributionResult> Run();

 private:
  // Shapley values split hybrid - none, so they need both.
  bool SplitsAttention() const {
    return HasMode(modes_, ComponentMode::kHybrid) &&
           HasMode(modes_, ComponentMode::kNone);
  }
  void Done(const std::string& pass) {
    if (options_.progress) options_.progress(pass, ++done_, passes_);
  }

  absl::StatusOr<ModeResult> RunPass(const Pass& pass);
  absl::Status RunModes();
  absl::Status RunDrops();
  absl::Status RunSubsets();
  absl::Status RunAblations();

  const Llama& model_;
  const MeasureOptions& options_;
  int64_t sinks_;
  BootstrapOptions bootstrap_;
  Measurement measurement_;
  std::vector<Pass> modes_, drops_, baselines_, ablations_;
  int passes_ = 0, done_ = 0;
  AttributionResult result_;
};

absl::StatusOr<ModeResult> Attribution::RunPass(const Pass& pass) {
  const int64_t tokens = result_.settings.tokens_per_row;
  AttentionStatistics statistics(
      model_.layers(), model_.heads(),
      (tokens + kPositionBuckets - 1) / kPositionBuckets);
  ASSIGN_OR_RETURN(ModeResult mode, measurement_.Run(pass, &statistics));
  if (pass.statistics) {
    FillMasses(statistics, model_.layers(), model_.heads(), &result_);
  }
  return mode;
}

absl::Status Attribution::RunModes() {
  for (const auto& [passes, results] :
       {std::pair(&modes_, &result_.modes),
        std::pair(&baselines_, &result_.baselines)}) {
    for (const Pass& pass : *passes) {
      ASSIGN_OR_RETURN(ModeResult mode, RunPass(pass));
      results->push_back(std::move(mode));
      Done(pass.name);
    }
  }
  return absl::OkStatus();
}

absl::Status Attribution::RunDrops() {
  for (const Pass& pass : drops_) {
    ASSIGN_OR_RETURN(const ModeResult removed, RunPass(pass));
    result_.drop.push_back(
        {pass.name,
         LossDifference(&removed, result_.Find("hybrid"), bootstrap_)});
    Done(pass.name);
  }
  return absl::OkStatus();
}

// Most subsets are modes or drops too, and are not run again.
absl::Status Attribution::RunSubsets() {
  std::array<ModeResult, kSubsets> losses;
  std::array<const ModeResult*, kSubsets> subsets;
  for (int s = 0; s < kSubsets; ++s) {
    ASSIGN_OR_RETURN(losses[s], RunPass(SubsetPass("", s, sinks_)));
    subsets[s] = &losses[s];
  }
  result_.shapley = ShapleyValues(subsets, sinks_ > 0, bootstrap_);
  Done("shapley values");
  return absl::OkStatus();
}

absl::Status Attribution::RunAblations() {
  if (ablations_.empty()) return absl::OkStatus();
  // Runs it where the caller's modes left it out.
  ASSIGN_OR_RETURN(const ModeResult hybrid, RunPass({.sinks = sinks_}));
  for (const Pass& pass : ablations_) {
    ASSIGN_OR_RETURN(const ModeResult ablated, RunPass(pass));
    result_.ablation.push_back({pass.ablated_layer, pass.ablated_head,
                                LossDifference(&ablated, &hybrid, bootstrap_)});
    Done(pass.name);
  }
  return absl::OkStatus();
}

absl::StatusOr<AttributionResult> Attribution::Run() {
  RETURN_IF_ERROR(model_.adapters().parameters().UseOnHost());
  result_.gamma = GammaOf(model_);
  RETURN_IF_ERROR(RunModes());
  ASSIGN_OR_RETURN(result_.reach, measurement_.Reach());
  result_.settings.rows_digest = measurement_.rows_digest();
  FillIntervals(result_, bootstrap_);
  RETURN_IF_ERROR(RunDrops());
  if (SplitsAttention()) RETURN_IF_ERROR(RunSubsets());
  RETURN_IF_ERROR(RunAblations());
  return std::move(result_);
}

}  // namespace

std::string ModeAtName(const std::vector<ModeOverride>& overrides) {
  std::string name = "at";
  for (const ModeOverride& at : overrides) {
    absl::StrAppend(&name, " ", at.ToString());
  }
  return name;
}

AttributionSettings StudentSettings(const Llama& model) {
  const StudentConfig& student = model.adapters().config();
  AttributionSettings settings;
  settings.window = student.attention.window;
  settings.sinks = student.attention.sinks;
  settings.window_kind = kernels::NameOf(student.attention.window_kind);
  settings.feature_map = absl::StrCat(
      IsHalfSpace(student.attention.feature_map) ? "half-space " : "",
      NameOf(student.attention.feature_map));
  settings.features = student.features;
  settings.layers = model.layers();
  settings.heads = model.heads();
  return settings;
}

absl::StatusOr<AttributionResult> MeasureAttribution(
    const Llama& model, Execution exec, PackedDataset& data,
    const MeasureOptions& options) {
  const int64_t seq_len =
      options.seq_len > 0 ? options.seq_len : data.seq_len();
  const int64_t available = data.rows() - options.skip;
  const int64_t rows =
      options.rows > 0 ? std::min(options.rows, available) : available;
  if (rows <= 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(data.path(), ": has ", data.rows(),
                     " rows; none is left after ", options.skip, " skipped"));
  }
  return Attribution(model, exec, data, options, rows, seq_len).Run();
}

}  // namespace caracal
