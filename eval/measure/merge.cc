#include "eval/measure/merge.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "eval/attribution/result_intervals.h"
#include "eval/attribution/shapley.h"

namespace caracal {
namespace {

constexpr int kMasses = 5;  // of AttentionStatistics::Row

// Sums over the scored tokens of one row of one pass.
struct RowSums {
  double sum = 0, late_sum = 0;
  int64_t count = 0, late_count = 0;
  bool known = false;
};

// Of means, weighed by their rows; in the order of Add().
struct MassSums {
  std::array<double, kMasses> sum = {};
  int64_t rows = 0;

  void Add(const double* means, int64_t count) {
    for (int i = 0; i < kMasses; ++i) {
      sum[i] += means[i] * static_cast<double>(count);
    }
    rows += count;
  }
  double Mean(int i) const { return sum[i] / static_cast<double>(rows); }
};

absl::Status Wrong(absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("a part of a measurement: ", what));
}

// Micro-batches of [begin, end) that have rows to run; with statistics, all.
int64_t BatchesOf(const proto::MeasurementPlan& plan,
                  const proto::MeasurementShard& shard) {
  return (shard.end() - shard.begin() + plan.micro_batch() - 1) /
         plan.micro_batch();
}

class Merge {
 public:
  explicit Merge(const proto::MeasurementPlan& plan)
      : plan_(plan),
        bootstrap_{.seed = plan.seed(), .resamples = plan.bootstrap_samples()},
        sums_(plan.passes_size(), std::vector<RowSums>(plan.rows())) {}

  absl::Status Add(const proto::MeasurementPartial& partial);
  absl::StatusOr<AttributionResult> Result();

 private:
  using Role = proto::MeasurementPass;
  absl::StatusOr<ModeResult> Collect(int pass) const;
  void FillMasses();
  void FillGamma();

