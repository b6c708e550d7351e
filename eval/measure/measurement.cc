// Batch by batch; sums are kept row by row, losses of tokens are not.
#include "eval/measure/measurement.h"

#include <algorithm>
#include <functional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status.h"
#include "eval/measure/pass_plan.h"
#include "xxhash.h"

namespace caracal {

Measurement::Measurement(const Llama& model, Execution exec,
                         PackedDataset& data, const MeasureOptions& options,
                         int64_t rows, int64_t seq_len)
    : model_(model),
      exec_(exec),
      data_(data),
      options_(options),
      rows_(rows),
      seq_len_(seq_len),
      buffer_(std::min(options.micro_batch, rows), seq_len,
              options.reset_at_document),
      nll_(std::min(options.micro_batch, rows) * seq_len) {}

absl::Status Measurement::Fill(int64_t begin, int64_t count) {
  if (options_.stop != nullptr && *options_.stop) {
    return absl::CancelledError("stopped while measuring");
  }
  return buffer_.Fill(data_, count,
                      [&](int64_t r) { return options_.skip + begin + r; });
}

absl::StatusOr<std::vector<Measurement::RowSums>> Measurement::RunBatch(
    const Pass& pass, int64_t begin, int64_t count,
    AttentionStatistics* statistics) {
  Adapters& adapters = model_.adapters();
  const auto key = [&] {
    return std::make_pair(
        begin, SameLosses(pass, adapters.config().attention, longest_[begin],
                          adapters.lora_active));
  };
  const bool statistics_wanted = pass.statistics && statistics != nullptr;
  if (!statistics_wanted && longest_.count(begin) > 0) {
    const auto known = known_.find(key());
    if (known != known_.end()) return known->second;
  }
  RETURN_IF_ERROR(Fill(begin, count));
  const int64_t tokens = count * seq_len_;
  longest_[begin] =
      1 + *std::max_element(buffer_.positions(), buffer_.positions() + tokens);
  const TokenBatch batch = buffer_.Rows(0, count);
  PlanPass(model_, pass, batch, &plan_);
  exec_.arena->Reset();
  model_.Evaluate(exec_, batch, plan_, TensorView(nll_.data(), {tokens}),
                  TensorView(), statistics_wanted ? statistics : nullptr);
  RETURN_IF_ERROR(exec_.status);
  ++batches_run_;
  std::vector<RowSums> rows(count);
  for (int64_t i = 0; i < tokens; ++i) {
    if (!buffer_.mask()[i]) continue;
    RowSums& row = rows[i / seq_len_];
    row.sum += nll_[i];
    ++row.count;
    if (i % seq_len_ < seq_len_ / 2) continue;
    row.late_sum += nll_[i];
    ++row.late_count;
  }
  return known_[key()] = std::move(rows);
}

absl::StatusOr<ModeResult> Measurement::Run(const Pass& pass,
                                            AttentionStatistics* statistics) {
  const ScopedSinks sinks(model_.adapters(), pass.sinks);
  ModeResult result;
  result.mode = pass.name;
  RowSums all;
  for (int64_t begin = 0; begin < rows_; begin += options_.micro_batch) {
    const int64_t n = std::min(options_.micro_batch, rows_ - begin);
    ASSIGN_OR_RETURN(const std::vector<RowSums> rows,
                     RunBatch(pass, begin, n, statistics));
    for (const RowSums& row : rows) {
      // A row whose targets are all masked says nothing.
      if (row.count == 0) continue;
      result.per_row.push_back(row.sum / row.count);
      result.row_tokens.push_back(row.count);
      all.sum += row.sum;
      all.count += row.count;
      all.late_sum += row.late_sum;
      all.late_count += row.late_count;
    }
  }
  // Weights that are all the same need not be carried along.
  if (std::adjacent_find(result.row_tokens.begin(), result.row_tokens.end(),
                         std::not_equal_to<>()) == result.row_tokens.end()) {
    result.row_tokens.clear();
  }
  if (all.count == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        data_.path(), ": ", kLossMaskDataset, " leaves no target of rows ",
        options_.skip, " to ", options_.skip + rows_ - 1, " to be scored"));
  }
  result.loss = all.sum / all.count;
  result.second_half = all.late_sum / all.late_count;
  return result;
}

absl::StatusOr<double> Measurement::Reach() {
  const auto& config = model_.adapters().config().attention;
  double reached = 0, scored = 0;
  uint64_t digest = 0;  // chained through the seed
  for (int64_t begin = 0; begin < rows_; begin += options_.micro_batch) {
    const int64_t n = std::min(options_.micro_batch, rows_ - begin);
    RETURN_IF_ERROR(Fill(begin, n));
    for (int64_t i = 0; i < n * seq_len_; ++i) {
      if (!buffer_.mask()[i]) continue;
      ++scored;
      reached += !LinearSetEmpty(config, buffer_.positions()[i], seq_len_);
    }
    const TokenBatch batch = buffer_.Rows(0, n);
    for (int64_t i = 0; i < n * seq_len_; i += seq_len_) {
      const size_t bytes = seq_len_ * sizeof(int32_t);
      for (const ConstTensorView* view : {&batch.tokens, &batch.targets}) {
        digest = XXH3_64bits_withSeed(
            static_cast<const int32_t*>(view->data) + i, bytes, digest);
      }
      digest = XXH3_64bits_withSeed(buffer_.mask() + i, seq_len_, digest);
    }
  }
  rows_digest_ = absl::StrFormat("%016x", digest);
  return scored == 0 ? 0 : reached / scored;
}

}  // namespace caracal
