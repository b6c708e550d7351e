#include <cstring>

#include "core/model/ops/model_ops.h"

namespace caracal {
namespace {

class HostModelOps final : public ModelOps {
 public:
  TokenBatch Place(Execution&, const TokenBatch& batch) override {
    return batch;
  }
  uint32_t UsePlan(Execution&, const ModePlan&) override { return 0; }
  void BeginSums(Execution&, TransferSums*, int64_t) override {}
  int64_t BeginLoss(Execution&, const LmLossRequest& request) override {
    return request.targets.shape[0];
  }
  void UseAdapters(Execution&, const LlamaWeights&, const Adapters&) override {}
  Variable* Embed(Execution& exec, const LlamaWeights& weights,
                  ConstTensorView tokens) override {
    return caracal::Embed(exec, weights, tokens);
  }
  Variable* ProjectQkv(Execution& exec, const LayerContext& layer,
                       const TokenBatch& batch, Variable* x) override {
    return caracal::ProjectQkv(exec, layer, batch, x);
  }
  Variable* Attend(Execution& exec, const LayerContext& layer,
                   const TokenBatch& batch, const ModePlan& plan, Variable* qkv,
                   AttentionStatistics* statistics) override {
    return caracal::Attend(exec, layer, batch, plan, qkv, statistics);
  }
  Variable* TeacherAttention(Execution& exec, const LayerContext& layer,
                             const TokenBatch& batch, Variable* qkv) override {
    return caracal::TeacherAttention(exec, layer, batch, qkv);
  }
  int BeginTransfer(Execution&, const LayerContext&, const TokenBatch&,
                    const TransferObjective&) override {
    return 0;
  }
  void EndTransfer(Execution&) override {}
  void TransferAttention(Execution& exec, const LayerContext& layer,
                         const TokenBatch& batch,
                         const TransferObjective& objective,
                         const Variable& qkv, const Variable& y,
                         TransferSums* sums) override {
    caracal::TransferAttention(exec, layer, batch, objective, qkv, y, sums);
  }
  Variable* ProjectOutput(Execution& exec, const LayerContext& layer,
                          Variable* y, Variable* x) override {
    return caracal::ProjectOutput(exec, layer, y, x);
  }
  Variable* Mlp(Execution& exec, const LayerContext& layer,
                const TokenBatch& batch, Variable* x) override {
    return caracal::Mlp(exec, layer, batch, x);
  }
  void LmLoss(Execution& exec, const LlamaWeights& weights,
              const LmLossRequest& request, Variable* x) override {
    caracal::LmLoss(exec, weights, request, x);
  }
  TensorView Logits(Execution& exec, const LlamaWeights& weights,
                    ConstTensorView x,
                    absl::Span<const int64_t> rows) override {
    const auto count = static_cast<int64_t>(rows.size());
    const int64_t width = x.shape[1];
    const TensorView gathered = exec.arena->AllocateF32({count, width});
    for (int64_t i = 0; i < count; ++i) {
      std::memcpy(gathered.f32() + i * width, x.f32() + rows[i] * width,
                  width * sizeof(float));
    }
    return LmLogits(exec, weights, gathered);
  }
  absl::StatusOr<std::unique_ptr<DecodingSession>> StartDecoding(
      const Execution&, const LlamaWeights&, Adapters*,
      const ModePlan&) override {
    return absl::UnimplementedError("the host has caches of its own");
  }
  void Finish(Execution&) override {}
};

}  // namespace

ModelOps& HostOps() {
  static HostModelOps ops;
  return ops;
}

}  // namespace caracal
