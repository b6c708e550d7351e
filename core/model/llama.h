// The Llama family with hybrid attention: forward passes for evaluation,
// attention transfer and fine-tuning, written once for a shard.
#ifndef CARACAL_CORE_MODEL_LLAMA_H_
#define CARACAL_CORE_MODEL_LLAMA_H_

#include <cstdint>
#include <vector>

#include "core/model/adapters.h"
#include "core/model/attention_statistics.h"
#include "core/model/llama_weights.h"
#include "core/model/mode_plan.h"
#include "core/model/ops/layer.h"
#include "core/model/token_batch.h"
#include "core/tape/tape.h"

namespace caracal {

// Borrows its weights and adapters; both must outlive it. A pass allocates in
// exec.arena, which the caller resets between steps. Errors of a pass are in
// exec.status.
class Llama {
 public:
  Llama(const LlamaWeights* weights, Adapters* adapters)
      : weights_(weights), adapters_(adapters) {}

  const LlamaWeights& weights() const { return *weights_; }
  Adapters& adapters() const { return *adapters_; }
  int64_t layers() const { return weights_->config.layers; }
  int64_t heads() const { return weights_->heads.size(); }

  // -log p(target) of each row, in the plan's modes. `nll` [rows]; `argmax`
  // int32 [rows] and `statistics` are optional (undefined, null).
  void Evaluate(Execution& exec, const TokenBatch& batch, const ModePlan& plan,
                TensorView nll, TensorView argmax,
                AttentionStatistics* statistics) const;

  // The residual stream [rows, C] after the last layer.
  TensorView Hidden(Execution& exec, const TokenBatch& batch,
                    const ModePlan& plan,
                    AttentionStatistics* statistics) const;

  // One micro-batch of attention transfer: adds the gradients of
  //   scale / 2 * sum_{layers, rows, H, D} (y_student - y_teacher)^2
  // to the feature maps' (and window factors') gradients, and each layer's
  // squared error to squared_error[layer]. `terms`: the student's mode.
  void TransferStep(Execution& exec, const TokenBatch& batch, uint8_t terms,
                    float scale, double* squared_error) const;

  // One micro-batch of fine-tuning: gradients of sum_r row_weight[r] nll[r]
  // are added to those of the trained parameters. exec.tape must be set;
  // `plan` must outlive the call. nll [rows] out.
  void FinetuneStep(Execution& exec, const TokenBatch& batch,
                    const ModePlan& plan, ConstTensorView row_weight,
                    TensorView nll) const;

 private:
  LayerContext Layer(int layer, bool lora) const {
    return {weights_, adapters_, layer, lora};
  }

  const LlamaWeights* weights_;
  Adapters* adapters_;
};

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_LLAMA_H_
