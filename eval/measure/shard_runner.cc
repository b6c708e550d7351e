// Sums are kept row by row, losses of tokens are not.
#include "eval/measure/shard_runner.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "eval/measure/pass_list.h"
#include "eval/measure/pass_plan.h"
#include "eval/measure/plan.h"

namespace caracal {
namespace {

void AddMean(const AttentionStatistics::Row& mean,
             google::protobuf::RepeatedField<double>* out) {
  for (const double value :
       {mean.la_mass, mean.la_output_share, mean.teacher_out_mass,
        mean.sink_mass, mean.teacher_sink_mass}) {
    out->Add(value);
  }
}

void AddMasses(const AttentionStatistics& statistics, int64_t layers,
               int64_t heads, proto::MicroBatchMasses* out) {
  for (int64_t l = 0; l < layers; ++l) {
    for (int64_t h = 0; h < heads; ++h) {
      out->add_head_rows(statistics.rows(l, h));
      AddMean(statistics.mean(l, h), out->mutable_head_means());
    }
  }
  for (int64_t b = 0; b < statistics.buckets(); ++b) {
    out->add_bucket_rows(statistics.bucket_rows(b));
    AddMean(statistics.bucket_mean(b), out->mutable_bucket_means());
  }
}

absl::Status CheckPass(const Pass& pass, const Llama& model) {
  if (pass.ablated_layer >= model.layers() ||
      pass.ablated_head >= model.heads() || pass.sinks < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("pass ", pass.name, " is not one of this model"));
  }
  return CheckModeOverrides(pass.overrides, pass.mode,
                            model.adapters().config(), model.layers(),
                            model.heads());
}

}  // namespace

ShardRunner::ShardRunner(const Llama& model, Execution exec,
                         PackedDataset& data,
                         const proto::MeasurementPlan& plan,
                         const std::atomic<bool>* stop)
    : model_(model),
      exec_(exec),
      data_(data),
      plan_(plan),
      stop_(stop),
      buffer_(plan.micro_batch(), plan.seq_len(), plan.reset_at_document()),
      nll_(plan.micro_batch() * plan.seq_len()) {}

absl::StatusOr<proto::MeasurementPartial> ShardRunner::Run(
    const proto::MeasurementShard& shard) {
  RETURN_IF_ERROR(CheckShard(plan_, shard));
  ASSIGN_OR_RETURN(const Pass pass, PassFromProto(plan_.passes(shard.pass())));
  RETURN_IF_ERROR(CheckPass(pass, model_));
  const ScopedSinks sinks(model_.adapters(), pass.sinks);
  proto::MeasurementPartial partial;
  *partial.mutable_shard() = shard;
  for (int64_t begin = shard.begin(); begin < shard.end();
       begin += plan_.micro_batch()) {
    const std::vector<int64_t> rows =
        RowsToRun(plan_, shard.pass(), begin,
                  std::min(begin + plan_.micro_batch(), shard.end()));
    if (!rows.empty()) RETURN_IF_ERROR(RunBatch(pass, rows, &partial));
  }
  return partial;
}

absl::Status ShardRunner::RunBatch(const Pass& pass,
                                   const std::vector<int64_t>& rows,
                                   proto::MeasurementPartial* partial) {
  if (stop_ != nullptr && *stop_) {
    return absl::CancelledError("stopped while measuring");
  }
  const auto count = static_cast<int64_t>(rows.size());
  const int64_t seq_len = plan_.seq_len();
  RETURN_IF_ERROR(buffer_.Fill(
      data_, count, [&](int64_t r) { return plan_.skip() + rows[r]; }));
  const TokenBatch batch = buffer_.Rows(0, count);
  PlanPass(model_, pass, batch, &mode_plan_);
  AttentionStatistics statistics(
      model_.layers(), model_.heads(),
      (seq_len + kPositionBuckets - 1) / kPositionBuckets);
  exec_.arena->Reset();
  model_.Evaluate(exec_, batch, mode_plan_,
                  TensorView(nll_.data(), {count * seq_len}), TensorView(),
                  pass.statistics ? &statistics : nullptr);
  RETURN_IF_ERROR(exec_.status);
  rows_run_ += count;
  for (int64_t r = 0; r < count; ++r) {
    const int64_t first = r * seq_len;
    double sum = 0, late_sum = 0;
    int64_t scored = 0, late_scored = 0;
    for (int64_t i = 0; i < seq_len; ++i) {
      if (!buffer_.mask()[first + i]) continue;
      sum += nll_[first + i];
      ++scored;
      if (i < seq_len / 2) continue;
      late_sum += nll_[first + i];
      ++late_scored;
    }
    partial->add_sum(sum);
    partial->add_count(scored);
    partial->add_late_sum(late_sum);
    partial->add_late_count(late_scored);
  }
  if (pass.statistics) {
    AddMasses(statistics, model_.layers(), model_.heads(),
              partial->add_masses());
  }
  return absl::OkStatus();
}

}  // namespace caracal
