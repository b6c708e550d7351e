// Final norm, language-model head and cross-entropy, in chunks of rows: all
// logits of a batch never exist at once.
#ifndef CARACAL_CORE_MODEL_OPS_LM_LOSS_H_
#define CARACAL_CORE_MODEL_OPS_LM_LOSS_H_

#include "core/model/llama_weights.h"
#include "core/tape/tape.h"
#include "kernels/cross_entropy/kl_divergence.h"

namespace caracal {

// Rows of one chunk: enough for full-rate matrix products, while the logits
// (chunk x vocabulary) stay at some 100 MB.
inline constexpr int64_t kLmLossChunk = 512;

// Distillation beside the next-token loss.
struct LogitKl {
  kernels::KlDirection direction = kernels::KlDirection::kForward;
  ConstTensorView teacher_x;  // [S, C]: the teacher's residual stream
  // fp32 [rows]: the gradient is also that of sum_r row_weight[r] * kl[r].
  ConstTensorView row_weight;
  TensorView kl;  // out: fp32 [rows], nats
};

struct LmLossRequest {
  ConstTensorView targets;  // int32 [rows], global token ids
  // fp32 [rows]: the gradient is that of sum_r row_weight[r] * nll[r]; rows of
  // weight 0 (in logit_kl too) get nll 0, and are not computed but for a few on
  // a GPU. Undefined: every row, and no gradient.
  ConstTensorView row_weight;
  TensorView nll;     // out: fp32 [rows], -log p(target)
  TensorView argmax;  // out: int32 [rows], the likeliest token; or undefined
  const LogitKl* logit_kl = nullptr;  // with row_weight only
};

// x [S, C]: the residual stream after the last layer (layer.h). With row
// weights, x->grad is allocated and assigned at once: the gradient of a chunk's
// logits is made while they are there, so nothing is recorded on the tape.
void LmLoss(Execution& exec, const LlamaWeights& weights,
            const LmLossRequest& request, Variable* x);

// Logits of a few rows, over this shard's vocabulary: [rows, V].
TensorView LmLogits(Execution& exec, const LlamaWeights& weights,
                    ConstTensorView x);

// Token embeddings: this rank's rows [S, C] of the residual stream.
Variable* Embed(Execution& exec, const LlamaWeights& weights,
                ConstTensorView tokens);

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_OPS_LM_LOSS_H_
