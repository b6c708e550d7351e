// Sums are kept row by row, losses of tokens are not.
#include "eval/measure/measurement.h"

#include <algorithm>
#include <functional>
#include <numeric>

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
      longest_(rows),
      nll_(std::min(options.micro_batch, rows) * seq_len) {}

absl::Status Measurement::Fill(absl::Span<const int64_t> rows) {
  if (options_.stop != nullptr && *options_.stop) {
    return absl::CancelledError("stopped while measuring");
  }
  return buffer_.Fill(data_, static_cast<int64_t>(rows.size()),
                      [&](int64_t r) { return options_.skip + rows[r]; });
}

Measurement::Key Measurement::KeyOf(const Pass& pass, int64_t row) const {
  const Adapters& adapters = model_.adapters();
  return {row, SameLosses(pass, adapters.config().attention, longest_[row],
                          adapters.lora_active)};
}

absl::Status Measurement::RunBatch(const Pass& pass,
                                   absl::Span<const int64_t> rows,
                                   AttentionStatistics* statistics) {
  const auto count = static_cast<int64_t>(rows.size());
  RETURN_IF_ERROR(Fill(rows));
  const int64_t tokens = count * seq_len_;
  const TokenBatch batch = buffer_.Rows(0, count);
  PlanPass(model_, pass, batch, &plan_);
  exec_.arena->Reset();
  model_.Evaluate(exec_, batch, plan_, TensorView(nll_.data(), {tokens}),
                  TensorView(), statistics);
  RETURN_IF_ERROR(exec_.status);
  rows_run_ += count;
  for (int64_t r = 0; r < count; ++r) {
    const int64_t first = r * seq_len_;
    longest_[rows[r]] =
        1 + *std::max_element(buffer_.positions() + first,
                              buffer_.positions() + first + seq_len_);
    RowSums sums;
    for (int64_t i = 0; i < seq_len_; ++i) {
      if (!buffer_.mask()[first + i]) continue;
      sums.sum += nll_[first + i];
      ++sums.count;
      if (i < seq_len_ / 2) continue;
      sums.late_sum += nll_[first + i];
      ++sums.late_count;
    }
    known_[KeyOf(pass, rows[r])] = sums;
  }
  return absl::OkStatus();
}

absl::StatusOr<ModeResult> Measurement::Run(const Pass& pass,
                                            AttentionStatistics* statistics) {
  const ScopedSinks sinks(model_.adapters(), pass.sinks);
  if (!pass.statistics) statistics = nullptr;
  std::vector<int64_t> wanted;  // rows
  const auto run = [&] {
    absl::Status status = RunBatch(pass, wanted, statistics);
    wanted.clear();
    return status;
  };
  for (int64_t row = 0; row < rows_; ++row) {
    // What a row's losses hang on is known once it was run.
    if (statistics == nullptr && longest_[row] > 0 &&
        known_.count(KeyOf(pass, row)) > 0) {
      continue;
    }
    wanted.push_back(row);
    if (static_cast<int64_t>(wanted.size()) < options_.micro_batch) continue;
    RETURN_IF_ERROR(run());
  }
  if (!wanted.empty()) RETURN_IF_ERROR(run());
  return Collect(pass);
}

absl::StatusOr<ModeResult> Measurement::Collect(const Pass& pass) const {
  ModeResult result;
  result.mode = pass.name;
  RowSums all;
  for (int64_t r = 0; r < rows_; ++r) {
    const RowSums& row = known_.at(KeyOf(pass, r));
    // A row whose targets are all masked says nothing.
    if (row.count == 0) continue;
    result.per_row.push_back(row.sum / row.count);
    result.row_tokens.push_back(row.count);
    all.sum += row.sum;
    all.count += row.count;
    all.late_sum += row.late_sum;
    all.late_count += row.late_count;
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
    std::vector<int64_t> rows(std::min(options_.micro_batch, rows_ - begin));
    std::iota(rows.begin(), rows.end(), begin);
    RETURN_IF_ERROR(Fill(rows));
    const auto n = static_cast<int64_t>(rows.size());
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
