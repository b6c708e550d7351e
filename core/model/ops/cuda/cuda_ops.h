// The model's operations by CUDA kernels: bf16 activations and weights, sums in
// fp32, parameters and their gradients in fp32. The residual stream is bf16,
// rounded once where an operation adds to it.
#ifndef CARACAL_CORE_MODEL_OPS_CUDA_CUDA_OPS_H_
#define CARACAL_CORE_MODEL_OPS_CUDA_CUDA_OPS_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "core/device/device.h"
#include "core/model/ops/cuda/products.h"
#include "core/model/ops/model_ops.h"

namespace caracal {

// Of a tensor-parallel group, exec.collective is NCCL's, on the device's
// stream.
class CudaOps final : public ModelOps {
 public:
  // `scratch` and `tiles` as CudaProducts takes them; `sums` fp64 [kMostSums],
  // on the device.
  CudaOps(Device* device, Tensor scratch, Tensor tiles, Tensor sums);

  // Sums for the host that may be under way at once.
  static constexpr int64_t kMostSums = 4096;

  TokenBatch Place(Execution& exec, const TokenBatch& batch) override;
  void BeginSums(Execution& exec, TransferSums* sums, int64_t count) override;
  int64_t BeginLoss(Execution& exec, const LmLossRequest& request) override;
  uint32_t UsePlan(Execution& exec, const ModePlan& plan) override;
  void UseAdapters(Execution& exec, const LlamaWeights& weights,
                   const Adapters& adapters) override;
  Variable* Embed(Execution& exec, const LlamaWeights& weights,
                  ConstTensorView tokens) override;
  Variable* ProjectQkv(Execution& exec, const LayerContext& layer,
                       const TokenBatch& batch, Variable* x) override;
  Variable* Attend(Execution& exec, const LayerContext& layer,
                   const TokenBatch& batch, const ModePlan& plan, Variable* qkv,
                   AttentionStatistics* statistics) override;
  Variable* TeacherAttention(Execution& exec, const LayerContext& layer,
                             const TokenBatch& batch, Variable* qkv) override;
  int BeginTransfer(Execution& exec, const LayerContext& layer,
                    const TokenBatch& batch,
                    const TransferObjective& objective) override;
  void EndTransfer(Execution& exec) override;
  void TransferAttention(Execution& exec, const LayerContext& layer,
                         const TokenBatch& batch,
                         const TransferObjective& objective,
                         const Variable& qkv, const Variable& y,
                         TransferSums* sums) override;
  Variable* ProjectOutput(Execution& exec, const LayerContext& layer,
                          Variable* y, Variable* x) override;
  Variable* Mlp(Execution& exec, const LayerContext& layer,
                const TokenBatch& batch, Variable* x) override;
  void LmLoss(Execution& exec, const LlamaWeights& weights,
              const LmLossRequest& request, Variable* x) override;
  TensorView Logits(Execution& exec, const LlamaWeights& weights,
                    ConstTensorView x, absl::Span<const int64_t> rows) override;
  absl::StatusOr<std::unique_ptr<DecodingSession>> StartDecoding(
      const Execution& exec, const LlamaWeights& weights, Adapters* adapters,
      const ModePlan& plan) override;
  void Finish(Execution& exec) override;

  // ---- For the operations' gradients, and decoding ----

  CudaProducts& products() { return products_; }

  struct Normed {
    // [rows, C] of all ranks, and room behind: this rank's rows, and the
    // others' when they have been gathered to be kept
    TensorView y;
    TensorView inv_rms;  // [stream rows]
  };
  // out = y W^T (+ LoRA), summed over the tensor-parallel group, + x.
  //   y [rows, in], x and out [stream rows, C]; out may be x
  void AddProjection(Execution& exec, const Projection& projection,
                     TensorView y, TensorView x, TensorView out);
  // Its gradients: each(some, dout) makes dy of some rows from dout's, which
  // the ranks share out; and those of adapters.
  //   dout [stream rows, C], y [rows, in]
  void AddProjectionBackward(
      Execution& exec, const Projection& projection, TensorView dout,
      TensorView y, int64_t rows,
      absl::FunctionRef<void(IndexRange some, TensorView dout)> each);
  // Gradients of a projection of a norm's output, x's gradient added to.
  void NormProjectBackward(Execution& exec, const Projection& projection,
                           const Tensor& norm_weight, const Normed& normed,
                           TensorView dy, Variable* x);

