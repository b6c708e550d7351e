#include "eval/measure/measure.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "core/base/status.h"
#include "core/model/batch_buffer.h"
#include "core/model/feature_map_name.h"
#include "eval/attribution/result_intervals.h"
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

// Those that are modes or drops too are not run twice.
std::vector<Pass> ShapleyPassesOf(const AttributionResult& result,
                                  int64_t sinks) {
  std::vector<Pass> passes;
  if (result.Find("hybrid") == nullptr || result.Find("none") == nullptr) {
    return passes;
  }
  for (int subset = 0; subset < kSubsets; ++subset) {
    passes.push_back(SubsetPass(absl::StrCat("subset ", subset + 1, " of ",
                                             kSubsets),
                                subset, sinks));
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
  const kernels::HybridAttentionConfig attention =
      model.adapters().config().attention;

  AttributionResult result;
  result.settings.window = attention.window;
  result.settings.sinks = attention.sinks;
  result.settings.window_kind =
      attention.window_kind == kernels::WindowKind::kSliding ? "sliding"
                                                             : "terraced";
  result.settings.feature_map =
      absl::StrCat(IsHalfSpace(attention.feature_map) ? "half-space " : "",
                   NameOf(attention.feature_map));
  result.settings.features = model.adapters().config().features;
  result.settings.rows = rows;
  result.settings.tokens_per_row = seq_len;
  result.settings.layers = model.layers();
  result.settings.heads = model.heads();

  const std::vector<Pass> passes = PassesOf(options, attention.sinks);
  const std::vector<Pass> drops = DropPassesOf(options, attention.sinks);
  const std::vector<Pass> baselines = BaselinePassesOf(options);
  const int total =
      static_cast<int>(passes.size() + drops.size() + baselines.size());
  int done = 0;
  Measurement measurement(model, exec, data, options, rows, seq_len);
  const auto run = [&](const Pass& pass) -> absl::StatusOr<ModeResult> {
    ScopedSinks sinks(model.adapters(), pass.sinks);
    AttentionStatistics statistics(model.layers(), model.heads());
    ASSIGN_OR_RETURN(
        ModeResult mode,
        measurement.Run(pass, pass.statistics ? &statistics : nullptr));
    if (pass.statistics) {
      FillMasses(statistics, model.layers(), model.heads(), &result.masses);
    }
    if (options.progress) options.progress(pass.name, ++done, total);
    return mode;
  };

  for (const Pass& pass : passes) {
    ASSIGN_OR_RETURN(ModeResult mode, run(pass));
    result.modes.push_back(std::move(mode));
  }
  for (const Pass& pass : baselines) {
    // The same run may be among the modes already.
    const ModeResult* same = result.Find("teacher_swa");
    if (pass.sinks == attention.sinks && same != nullptr) {
      ModeResult copy = *same;
      copy.mode = pass.name;
      result.baselines.push_back(std::move(copy));
      if (options.progress) options.progress(pass.name, ++done, total);
      continue;
    }
    ASSIGN_OR_RETURN(ModeResult mode, run(pass));
    result.baselines.push_back(std::move(mode));
  }
  ASSIGN_OR_RETURN(result.reach, measurement.Reach());

  const BootstrapOptions bootstrap = {.seed = options.seed,
                                      .resamples = options.bootstrap_samples};
  FillIntervals(result, bootstrap);
  for (const Pass& pass : drops) {
    ASSIGN_OR_RETURN(const ModeResult removed, run(pass));
    result.drop.push_back(
        {pass.name,
         LossDifference(&removed, result.Find("hybrid"), bootstrap)});
  }
  return result;
}

}  // namespace caracal
