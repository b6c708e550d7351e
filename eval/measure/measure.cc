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

// One way of running all rows.
struct Pass {
  std::string name;
  ComponentMode mode = ComponentMode::kHybrid;
  bool use_terms = false;  // instead of the mode's
  uint8_t terms = 0;
  int64_t sinks = 0;
  bool statistics = false;
};

class Measurement {
 public:
  Measurement(const Llama& model, Execution exec, PackedDataset& data,
              const MeasureOptions& options, int64_t rows, int64_t seq_len)
      : model_(model),
        exec_(exec),
        data_(data),
        options_(options),
        rows_(rows),
        seq_len_(seq_len),
        buffer_(std::min(options.micro_batch, rows), seq_len,
                options.reset_at_document),
        nll_(std::min(options.micro_batch, rows) * seq_len) {}

  absl::StatusOr<ModeResult> Run(const Pass& pass,
                                 AttentionStatistics* statistics);
  // Share of scored tokens whose predicting row has a non-empty L_n.
  absl::StatusOr<double> Reach();

 private:
  absl::Status Fill(int64_t begin, int64_t count) {
    if (options_.stop != nullptr && *options_.stop) {
      return absl::CancelledError("stopped while measuring");
    }
    return buffer_.Fill(data_, count,
                        [&](int64_t r) { return options_.skip + begin + r; });
  }

  const Llama& model_;
  Execution exec_;
  PackedDataset& data_;
  const MeasureOptions& options_;
  int64_t rows_, seq_len_;
  BatchBuffer buffer_;
  std::vector<float> nll_;
  ModePlan plan_;
};

absl::StatusOr<ModeResult> Measurement::Run(const Pass& pass,
                                            AttentionStatistics* statistics) {
  ModeResult result;
  result.mode = pass.name;
  double late_sum = 0, late_count = 0, sum = 0, count = 0;
  for (int64_t begin = 0; begin < rows_; begin += options_.micro_batch) {
    const int64_t n = std::min(options_.micro_batch, rows_ - begin);
    RETURN_IF_ERROR(Fill(begin, n));
    const TokenBatch batch = buffer_.Rows(0, n);
    if (pass.use_terms) {
      model_.PlanTerms(batch, pass.terms, &plan_);
    } else {
      model_.Plan(batch, pass.mode, &plan_);
    }
    exec_.arena->Reset();
    model_.Evaluate(exec_, batch, plan_,
                    TensorView(nll_.data(), {n * seq_len_}), TensorView(),
                    statistics);
    RETURN_IF_ERROR(exec_.status);
    for (int64_t r = 0; r < n; ++r) {
      double row_sum = 0, row_count = 0;
      for (int64_t t = 0; t < seq_len_; ++t) {
        const int64_t i = r * seq_len_ + t;
        if (!buffer_.mask()[i]) continue;
        row_sum += nll_[i];
        ++row_count;
        if (t < seq_len_ / 2) continue;
        late_sum += nll_[i];
        ++late_count;
      }
      // A row whose targets are all masked says nothing.
      if (row_count > 0) {
        result.per_row.push_back(row_sum / row_count);
        result.row_tokens.push_back(row_count);
      }
      sum += row_sum;
      count += row_count;
    }
  }
  // Weights that are all the same need not be carried along.
  if (std::adjacent_find(result.row_tokens.begin(), result.row_tokens.end(),
                         std::not_equal_to<>()) == result.row_tokens.end()) {
    result.row_tokens.clear();
  }
  result.loss = sum / count;
  result.second_half = late_sum / late_count;
  return result;
}

absl::StatusOr<double> Measurement::Reach() {
  const auto& config = model_.adapters().config().attention;
  double reached = 0, scored = 0;
  for (int64_t begin = 0; begin < rows_; begin += options_.micro_batch) {
    const int64_t n = std::min(options_.micro_batch, rows_ - begin);
    RETURN_IF_ERROR(Fill(begin, n));
    for (int64_t i = 0; i < n * seq_len_; ++i) {
      if (!buffer_.mask()[i]) continue;
      ++scored;
      reached += !LinearSetEmpty(config, buffer_.positions()[i]);
    }
  }
  return scored == 0 ? 0 : reached / scored;
}

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

// Sets the number of sinks for a scope.
class ScopedSinks {
 public:
  ScopedSinks(Adapters& adapters, int64_t sinks)
      : adapters_(adapters), before_(adapters.config().attention) {
    kernels::HybridAttentionConfig config = before_;
    config.sinks = sinks;
    adapters_.set_attention(config);
  }
  ~ScopedSinks() { adapters_.set_attention(before_); }

 private:
  Adapters& adapters_;
  kernels::HybridAttentionConfig before_;
};

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

// Hybrid attention without the keys of one owner; "la" is swa_only.
std::vector<Pass> DropPassesOf(const MeasureOptions& options, int64_t sinks) {
  std::vector<Pass> passes;
  if (!options.drops) return passes;
  passes.push_back({.name = "swa",
                    .use_terms = true,
                    .terms = kernels::kFarSinkTerms | kernels::kLinearPastTerms,
                    .sinks = sinks});
  if (sinks > 0) {
    passes.push_back({.name = "sinks",
                      .use_terms = true,
                      .terms = kernels::kNearTerms | kernels::kNearSinkTerms |
                               kernels::kLinearPastTerms,
                      .sinks = sinks});
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
