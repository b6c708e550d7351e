// The Llama family with hybrid attention: forward passes for evaluation,
// attention transfer and fine-tuning, written once for a shard.
#ifndef CARACAL_CORE_MODEL_LLAMA_H_
#define CARACAL_CORE_MODEL_LLAMA_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "core/device/recorded_passes.h"
#include "core/model/adapters.h"
#include "core/model/attention_statistics.h"
#include "core/model/llama_weights.h"
#include "core/model/mode_plan.h"
#include "core/model/ops/attention.h"
#include "core/model/ops/layer.h"
#include "core/model/ops/lm_loss.h"
#include "core/model/token_batch.h"
#include "core/tape/tape.h"

namespace caracal {

// Of the teacher's pass through one layer, for the student's.
struct TransferKept {
  Variable* qkv = nullptr;  // [rows, (H + 2 Hkv) D]
  Variable* y = nullptr;    // [rows, H D]
};

// Borrows its weights and adapters; both must outlive it. A pass allocates in
// exec.arena, which the caller resets between steps. Errors of a pass are in
// exec.status. Weights, parameters and exec are of one device; results are host
// memory, of Hidden() apart. With exec.recorded, which is of this model alone,
// TransferStep, FinetuneStep and Hidden launch again what was recorded of an
// earlier pass of the same shape where they can.
class Llama {
 public:
  Llama(const LlamaWeights* weights, Adapters* adapters)
      : weights_(weights), adapters_(adapters) {}

  const LlamaWeights& weights() const { return *weights_; }
  Adapters& adapters() const { return *adapters_; }
  // That this rank holds.
  int64_t layers() const { return weights_->layer_range.size(); }
  int64_t heads() const { return weights_->heads.size(); }

  // Every layer and sequence in one mode (layers kept as softmax apart), or
  // with one set of kernels::Terms, adapters on.
  void Plan(const TokenBatch& batch, ComponentMode mode, ModePlan* plan) const;
  void PlanTerms(const TokenBatch& batch, uint8_t terms, ModePlan* plan) const;

  // -log p(target) of each row, in the plan's modes. `nll` [rows]; `argmax`
  // int32 [rows] and `statistics` are optional (undefined, null).
  void Evaluate(Execution& exec, const TokenBatch& batch, const ModePlan& plan,
                TensorView nll, TensorView argmax,
                AttentionStatistics* statistics) const;

  // The residual stream [rows, C] after the last layer.
  TensorView Hidden(Execution& exec, const TokenBatch& batch,
                    const ModePlan& plan,
                    AttentionStatistics* statistics) const;
  // Logits of some of its rows, fp32 [rows.size(), V of this shard].
  TensorView Logits(Execution& exec, ConstTensorView hidden,
                    absl::Span<const int64_t> rows) const;

  // One micro-batch of attention transfer: adds the objective's gradients to
  // those of the feature maps (and window factors), and each layer's sums to
  // sums[layer]. Layers kept as softmax learn nothing.
  void TransferStep(Execution& exec, const TokenBatch& batch,
                    const TransferObjective& objective,
                    TransferSums* sums) const;

  // The same in two halves, of a rank that holds some of the layers. First the
  // teacher's pass, which nothing that is trained takes part in: the residual
  // stream x [StreamRows(rows), C] before the first layer held (undefined: the
  // tokens' embedding) becomes the one after the last, which is returned (of
  // the model's last layer: left as it was, nobody reads it). What the students
  // need goes to kept[layer], in exec.arena.
  TensorView TransferTeacher(Execution& exec, const TokenBatch& batch,
                             TensorView x, TransferKept* kept) const;
  // Then the students', on what was kept of the same batch.
  void TransferStudents(Execution& exec, const TokenBatch& batch,
                        const TransferObjective& objective,
                        const TransferKept* kept, TransferSums* sums) const;

  // One micro-batch of fine-tuning: gradients of sum_r row_weight[r] nll[r]
  // are added to those of the trained parameters; with `logit_kl` also those
  // of its divergence from the teacher. exec.tape must be set; `plan` must
  // outlive the call. nll [rows] out.
  void FinetuneStep(Execution& exec, const TokenBatch& batch,
                    const ModePlan& plan, ConstTensorView row_weight,
                    TensorView nll, const LogitKl* logit_kl = nullptr) const;

 private:
  // `lora`: adapters take part.
  TokenBatch Begin(Execution& exec, const TokenBatch& batch, bool lora) const;
  // What the launches of a pass depend on, whatever its tokens: `pass` tells
  // one kind from another. After all that goes to the device before it.
  PassKey KeyOf(const Execution& exec, char pass,
                const TokenBatch& batch) const;
  // A pass's launches, from the embedding on; for what `key` makes of the pass
  // they are the same. What they allocate goes with them.
  void Launch(Execution& exec, absl::FunctionRef<PassKey()> key,
              absl::FunctionRef<void()> launches) const;
  // Of a pass with gradients: tells exec.pass_enqueued, waits, and brings what
  // the host is given.
  void FinishWithGradients(Execution& exec) const;
  const std::vector<bool>* SoftmaxLayers() const;
  bool KeptAsSoftmax(int layer) const;  // counted from this rank's first
  TransferKept TeacherLayer(Execution& exec, const TokenBatch& batch, int layer,
                            Variable* x) const;
  void StudentLayer(Execution& exec, const TokenBatch& batch,
                    const TransferObjective& objective, int layer,
                    const TransferKept& kept, TransferSums* sums) const;
  LayerContext Layer(int layer, bool lora) const {
    return {weights_, adapters_, layer, lora};
  }

  const LlamaWeights* weights_;
  Adapters* adapters_;
};

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_LLAMA_H_