  // The gradient of the rotation of q and k, in place.
  void RotateBack(Execution& exec, const LayerContext& layer,
                  const TokenBatch& batch, TensorView qkv);

 private:
  // As Execution::CheckFinite, of bf16 or fp32 on the device; waits for it.
  void CheckFinite(Execution& exec, int layer, absl::string_view tensor,
                   ConstTensorView value);
  // The norm of x [stream rows, C], with room for all `rows` and for the
  // projection's adapters: this rank's rows.
  Normed Norm(Execution& exec, const Projection& projection,
              const Tensor& weight, float epsilon, ConstTensorView x,
              int64_t rows);
  // To memory that is there.
  void NormInto(Execution& exec, const Tensor& weight, float epsilon,
                ConstTensorView x, const Normed& out);
  // Where a kernel adds to what *host, one of BeginSums(), is increased by in
  // Finish().
  double* SumFor(double* host);
  void AddStatistics(Execution& exec, const LayerContext& layer,
                     const TokenBatch& batch,
                     const kernels::HybridAttentionInputs& hybrid,
                     TensorView qkv, AttentionStatistics* statistics);

  // A transfer step's students run on the device's second stream, beside the
  // teacher's passes through the layers that follow; this is what they read,
  // used in turn by layer, and work in. Those of a pass of their own, after the
  // teacher's, run on the first one.
  static constexpr int kStudents = 2;
  struct Student {
    TensorView qkv, y;
    bool running = false;
  };
  Student& StudentOf(const LayerContext& layer) {
    return students_[layer.layer % kStudents];
  }
  // What the device's first stream has by now, a student may run beside; the
  // last time of a layer counts.
  void MarkTeacher();
  // Until it is done, as far as the device's first stream goes.
  void AwaitStudent(const LayerContext& layer);

  bool transferring_ = false, teacher_marked_ = false;
  Student students_[kStudents];
  Workspace student_workspace_;

  Device* device_;
  CudaProducts products_;
  // From UsePlan() to Finish(); its terms [layers, sequences, heads] there.
  struct PlacedPlan {
    const ModePlan* plan = nullptr;
    const uint8_t* terms = nullptr;
    uint32_t kinds = 0;
  };
  PlacedPlan plan_;
  std::vector<Projection> adapted_;  // scratch of UseAdapters()
  // From BeginSums() to Finish(): the host's, and as many on the device.
  double* host_sums_ = nullptr;
  int64_t sum_count_ = 0;
  Tensor sums_;
  std::vector<double> sum_values_;

  // From BeginLoss() to Finish(): the rows that are computed, those that count
  // first, in order; and what comes of them. On the device [count] each, or
  // undefined.
  struct Loss {
    int64_t count = 0, counted = 0;
    bool all = false;    // every row counts
    TensorView rows;     // int32, undefined where all count
    TensorView targets;  // int32
    TensorView weight, kl_weight, nll, divergence;  // fp32
    TensorView argmax;                              // int32
  };
  Loss loss_;
  // A result of such rows: from the device by way of `values` to host memory,
  // all of 4 bytes an element.
  struct HandOut {
    TensorView from;
    uint32_t* values;
    const int32_t* rows;  // host memory, [from.size()]
    void* to;             // [rows of the batch]
  };
  std::vector<HandOut> hand_outs_;
};

// What the operations of a layer agree on.
Projection QkvProjection(const LayerContext& layer);
Projection OutputProjection(const LayerContext& layer);
Projection GateUpProjection(const LayerContext& layer);
Projection DownProjection(const LayerContext& layer);
// q, k, v of a [rows, (H + 2 Hkv) D] bf16 buffer whose rows may lie apart.
QkvViews SplitQkvRows(const LayerContext& layer, TensorView qkv);
// Elements behind the rows of the residual stream's gradient.
int64_t StreamRoom(const LlamaWeights& weights);

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_OPS_CUDA_CUDA_OPS_H_