  const proto::MeasurementPlan& plan_;
  const BootstrapOptions bootstrap_;
  std::vector<std::vector<RowSums>> sums_;  // [passes][rows]
  // Of the pass with statistics, by the first row of a micro-batch.
  std::map<int64_t, const proto::MicroBatchMasses*> masses_;
  AttributionResult result_;
};

absl::Status Merge::Add(const proto::MeasurementPartial& partial) {
  const proto::MeasurementShard& shard = partial.shard();
  RETURN_IF_ERROR(CheckPartial(plan_, shard, partial));
  const std::vector<int64_t> rows =
      RowsToRun(plan_, shard.pass(), shard.begin(), shard.end());
  for (size_t i = 0; i < rows.size(); ++i) {
    RowSums& row = sums_[shard.pass()][rows[i]];
    if (row.known) {
      return Wrong(absl::StrCat("row ", rows[i], " of pass ", shard.pass(),
                                " is there twice"));
    }
    const int n = static_cast<int>(i);
    row = {partial.sum(n), partial.late_sum(n), partial.count(n),
           partial.late_count(n), true};
  }
  for (int i = 0; i < partial.masses_size(); ++i) {
    masses_[shard.begin() + i * plan_.micro_batch()] = &partial.masses(i);
  }
  return absl::OkStatus();
}

absl::StatusOr<ModeResult> Merge::Collect(int pass) const {
  ModeResult result;
  result.mode = plan_.passes(pass).name();
  double sum = 0, count = 0, late_sum = 0, late_count = 0;
  for (int64_t r = 0; r < plan_.rows(); ++r) {
    const RowSums& row = sums_[SourceOf(plan_, pass, r)][r];
    if (!row.known) {
      return Wrong(absl::StrCat("row ", r, " of pass ", pass, " is missing"));
    }
    // A row whose targets are all masked says nothing.
    if (row.count == 0) continue;
    const auto tokens = static_cast<double>(row.count);
    result.per_row.push_back(row.sum / tokens);
    result.row_tokens.push_back(tokens);
    sum += row.sum;
    count += tokens;
    late_sum += row.late_sum;
    late_count += static_cast<double>(row.late_count);
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

void Merge::FillMasses() {
  const int64_t layers = plan_.settings().layers();
  const int64_t heads = plan_.settings().heads();
  std::vector<MassSums> sums(layers * heads), buckets;
  for (const auto& [begin, masses] : masses_) {
    for (int i = 0; i < masses->head_rows_size(); ++i) {
      sums[i].Add(masses->head_means().data() + i * kMasses,
                  masses->head_rows(i));
    }
    buckets.resize(
        std::max<size_t>(buckets.size(), masses->bucket_rows_size()));
    for (int i = 0; i < masses->bucket_rows_size(); ++i) {
      buckets[i].Add(masses->bucket_means().data() + i * kMasses,
                     masses->bucket_rows(i));
    }
  }
  AttentionMasses& out = result_.masses;
  HeadGrid* const grids[kMasses] = {&out.la_mass, &out.la_output_share,
                                    &out.teacher_out_mass, &out.sink_mass,
                                    &out.teacher_sink_mass};
  for (int i = 0; i < kMasses; ++i) {
    grids[i]->assign(layers, std::vector<double>(heads, NAN));
    for (int64_t at = 0; at < layers * heads; ++at) {
      if (sums[at].rows == 0) continue;
      (*grids[i])[at / heads][at % heads] = sums[at].Mean(i);
    }
  }
  const int64_t width =
      (plan_.seq_len() + kPositionBuckets - 1) / kPositionBuckets;
  for (size_t b = 0; b < buckets.size(); ++b) {
    const MassSums& sum = buckets[b];
    if (sum.rows == 0) continue;
    const auto begin = static_cast<int64_t>(b) * width;
    result_.by_position.push_back(
        {begin, std::min(begin + width, plan_.seq_len()), sum.Mean(0),
         sum.Mean(1), sum.Mean(2), sum.Mean(3), sum.Mean(4)});
  }
}

void Merge::FillGamma() {
  const int64_t heads = plan_.settings().heads();
  for (int64_t l = 0; l < plan_.settings().layers(); ++l) {
    const double* row = plan_.gamma().data() + l * heads;
    result_.gamma.emplace_back(row, row + heads);
  }
}

absl::StatusOr<AttributionResult> Merge::Result() {
  result_.settings = SettingsFromProto(plan_);
  if (plan_.rows() == 0) return std::move(result_);
  result_.reach = plan_.reach();
  FillGamma();
  bool has_masses = false;
  std::vector<ModeResult> passes;
  for (int p = 0; p < plan_.passes_size(); ++p) {
    ASSIGN_OR_RETURN(ModeResult mode, Collect(p));
    has_masses = has_masses || plan_.passes(p).statistics();
    switch (plan_.passes(p).role()) {
      case Role::MODE:
        result_.modes.push_back(mode);
        break;
      case Role::BASELINE:
        result_.baselines.push_back(mode);
        break;
      default:
        break;
    }
    passes.push_back(std::move(mode));
  }
  if (has_masses) FillMasses();
  FillIntervals(result_, bootstrap_);
  std::vector<const ModeResult*> subsets;
  const ModeResult* reference = nullptr;
  for (int p = 0; p < plan_.passes_size(); ++p) {
    const proto::MeasurementPass& pass = plan_.passes(p);
    switch (pass.role()) {
      case Role::DROP:
        result_.drop.push_back(
            {pass.name(),
             LossDifference(&passes[p], result_.Find("hybrid"), bootstrap_)});
        break;
      case Role::SUBSET:
        subsets.push_back(&passes[p]);
        break;
      case Role::REFERENCE:
        reference = &passes[p];
        break;
      case Role::ABLATION:
        result_.ablation.push_back(
            {pass.ablated_layer(), pass.ablated_head(),
             LossDifference(&passes[p], reference, bootstrap_)});
        break;
      default:
        break;
    }
  }
  if (subsets.size() == kSubsets) {
    std::array<const ModeResult*, kSubsets> all;
    std::copy(subsets.begin(), subsets.end(), all.begin());
    result_.shapley =
        ShapleyValues(all, plan_.settings().sinks() > 0, bootstrap_);
  }
  return std::move(result_);
}

}  // namespace

absl::Status CheckPartial(const proto::MeasurementPlan& plan,
                          const proto::MeasurementShard& shard,
                          const proto::MeasurementPartial& partial) {
  RETURN_IF_ERROR(CheckShard(plan, shard));
  const proto::MeasurementShard& own = partial.shard();
  if (own.pass() != shard.pass() || own.begin() != shard.begin() ||
      own.end() != shard.end()) {
    return Wrong("is another one");
  }
  const auto rows = static_cast<int>(
      RowsToRun(plan, shard.pass(), shard.begin(), shard.end()).size());
  if (partial.sum_size() != rows || partial.count_size() != rows ||
      partial.late_sum_size() != rows || partial.late_count_size() != rows) {
    return Wrong("has not one sum for each row");
  }
  const int64_t batches = plan.passes(shard.pass()).statistics()
                              ? BatchesOf(plan, shard)
                              : int64_t{0};
  if (partial.masses_size() != batches) {
    return Wrong("has not the masses of each micro-batch");
  }
  for (const proto::MicroBatchMasses& masses : partial.masses()) {
    if (masses.head_rows_size() != plan.gamma_size() ||
        masses.head_means_size() != plan.gamma_size() * kMasses ||
        masses.bucket_rows_size() > kPositionBuckets ||
        masses.bucket_means_size() != masses.bucket_rows_size() * kMasses) {
      return Wrong("has masses of another model");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<AttributionResult> MergeMeasurement(
    const proto::MeasurementPlan& plan,
    const std::vector<proto::MeasurementPartial>& partials) {
  RETURN_IF_ERROR(CheckPlan(plan));
  Merge merge(plan);
  for (const proto::MeasurementPartial& partial : partials) {
    RETURN_IF_ERROR(merge.Add(partial));
  }
  return merge.Result();
}

}  // namespace caracal
