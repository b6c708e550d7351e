#include "core/model/decoder.h"

#include <algorithm>
#include <cstring>

#include "core/base/status.h"
#include "core/model/ops/lm_loss.h"

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
  if (exec_.device != nullptr) {
    RETURN_IF_ERROR(FeedAgain(tokens));
    tokens = {};
  }
  while (!tokens.empty()) {
    const size_t n = ChunkOf(static_cast<int64_t>(tokens.size()));
    RETURN_IF_ERROR(FeedChunk(tokens.subspan(0, n), n == tokens.size()));
    tokens.remove_prefix(n);
  }
  return ConstTensorView(logits_.data(),
                         {static_cast<int64_t>(logits_.size())});
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
  TokenBatch batch;
  batch.sequences = 1;
  batch.offsets = offsets;
  batch.tokens = ConstTensorView(text_.data(), {length_});
  batch.positions = ConstTensorView(positions_.data(), {length_});
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
  TokenBatch batch;
  batch.sequences = 1;
  batch.offsets = offsets;
  batch.tokens = ConstTensorView(tokens.data(), {rows});
  batch.positions = ConstTensorView(positions_.data(), {rows});
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

int32_t Decoder::Greedy() const {
  return static_cast<int32_t>(std::max_element(logits_.begin(), logits_.end()) -
                              logits_.begin());
}

void Decoder::Reset() {
  for (auto& cache : caches_) cache->Reset();
  text_.clear();
  length_ = 0;
}

size_t Decoder::cache_bytes() const {
  size_t total = 0;
  for (const auto& cache : caches_) total += cache->bytes();
  return total;
}

}  // namespace caracal
