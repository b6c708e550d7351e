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
                int64_t heads, AttentionMasses* masses) {
  for (int64_t l = 0; l < layers; ++l) {
    std::vector<double> mass, share, teacher;
    for (int64_t h = 0; h < heads; ++h) {
      const bool any = statistics.rows(l, h) > 0;
      mass.push_back(any ? statistics.la_mass(l, h) : NAN);
      share.push_back(any ? statistics.la_output_share(l, h) : NAN);
      teacher.push_back(any ? statistics.teacher_out_mass(l, h) : NAN);
    }
    masses->la_mass.push_back(mass);
    masses->la_output_share.push_back(share);
    masses->teacher_out_mass.push_back(teacher);
  }
}

std::vector<Pass> PassesOf(const MeasureOptions& options, int64_t sinks) {
  std::vector<Pass> passes;
  std::vector<ComponentMode> modes = options.modes;
  if (modes.empty()) {
    modes.assign(std::begin(kDefaultModes), std::end(kDefaultModes));
  }
  for (const ComponentMode mode : modes) {
    if (mode == ComponentMode::kSinksOnly && sinks == 0) continue;
    passes.push_back({.name = std::string(NameOf(mode)),
                      .mode = mode,
                      .sinks = sinks,
                      .statistics = mode == ComponentMode::kHybrid});
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
std::vector<Pass> DropPassesOf(const MeasureOptions& options, int64_t sinks) {
  std::vector<Pass> passes;
  if (!options.drops) return passes;
  passes.push_back(SubsetPass("swa", kLaPlayer | kSinksPlayer, sinks));
  if (sinks > 0) {
    passes.push_back(SubsetPass("sinks", kSwaPlayer | kLaPlayer, sinks));
  }
  return passes;
}

std::vector<Pass> BaselinePassesOf(const MeasureOptions& options) {
  std::vector<Pass> passes;
  const std::set<int64_t> rising(options.baseline_sinks.begin(),
                                 options.baseline_sinks.end());
  for (const int64_t sinks : rising) {
    passes.push_back({.name = absl::StrCat("teacher_swa_s", sinks),
                      .mode = ComponentMode::kTeacherSwa,
                      .sinks = sinks});
  }
  return passes;
}

AttributionSettings SettingsOf(const Llama& model) {
  const StudentConfig& student = model.adapters().config();
  AttributionSettings settings;
  settings.window = student.attention.window;
  settings.sinks = student.attention.sinks;
  settings.window_kind =
      student.attention.window_kind == kernels::WindowKind::kSliding
          ? "sliding"
          : "terraced";
  settings.feature_map = absl::StrCat(
      IsHalfSpace(student.attention.feature_map) ? "half-space " : "",
      NameOf(student.attention.feature_map));
  settings.features = student.features;
  settings.layers = model.layers();
  settings.heads = model.heads();
  return settings;
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
        drops_(DropPassesOf(options, sinks_)),
        baselines_(BaselinePassesOf(options)) {
    result_.settings = SettingsOf(model);
    result_.settings.rows = rows;
    result_.settings.tokens_per_row = seq_len;
    passes_ = static_cast<int>(modes_.size() + drops_.size() +
                               baselines_.size() + SplitsAttention());
  }

  absl::StatusOr<AttributionResult> Run();

 private:
  // Shapley values split hybrid - none, so they need both.
  bool SplitsAttention() const {
    const auto has = [&](ComponentMode mode) {
      return std::any_of(modes_.begin(), modes_.end(),
                         [&](const Pass& pass) { return pass.mode == mode; });
    };
    return has(ComponentMode::kHybrid) && has(ComponentMode::kNone);
  }
  void Done(const std::string& pass) {
    if (options_.progress) options_.progress(pass, ++done_, passes_);
  }

  absl::StatusOr<ModeResult> RunPass(const Pass& pass);
  absl::Status RunModes();
  absl::Status RunDrops();
  absl::Status RunSubsets();

  const Llama& model_;
  const MeasureOptions& options_;
  int64_t sinks_;
  BootstrapOptions bootstrap_;
  Measurement measurement_;
  std::vector<Pass> modes_, drops_, baselines_;
  int passes_ = 0, done_ = 0;
  AttributionResult result_;
};

absl::StatusOr<ModeResult> Attribution::RunPass(const Pass& pass) {
  AttentionStatistics statistics(model_.layers(), model_.heads());
  ASSIGN_OR_RETURN(ModeResult mode, measurement_.Run(pass, &statistics));
  if (pass.statistics) {
    FillMasses(statistics, model_.layers(), model_.heads(), &result_.masses);
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

absl::StatusOr<AttributionResult> Attribution::Run() {
  RETURN_IF_ERROR(RunModes());
  ASSIGN_OR_RETURN(result_.reach, measurement_.Reach());
  result_.settings.rows_digest = measurement_.rows_digest();
  FillIntervals(result_, bootstrap_);
  RETURN_IF_ERROR(RunDrops());
  if (SplitsAttention()) RETURN_IF_ERROR(RunSubsets());
  return std::move(result_);
}

}  // namespace

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
