// The operations of a pass over the model, on whichever device it is: the
// host's are the functions of attention.h, layer.h and lm_loss.h, whose
// contracts go for all.
#ifndef CARACAL_CORE_MODEL_OPS_MODEL_OPS_H_
#define CARACAL_CORE_MODEL_OPS_MODEL_OPS_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/model/ops/attention.h"
#include "core/model/ops/decoding_session.h"
#include "core/model/ops/layer.h"
#include "core/model/ops/lm_loss.h"

namespace caracal {

// Differences on a device:
//  - Variables are bf16 in the device's arena; their rows may lie further apart
//    than they are long, where adapters need the room.
//  - Parameters' gradients and sums are fp32.
//  - What an operation computes for the host (losses, sums) is there after
//    Finish(), which alone waits for the device.
//  - From Embed() to Finish(), what depends on the tokens, targets and weights
//    of the rows is on the device already: what the operations launch for one
//    batch does for another of the same shape.
// A batch, the targets and weights of a loss, and results stay host memory.
// Belongs to one thread.
class ModelOps {
 public:
  virtual ~ModelOps() = default;

  // The batch with tokens and positions where the operations read them: until
  // exec.arena is reset, or released past this.
  virtual TokenBatch Place(Execution& exec, const TokenBatch& batch) = 0;

  // Before a pass whose Attend() is given this plan: its terms go to where the
  // operations read them. Batches of one shape for which the same number comes
  // back, and whose plans have the same layers as full softmax, take the same
  // launches there.
  virtual uint32_t UsePlan(Execution& exec, const ModePlan& plan) = 0;

  // Before a pass that adds to sums: [count], of layers that follow one
  // another, which TransferAttention gets one by one. Stays until Finish().
  virtual void BeginSums(Execution& exec, TransferSums* sums,
                         int64_t count) = 0;

  // Before a pass that ends with LmLoss() of the same request: what it reads
  // goes to the device. Batches of one shape for which the same number comes
  // back take the same launches there.
  virtual int64_t BeginLoss(Execution& exec, const LmLossRequest& request) = 0;

  // Before a pass that adapters take part in.
  virtual void UseAdapters(Execution& exec, const LlamaWeights& weights,
                           const Adapters& adapters) = 0;

  virtual Variable* Embed(Execution& exec, const LlamaWeights& weights,
                          ConstTensorView tokens) = 0;
  virtual Variable* ProjectQkv(Execution& exec, const LayerContext& layer,
                               const TokenBatch& batch, Variable* x) = 0;
  virtual Variable* Attend(Execution& exec, const LayerContext& layer,
                           const TokenBatch& batch, const ModePlan& plan,
                           Variable* qkv, AttentionStatistics* statistics) = 0;
  virtual Variable* TeacherAttention(Execution& exec, const LayerContext& layer,
                                     const TokenBatch& batch,
                                     Variable* qkv) = 0;

  // Around the layers of a transfer step, whose layers all look like `layer`.
  // Between the two a student may run beside the passes of the layers that
  // follow its own; how many layers later its gradients are complete at the
  // latest, once ProjectQkv was called for that layer. 0: at once.
  virtual int BeginTransfer(Execution& exec, const LayerContext& layer,
                            const TokenBatch& batch,
                            const TransferObjective& objective) = 0;
  // Until all are complete.
  virtual void EndTransfer(Execution& exec) = 0;
  virtual void TransferAttention(Execution& exec, const LayerContext& layer,
                                 const TokenBatch& batch,
                                 const TransferObjective& objective,
                                 const Variable& qkv, const Variable& y,
                                 TransferSums* sums) = 0;
  virtual Variable* ProjectOutput(Execution& exec, const LayerContext& layer,
                                  Variable* y, Variable* x) = 0;
  virtual Variable* Mlp(Execution& exec, const LayerContext& layer,
                        const TokenBatch& batch, Variable* x) = 0;
  virtual void LmLoss(Execution& exec, const LlamaWeights& weights,
                      const LmLossRequest& request, Variable* x) = 0;

  // Logits of some rows of x, over this shard's vocabulary: fp32
  // [rows.size(), V] in host memory, at once.
  virtual TensorView Logits(Execution& exec, const LlamaWeights& weights,
                            ConstTensorView x,
                            absl::Span<const int64_t> rows) = 0;

  // Decoding of plan.sequences() sequences in the plan's modes. The parts of
  // exec, weights and adapters are borrowed; the plan is not. kUnimplemented on
  // the host, which decodes by core/model/decoder.h alone, and where a device
  // has no kernels for the plan; kResourceExhausted.
  virtual absl::StatusOr<std::unique_ptr<DecodingSession>> StartDecoding(
      const Execution& exec, const LlamaWeights& weights, Adapters* adapters,
      const ModePlan& plan) = 0;

  // At the end of a pass. Errors of the device are in exec.status.
  virtual void Finish(Execution& exec) = 0;
};

// Stateless.
ModelOps& HostOps();

inline ModelOps& OpsOf(const Execution& exec) {
  return exec.ops == nullptr ? HostOps() : *exec.ops;
}

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_OPS_MODEL_OPS_H_
