// A decoding session on a CUDA device.
#ifndef CARACAL_CORE_MODEL_OPS_CUDA_DECODING_H_
#define CARACAL_CORE_MODEL_OPS_CUDA_DECODING_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "core/device/device.h"
#include "core/model/mode_plan.h"
#include "core/model/ops/cuda/cuda_ops.h"
#include "core/model/ops/cuda/decoding_cache.h"
#include "core/model/ops/decoding_session.h"

namespace caracal {

// A step is one CUDA graph, recorded in the second of them: the first chooses
// the products' algorithms. It is recorded again where a cache has grown.
class CudaDecoding final : public DecodingSession {
 public:
  // As ModelOps::StartDecoding, whose `ops` these are.
  static absl::StatusOr<std::unique_ptr<DecodingSession>> Make(
      CudaOps* ops, const Execution& exec, const LlamaWeights& weights,
      Adapters* adapters, const ModePlan& plan);

  absl::Status Start(const TokenBatch& texts) override;
  absl::Status Step(absl::Span<const int32_t> tokens) override;
  absl::Status ReadLikeliest(absl::Span<int32_t> tokens) override;
  absl::Status ReadLogits(TensorView logits) override;
  size_t cache_bytes() const override;
  double step_bytes() const override;

 private:
  // [N, columns] bf16, with room for adapters behind the rows.
  struct Rows {
    Tensor memory;
    TensorView view;
  };

  CudaDecoding(CudaOps* ops, const Execution& exec, const LlamaWeights& weights,
               Adapters* adapters, const ModePlan& plan);
  absl::Status Allocate();
  absl::StatusOr<Rows> AllocateRows(int64_t columns, int64_t room);
  LayerContext Layer(int64_t i) const {
    return {&weights_, adapters_, static_cast<int>(i), plan_.adapters_on()};
  }

  // The launches of a step, and its parts.
  void Enqueue();
  void AttentionBlock(int64_t i);
  void MlpBlock(int64_t i);
  // Whether a product takes the norm before it, or SwiGLU behind it, along.
  bool Fuses(const Projection& projection) const;
  // out = the projection of x through a norm.
  void NormProject(const Projection& projection, const Tensor& norm,
                   TensorView out);
  // From the residual stream to logits and likeliest tokens.
  void Predict();
  absl::Status GrowTo(int64_t tokens);
  Context ctx() const { return exec_.ctx; }

  CudaOps* const ops_;
  Device* const device_;
  Execution exec_;
  const LlamaWeights& weights_;
  Adapters* const adapters_;
  const ModePlan plan_;
  const int64_t sequences_;

  std::vector<std::unique_ptr<CudaDecodingCache>> caches_;  // one a layer
  std::vector<int64_t> lengths_;                            // [N]
  Tensor length_, tokens_;  // int32 [N]; tokens_: those of the next step
  Tensor workspace_;        // of attention
  Rows x_, normed_, qkv_, y_, gate_up_, hidden_;
  Tensor logits_;  // fp32 [N, V], rows at multiples of 16 bytes
  Tensor no_targets_, row_max_, sum_exp_, target_logit_;  // [N]
  bool warm_ = false;
  std::unique_ptr<DeviceGraph> graph_;
};

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_OPS_CUDA_DECODING_H_
