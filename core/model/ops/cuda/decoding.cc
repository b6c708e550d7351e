#include "core/model/ops/cuda/decoding.h"

#include <algorithm>
#include <utility>

#include "core/base/status.h"
#include "core/model/ops/cuda/products.h"
#include "kernels/cross_entropy/cross_entropy_cuda.h"
#include "kernels/embedding/embedding_cuda.h"
#include "kernels/hybrid_attention/hybrid_attention_decode_cuda.h"
#include "kernels/matmul/mat_vec_cuda.h"
#include "kernels/rms_norm/rms_norm_cuda.h"
#include "kernels/swiglu/swiglu_cuda.h"

namespace caracal {
namespace {

int64_t RoundUp(int64_t n, int64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

// Of the matrix as a step reads it, with its adapters.
double Bytes(const LinearWeight& weight, bool adapted) {
  const int64_t room = adapted ? weight.room() : 0;
  return static_cast<double>(sizeof(uint16_t)) *
         static_cast<double>((weight.out_features() + room) *
                             (weight.in_features() + room));
}

}  // namespace

absl::StatusOr<std::unique_ptr<DecodingSession>> CudaDecoding::Make(
    CudaOps* ops, const Execution& exec, const LlamaWeights& weights,
    Adapters* adapters, const ModePlan& plan) {
  CARACAL_CHECK(exec.collective->size() == 1) << "decoding is one rank's work";
  CARACAL_CHECK(exec.tape == nullptr) << "decoding records no gradient";
  std::unique_ptr<CudaDecoding> session(
      new CudaDecoding(ops, exec, weights, adapters, plan));
  RETURN_IF_ERROR(session->Allocate());
  return session;
}

CudaDecoding::CudaDecoding(CudaOps* ops, const Execution& exec,
                           const LlamaWeights& weights, Adapters* adapters,
                           const ModePlan& plan)
    : ops_(ops),
      device_(exec.device),
      exec_(exec),
      weights_(weights),
      adapters_(adapters),
      plan_(plan),
      sequences_(plan.sequences()) {}

absl::StatusOr<CudaDecoding::Rows> CudaDecoding::AllocateRows(int64_t columns,
                                                              int64_t room) {
  // Rows start at multiples of 16 bytes.
  const int64_t stride = RoundUp(columns + room, 8);
  ASSIGN_OR_RETURN(Tensor memory,
                   device_->Allocate(DType::kBF16, {sequences_, stride}));
  const TensorView view = BlockOf(memory, 0, sequences_, 0, columns);
  return Rows{std::move(memory), view};
}

absl::Status CudaDecoding::Allocate() {
  const LayerWeights& w = weights_.layers[0];
  const int64_t hidden = weights_.config.hidden_size;
  const int64_t inner = w.down.in_features();
  ASSIGN_OR_RETURN(x_, AllocateRows(hidden, 0));
  ASSIGN_OR_RETURN(
      normed_, AllocateRows(hidden, std::max(w.qkv.room(), w.gate_up.room())));
  ASSIGN_OR_RETURN(qkv_, AllocateRows(w.qkv.out_features(), 0));
  ASSIGN_OR_RETURN(y_, AllocateRows(w.o.in_features(), w.o.room()));
  ASSIGN_OR_RETURN(gate_up_, AllocateRows(2 * inner, 0));
  ASSIGN_OR_RETURN(hidden_, AllocateRows(inner, w.down.room()));
  const int64_t vocabulary = weights_.lm_head.out_features();
  ASSIGN_OR_RETURN(
      logits_,
      device_->Allocate(DType::kF32, {sequences_, RoundUp(vocabulary, 4)}));
  for (Tensor* t : {&length_, &tokens_, &no_targets_}) {
    ASSIGN_OR_RETURN(*t, device_->Allocate(DType::kI32, {sequences_}));
    device_->SetZero(t->view().data, t->bytes());
  }
  for (Tensor* t : {&row_max_, &sum_exp_, &target_logit_}) {
    ASSIGN_OR_RETURN(*t, device_->Allocate(DType::kF32, {sequences_}));
  }
  size_t most = 1;
  for (int64_t i = 0; i < plan_.layers(); ++i) {
    ASSIGN_OR_RETURN(std::unique_ptr<CudaDecodingCache> cache,
                     MakeDecodingCache(*device_, Layer(i), plan_));
    most = std::max(most, cache->workspace_bytes(Layer(i), qkv_.view));
    caches_.push_back(std::move(cache));
  }
  ASSIGN_OR_RETURN(workspace_,
                   device_->Allocate(DType::kU8, {static_cast<int64_t>(most)}));
  return absl::OkStatus();
}

absl::Status CudaDecoding::GrowTo(int64_t tokens) {
  for (const auto& cache : caches_) {
    if (cache->capacity() >= tokens) continue;
    RETURN_IF_ERROR(cache->Grow(*device_, lengths_, tokens));
    graph_ = nullptr;
  }
  return absl::OkStatus();
}

absl::Status CudaDecoding::Start(const TokenBatch& texts) {
  CARACAL_CHECK_EQ(texts.sequences, sequences_);
  adapters_->parameters().UseOnDevice();
  exec_.status = absl::OkStatus();
  exec_.arena->Reset();
  lengths_.clear();
  std::vector<int32_t> lengths, last;
  for (int64_t i = 0; i < sequences_; ++i) {
    const int64_t length = texts.offsets[i + 1] - texts.offsets[i];
    CARACAL_CHECK(length >= 1) << "sequence " << i << " has no token";
    lengths.push_back(static_cast<int32_t>(length));
    last.push_back(static_cast<int32_t>(texts.offsets[i + 1] - 1));
  }
  RETURN_IF_ERROR(GrowTo(*std::max_element(lengths.begin(), lengths.end())));
  lengths_.assign(lengths.begin(), lengths.end());
  if (plan_.adapters_on() && adapters_->lora_active) {
    ops_->UseAdapters(exec_, weights_, *adapters_);
  }
  const TokenBatch batch = ops_->Place(exec_, texts);
  ops_->UsePlan(exec_, plan_);
  Variable* x = ops_->Embed(exec_, weights_, batch.tokens);
  for (int64_t i = 0; i < plan_.layers(); ++i) {
    ArenaScope scratch(exec_.arena);
    const LayerContext layer = Layer(i);
    Variable* qkv = ops_->ProjectQkv(exec_, layer, batch, x);
    caches_[i]->Take(exec_, layer, batch, qkv->value);
    Variable* y = ops_->Attend(exec_, layer, batch, plan_, qkv, nullptr);
    ops_->ProjectOutput(exec_, layer, y, x);
    ops_->Mlp(exec_, layer, batch, x);
  }
  const TensorView rows = device_->arena().AllocateI32({sequences_});
  device_->Upload(last.data(), last.size() * sizeof(int32_t), rows.data);
  device_->Upload(lengths.data(), lengths.size() * sizeof(int32_t),
                  length_.view().data);
  RETURN_IF_ERROR(exec_.status);
  if (!device_->ok()) return device_->Wait();
  kernels::EmbeddingForwardCuda(ctx(), rows, x->value, 0, x_.view);
  Predict();
  return absl::OkStatus();
}

absl::Status CudaDecoding::Step(absl::Span<const int32_t> tokens) {
  CARACAL_CHECK(!lengths_.empty()) << "no text was given";
  CARACAL_CHECK(tokens.empty() ||
                static_cast<int64_t>(tokens.size()) == sequences_)
      << tokens.size() << " tokens";
  RETURN_IF_ERROR(
      GrowTo(*std::max_element(lengths_.begin(), lengths_.end()) + 1));
  if (!tokens.empty()) {
    device_->Upload(tokens.data(), tokens.size() * sizeof(int32_t),
                    tokens_.view().data);
  }
  if (!device_->ok()) return device_->Wait();
  if (!warm_) {
    Enqueue();
    warm_ = true;
  } else {
    if (graph_ == nullptr) {
      ASSIGN_OR_RETURN(graph_, device_->Record([this] { Enqueue(); }));
    }
    graph_->Launch();
  }
  for (int64_t& n : lengths_) ++n;
  return absl::OkStatus();
}

void CudaDecoding::Enqueue() {
  kernels::EmbeddingForwardCuda(ctx(), tokens_, weights_.embedding.dense(),
                                weights_.vocabulary.begin, x_.view);
  for (int64_t i = 0; i < plan_.layers(); ++i) {
    AttentionBlock(i);
    MlpBlock(i);
  }
  Predict();
  kernels::HybridAttentionDecodeAdvanceCuda(
      ctx(), static_cast<int32_t*>(length_.view().data), sequences_);
}

bool CudaDecoding::Fuses(const Projection& projection) const {
  return CudaProducts::RoomOf(projection) == 0 &&
         kernels::MatVecCudaSupports(sequences_,
                                     projection.weight->in_features());
}

void CudaDecoding::NormProject(const Projection& projection, const Tensor& norm,
                               TensorView out) {
  const float epsilon = weights_.config.rms_norm_eps;
  if (Fuses(projection)) {
    kernels::MatVecCuda(ctx(), x_.view, {norm, epsilon},
                        projection.weight->dense(), {}, out);
    return;
  }
  kernels::RmsNormForwardCuda(ctx(), x_.view, norm, epsilon, normed_.view, {});
  ops_->products().Forward(exec_, projection, normed_.view, {}, out);
}

void CudaDecoding::AttentionBlock(int64_t i) {
  const LayerContext layer = Layer(i);
  NormProject(QkvProjection(layer), layer.layer_weights().attention_norm,
              qkv_.view);
  caches_[i]->Attend(
      ctx(), layer, static_cast<const int32_t*>(length_.view().data), qkv_.view,
      y_.view, {workspace_.view().data, workspace_.bytes()});
  ops_->products().Forward(exec_, OutputProjection(layer), y_.view, x_.view,
                           x_.view);
}

void CudaDecoding::MlpBlock(int64_t i) {
  const LayerContext layer = Layer(i);
  const LayerWeights& w = layer.layer_weights();
  const Projection up = GateUpProjection(layer);
  if (Fuses(up)) {
    const float epsilon = weights_.config.rms_norm_eps;
    kernels::MatVecSwigluCuda(ctx(), x_.view, {w.mlp_norm, epsilon},
                              w.gate_up.dense(), hidden_.view);
  } else {
    NormProject(up, w.mlp_norm, gate_up_.view);
    const int64_t inner = w.down.in_features();
    kernels::SwigluForwardCuda(
        ctx(), BlockOf(gate_up_.view, 0, sequences_, 0, inner),
        BlockOf(gate_up_.view, 0, sequences_, inner, inner), hidden_.view);
  }
  ops_->products().Forward(exec_, DownProjection(layer), hidden_.view, x_.view,
                           x_.view);
}

void CudaDecoding::Predict() {
  TensorView logits = logits_;
  logits.shape[1] = weights_.lm_head.out_features();
  const Projection head = {.weight = &weights_.lm_head, .lora = {}};
  NormProject(head, weights_.final_norm, logits);
  kernels::CrossEntropyStatisticsCuda(ctx(), logits, no_targets_, 0, row_max_,
                                      sum_exp_, target_logit_, tokens_);
}

absl::Status CudaDecoding::ReadLikeliest(absl::Span<int32_t> tokens) {
  CARACAL_CHECK_EQ(static_cast<int64_t>(tokens.size()), sequences_);
  device_->Download(tokens_.view().data, tokens_.bytes(), tokens.data());
  return device_->Wait();
}

absl::Status CudaDecoding::ReadLogits(TensorView logits) {
  const int64_t vocabulary = weights_.lm_head.out_features();
  CARACAL_CHECK(logits.contiguous() && logits.size() == sequences_ * vocabulary)
      << logits.size() << " logits";
  for (int64_t i = 0; i < sequences_; ++i) {
    device_->Download(logits_.f32() + i * logits_.dim(1),
                      vocabulary * sizeof(float),
                      logits.f32() + i * vocabulary);
  }
  return device_->Wait();
}

size_t CudaDecoding::cache_bytes() const {
  size_t total = 0;
  for (const auto& cache : caches_) total += cache->bytes();
  return total;
}

double CudaDecoding::step_bytes() const {
  const bool adapted = plan_.adapters_on() && adapters_->lora_active;
  double total = Bytes(weights_.lm_head, false);
  for (int64_t i = 0; i < plan_.layers(); ++i) {
    const LayerWeights& w = weights_.layers[i];
    for (const LinearWeight* weight : {&w.qkv, &w.o, &w.gate_up, &w.down}) {
      total += Bytes(*weight, adapted);
    }
    total += caches_[i]->step_bytes(Layer(i), lengths_);
  }
  return total;
}

}  // namespace caracal
