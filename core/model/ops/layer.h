// The coarse operations of one decoder layer. Each computes its value, checks
// it when asked to, and records its gradient when exec.tape is set.
//
// Without a tape the residual stream is updated in place and what an operation
// allocates in the arena belongs to the caller's scope.
#ifndef CARACAL_CORE_MODEL_OPS_LAYER_H_
#define CARACAL_CORE_MODEL_OPS_LAYER_H_

#include <algorithm>
#include <cstdint>

#include "core/model/adapters.h"
#include "core/model/llama_weights.h"
#include "core/model/token_batch.h"
#include "core/tape/tape.h"

namespace caracal {

// What the operations of one layer share.
struct LayerContext {
  const LlamaWeights* weights = nullptr;
  const Adapters* adapters = nullptr;  // null: the bare teacher
  int layer = 0;
  bool lora = false;  // adapters take part

  const LayerWeights& layer_weights() const { return weights->layers[layer]; }
  int64_t heads() const { return weights->heads.size(); }
  int64_t kv_heads() const { return weights->kv_heads.size(); }
  int64_t head_dim() const { return weights->config.head_dim; }
  // The student's attention, for the kernels: a window or sinks beyond the
  // model's positions mean no more than ones as long as they are, and would
  // only take workspace.
  kernels::HybridAttentionConfig attention() const {
    kernels::HybridAttentionConfig config = adapters->config().attention;
    const int64_t positions = weights->rope_cos.dim(0);
    config.window = std::min(config.window, positions + 1);
    config.sinks = std::min(config.sinks, positions);
    return config;
  }
  // The weight with the active adapters of up to three projections below one
  // another in it.
  Projection WithLora(const LinearWeight& weight,
                      std::initializer_list<ProjectionName> names) const;
};

// The residual stream x [S, C] has this rank's rows of the batch (stream.h):
// S = rows without tensor parallelism.

// RMSNorm, the q, k, v projections and RoPE.
//   x [S, C] -> [rows, (H + 2 Hkv) D]
// Gradient: accumulates in x (the residual stream's gradient goes on).
Variable* ProjectQkv(Execution& exec, const LayerContext& layer,
                     const TokenBatch& batch, Variable* x);

// x + y Wo^T.   y [rows, H D], x [S, C] -> [S, C]
// Gradient: x takes over the output's gradient; y's is assigned.
Variable* ProjectOutput(Execution& exec, const LayerContext& layer, Variable* y,
                        Variable* x);

// x + Wdown (silu(Wgate n) * Wup n), n = RMSNorm(x).   [S, C] -> [S, C]
// Gradient: x takes over the output's gradient and accumulates.
Variable* Mlp(Execution& exec, const LayerContext& layer,
              const TokenBatch& batch, Variable* x);

// q, k, v of a [rows, (H + 2 Hkv) D] buffer as [rows, heads, D] views.
struct QkvViews {
  TensorView q, k, v;
};
QkvViews SplitQkv(const LayerContext& layer, TensorView qkv);

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_OPS_LAYER_H_
