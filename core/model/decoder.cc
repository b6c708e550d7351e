#include "core/model/decoder.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/base/status.h"
#include "core/model/ops/lm_loss.h"
#include "core/model/ops/model_ops.h"

namespace caracal {
namespace {

// Tokens of one pass: enough for full-rate matrix products.
constexpr int64_t kChunk = 512;

ModePlan PlanOf(const Llama& model, ComponentMode mode) {
  TokenBatch batch;
  batch.sequences = 1;
  ModePlan plan;
  model.Plan(batch, mode, &plan);
  return plan;
}

}  // namespace

Decoder::Decoder(const Llama* model, Execution exec, ComponentMode mode)
    : Decoder(model, exec, PlanOf(*model, mode)) {}

Decoder::Decoder(const Llama* model, Execution exec, const ModePlan& plan)
    : model_(model), exec_(exec), lora_(plan.adapters_on()) {
  CARACAL_CHECK(plan.layers() == model->layers() && plan.sequences() == 1 &&
                plan.heads() == model->heads())
      << plan.layers() << " layers, " << plan.sequences() << " sequences, "
      << plan.heads() << " heads";
  logits_.resize(model->weights().lm_head.out_features());
  if (exec.device != nullptr) {
    plan_ = plan;
    return;
  }
  for (int i = 0; i < model->layers(); ++i) {
    if (plan.full_softmax(i)) {
      caches_.push_back(std::make_unique<FullCache>());
      continue;
    }
    const LayerContext layer{&model->weights(), &model->adapters(), i, lora_};
    caches_.push_back(std::make_unique<HybridCache>(layer, plan.terms(i)));
  }
  positions_.resize(kChunk);
}

absl::StatusOr<ConstTensorView> Decoder::Feed(
    absl::Span<const int32_t> tokens) {
  RETURN_IF_ERROR(FeedAll(tokens));
  const TensorView logits(logits_.data(),
                          {static_cast<int64_t>(logits_.size())});
  if (session_ != nullptr) RETURN_IF_ERROR(session_->ReadLogits(logits));
  return ConstTensorView(logits);
}

absl::StatusOr<int32_t> Decoder::FeedGreedy(absl::Span<const int32_t> tokens) {
  RETURN_IF_ERROR(FeedAll(tokens));
  if (session_ != nullptr) {
    RETURN_IF_ERROR(session_->ReadLikeliest({&likeliest_, 1}));
    return likeliest_;
  }
  return static_cast<int32_t>(std::max_element(logits_.begin(), logits_.end()) -
                              logits_.begin());
}

absl::Status Decoder::FeedAll(absl::Span<const int32_t> tokens) {
  const LlamaWeights& w = model_->weights();
  CARACAL_CHECK(!tokens.empty()) << "nothing to feed";
  if (length_ + static_cast<int64_t>(tokens.size()) > w.rope_cos.dim(0)) {
    return absl::OutOfRangeError(
        absl::StrCat("the text has ", length_ + tokens.size(),
                     " tokens, but the model was loaded for ",
                     w.rope_cos.dim(0), " positions"));
  }
  for (const int32_t token : tokens) {
    if (token < 0 || token >= w.config.vocab_size) {
      return absl::InvalidArgumentError(
          absl::StrCat("token ", token, " is outside the vocabulary of ",
                       w.config.vocab_size));
    }
  }
  if (exec_.device != nullptr) return FeedDevice(tokens);
  while (!tokens.empty()) {
    const size_t n = ChunkOf(static_cast<int64_t>(tokens.size()));
    RETURN_IF_ERROR(FeedChunk(tokens.subspan(0, n), n == tokens.size()));
    tokens.remove_prefix(n);
  }
  return absl::OkStatus();
}

absl::Status Decoder::FeedDevice(absl::Span<const int32_t> tokens) {
  if (session_ == nullptr && !no_session_) {
    auto session = OpsOf(exec_).StartDecoding(exec_, model_->weights(),
                                              &model_->adapters(), plan_);
    // Where what a prompt's tokens see depends on its end, it is run once.
    no_session_ = model_->adapters().config().attention.window_kind !=
                      kernels::WindowKind::kLolcatsTerraced &&
                  (absl::IsUnimplemented(session.status()) ||
                   absl::IsResourceExhausted(session.status()));
    if (!no_session_) {
      RETURN_IF_ERROR(session.status());
      session_ = *std::move(session);
    }
  }
  if (no_session_) return FeedAgain(tokens);
  if (length_ == 0) {
    const auto rows = static_cast<int64_t>(tokens.size());
    for (auto i = static_cast<int64_t>(positions_.size()); i < rows; ++i) {
      positions_.push_back(static_cast<int32_t>(i));
    }
    const int64_t offsets[2] = {0, rows};
    RETURN_IF_ERROR(session_->Start(OneSequence(tokens, offsets)));
  } else {
    for (const int32_t& token : tokens) {
      // It has the one that it found itself.
      RETURN_IF_ERROR(token == likeliest_ ? session_->Step({})
                                          : session_->Step({&token, 1}));
      likeliest_ = -1;
    }
  }
  likeliest_ = -1;
  length_ += static_cast<int64_t>(tokens.size());
  return absl::OkStatus();
}

TokenBatch Decoder::OneSequence(absl::Span<const int32_t> tokens,
                                const int64_t* offsets) const {
  const auto rows = static_cast<int64_t>(tokens.size());
  TokenBatch batch;
  batch.sequences = 1;
  batch.offsets = offsets;
  batch.tokens = ConstTensorView(tokens.data(), {rows});
  batch.positions = ConstTensorView(positions_.data(), {rows});
  return batch;
}

int64_t Decoder::ChunkOf(int64_t count) const {
  if (model_->adapters().config().attention.window_kind !=
      kernels::WindowKind::kLolcatsTerraced) {
    return std::min(count, kChunk);
  }
  return length_ == 0 ? count : 1;
}

absl::Status Decoder::FeedAgain(absl::Span<const int32_t> tokens) {
  text_.insert(text_.end(), tokens.begin(), tokens.end());
  length_ = static_cast<int64_t>(text_.size());
  for (int64_t i = static_cast<int64_t>(positions_.size()); i < length_; ++i) {
    positions_.push_back(static_cast<int32_t>(i));
  }
  const int64_t offsets[2] = {0, length_}, last = length_ - 1;
  const TokenBatch batch = OneSequence(text_, offsets);
  exec_.arena->Reset();
  const TensorView hidden = model_->Hidden(exec_, batch, plan_, nullptr);
  const TensorView logits = model_->Logits(exec_, hidden, {&last, 1});
  std::memcpy(logits_.data(), logits.data, logits_.size() * sizeof(float));
  return exec_.status;
}

absl::Status Decoder::FeedChunk(absl::Span<const int32_t> tokens,
                                bool want_logits) {
  const int64_t rows = static_cast<int64_t>(tokens.size());
  if (rows > static_cast<int64_t>(positions_.size())) positions_.resize(rows);
  for (int64_t i = 0; i < rows; ++i) {
    positions_[i] = static_cast<int32_t>(length_ + i);
  }
  const int64_t offsets[2] = {0, rows};
  const TokenBatch batch = OneSequence(tokens, offsets);
  exec_.arena->Reset();
  Variable* x = Embed(exec_, model_->weights(), batch.tokens);
  for (int i = 0; i < model_->layers(); ++i) {
    ArenaScope scratch(exec_.arena);
    const LayerContext layer{&model_->weights(), &model_->adapters(), i, lora_};
    Variable* qkv = ProjectQkv(exec_, layer, batch, x);
    Variable* y = exec_.arena->New<Variable>();
    y->value =
        exec_.arena->AllocateF32({rows, layer.heads() * layer.head_dim()});
    caches_[i]->Attend(exec_, layer, qkv->value, y->value);
    ProjectOutput(exec_, layer, y, x);
    Mlp(exec_, layer, batch, x);
  }
  length_ += rows;
  if (want_logits) {
    const int64_t width = x->value.shape[1];
    const TensorView last(x->value.f32() + (rows - 1) * width, {1, width});
    const TensorView logits = LmLogits(exec_, model_->weights(), last);
    std::memcpy(logits_.data(), logits.data, logits_.size() * sizeof(float));
  }
  return exec_.status;
}

void Decoder::Reset() {
  for (auto& cache : caches_) cache->Reset();
  text_.clear();
  likeliest_ = -1;
  length_ = 0;
}

size_t Decoder::cache_bytes() const {
  if (session_ != nullptr) return session_->cache_bytes();
  size_t total = 0;
  for (const auto& cache : caches_) total += cache->bytes();
  return total;
}

}  // namespace caracal
