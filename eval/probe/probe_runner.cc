// Hidden states of a batch, then logits of the few rows that predict answers.
#include "eval/probe/probe_runner.h"

#include <algorithm>
#include <cmath>

#include "core/base/status.h"
#include "core/model/ops/lm_loss.h"
#include "eval/measure/pass_plan.h"

namespace caracal {
namespace {

// Whether `target` is above all others of `ids`; a tie is no answer.
bool LikeliestOf(const float* logits, absl::Span<const int32_t> ids,
                 int32_t target) {
  return std::all_of(ids.begin(), ids.end(), [&](int32_t id) {
    return id == target || logits[id] < logits[target];
  });
}

bool LikeliestOfAll(const float* logits, int64_t vocabulary, int32_t target) {
  for (int64_t id = 0; id < vocabulary; ++id) {
    if (id != target && !(logits[id] < logits[target])) return false;
  }
  return true;
}

double Nats(const float* logits, int64_t vocabulary, int32_t target) {
  const double high = *std::max_element(logits, logits + vocabulary);
  double sum = 0;
  for (int64_t id = 0; id < vocabulary; ++id)
    sum += std::exp(logits[id] - high);
  return high + std::log(sum) - logits[target];
}

void AppendTo(const ProbeMode& from, ProbeMode* to) {
  to->among.insert(to->among.end(), from.among.begin(), from.among.end());
  to->exact.insert(to->exact.end(), from.exact.begin(), from.exact.end());
  to->nats.insert(to->nats.end(), from.nats.begin(), from.nats.end());
}

// logits: [predicting rows, V] of the samples, in order.
ProbeMode Score(absl::Span<const ProbeSample> samples, ConstTensorView logits) {
  ProbeMode scored;
  const int64_t vocabulary = logits.shape[1];
  const float* row = logits.f32();
  for (const ProbeSample& sample : samples) {
    for (const ProbeAnswer& answer : sample.answers) {
      bool among = true, exact = true;
      double nats = 0;
      for (int64_t i = answer.begin; i < answer.end; ++i, row += vocabulary) {
        const int32_t target = sample.tokens[i];
        among &= LikeliestOf(row, answer.candidates[i - answer.begin], target);
        exact &= LikeliestOfAll(row, vocabulary, target);
        nats += Nats(row, vocabulary, target);
      }
      scored.among.push_back(among);
      scored.exact.push_back(exact);
      scored.nats.push_back(nats /
                            static_cast<double>(answer.end - answer.begin));
    }
  }
  return scored;
}

}  // namespace

ProbeBatch::ProbeBatch(absl::Span<const ProbeSample> samples) {
  for (const ProbeSample& sample : samples) {
    const int64_t first = offsets_.back();
    const auto fed = static_cast<int64_t>(sample.tokens.size()) - 1;
    tokens_.insert(tokens_.end(), sample.tokens.begin(),
                   sample.tokens.end() - 1);
    for (int64_t i = 0; i < fed; ++i) {
      positions_.push_back(static_cast<int32_t>(i));
    }
    for (const ProbeAnswer& answer : sample.answers) {
      for (int64_t i = answer.begin; i < answer.end; ++i) {
        predicting_.push_back(first + i - 1);
      }
    }
    offsets_.push_back(first + fed);
    longest_ = std::max(longest_, fed);
  }
}

TokenBatch ProbeBatch::batch() const {
  const int64_t rows = offsets_.back();
  TokenBatch batch;
  batch.sequences = static_cast<int64_t>(offsets_.size()) - 1;
  batch.offsets = offsets_.data();
  batch.tokens = ConstTensorView(tokens_.data(), {rows});
  batch.positions = ConstTensorView(positions_.data(), {rows});
  return batch;
}

ProbeRunner::ProbeRunner(const Llama& model, Execution exec,
                         const std::vector<ProbeSample>& samples,
                         int64_t micro_batch, const std::atomic<bool>* stop)
    : model_(model),
      exec_(exec),
      samples_(samples),
      micro_batch_(static_cast<size_t>(micro_batch)),
      stop_(stop) {}

absl::StatusOr<ProbeMode> ProbeRunner::RunBatch(const Pass& pass, size_t begin,
                                                size_t count) {
  const auto samples = absl::MakeConstSpan(samples_).subspan(begin, count);
  const ProbeBatch rows(samples);
  const kernels::HybridAttentionConfig& config =
      model_.adapters().config().attention;
  const auto key = std::make_pair(
      begin,
      SameLosses(pass, config, rows.longest(), model_.adapters().lora_active));
  if (const auto known = known_.find(key); known != known_.end()) {
    return known->second;
  }
  if (stop_ != nullptr && *stop_) {
    return absl::CancelledError("stopped while measuring");
  }
  const TokenBatch batch = rows.batch();
  PlanPass(model_, pass, batch, &plan_);
  exec_.arena->Reset();
  const TensorView hidden = model_.Hidden(exec_, batch, plan_, nullptr);
  ProbeMode scored =
      Score(samples, model_.Logits(exec_, hidden, rows.predicting()));
  RETURN_IF_ERROR(exec_.status);
  ++batches_run_;
  return known_[key] = std::move(scored);
}

absl::StatusOr<ProbeMode> ProbeRunner::Run(const Pass& pass) {
  const ScopedSinks sinks(model_.adapters(), pass.sinks);
  ProbeMode mode;
  mode.mode = pass.name;
  for (size_t begin = 0; begin < samples_.size(); begin += micro_batch_) {
    ASSIGN_OR_RETURN(
        const ProbeMode batch,
        RunBatch(pass, begin, std::min(micro_batch_, samples_.size() - begin)));
    AppendTo(batch, &mode);
  }
  return mode;
}

}  // namespace caracal
