// Matrix products of a pass on a CUDA device.
#ifndef CARACAL_CORE_MODEL_OPS_CUDA_PRODUCTS_H_
#define CARACAL_CORE_MODEL_OPS_CUDA_PRODUCTS_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "core/model/projection.h"
#include "core/tape/execution.h"
#include "core/tensor/tensor.h"
#include "kernels/lora/lora_cuda.h"
#include "kernels/matmul/matmul_cuda.h"

namespace caracal {

// Adapters are folded into their projection's weight (lora_cuda.h) before a
// pass that they take part in: of a projection with active ones, rows of x lie
// at least room apart from their ends, and so do those of dy; products find x
// A^T and dy B there.
class CudaProducts {
 public:
  // Device memory: kMatMulCudaWorkspaceBytes, and kMatMulTilesBytes that are 0.
  CudaProducts(Tensor scratch, Tensor tiles)
      : scratch_(std::move(scratch)), tiles_(std::move(tiles)) {}

  // Before a pass: folds the active adapters of all its projections into their
  // weights, in one launch.
  void Fold(Execution& exec, absl::Span<const Projection> projections);

  // Columns behind x and dy that the projection needs: 0 without adapters.
  static int64_t RoomOf(const Projection& projection);

  // y = x W^T + LoRA(x), + add where that is defined (of y's layout; may be y).
  //   x [rows, in], add, y [rows, out]
  void Forward(Execution& exec, const Projection& projection, TensorView x,
               ConstTensorView add, TensorView y);

  // The same of a gated MLP's first half, whose gate's columns come first, and
  // SwiGLU of it.
  //   x [rows, in]
  //   slopes [rows, 2 F]   (swiglu_cuda.h) undefined: no backward follows
  //   h [rows, F]
  void ForwardSwiglu(Execution& exec, const Projection& projection,
                     TensorView x, TensorView slopes, TensorView h);

  // The same of queries, keys and values [rows, (H + 2 Hkv) D], and the first
  // `heads` of each row rotated by its position.
  struct Rotation {
    int64_t heads;
    ConstTensorView positions;  // int32 [rows]
    ConstTensorView cos, sin;   // fp32 [P, D / 2]
  };
  void ForwardRotated(Execution& exec, const Projection& projection,
                      TensorView x, const Rotation& rotation, TensorView qkv);

  // dx = dy W + LoRA's part (dx undefined: not wanted). Makes dy B, which
  // AdapterGradients reads.
  void InputGradient(Execution& exec, const Projection& projection,
                     TensorView dy, TensorView dx);
  // The same of a gated MLP's second half, passed on through SwiGLU: slopes
  // become the gradients of gate and up.
  void SwigluGradient(Execution& exec, const Projection& projection,
                      TensorView dy, TensorView slopes);
  // Of adapters that are trained, added to; after InputGradient (or
  // SwigluGradient) of all rows of dy. x, with what the forward left behind its
  // rows, may be undefined without adapters.
  void AdapterGradients(Execution& exec, const Projection& projection,
                        TensorView dy, TensorView x);

  // c = a op(b), + add where that is defined. Few rows of a by mat_vec_cuda.h.
  void Multiply(Execution& exec, ConstTensorView a, kernels::Transpose tb,
                ConstTensorView b, TensorView c, ConstTensorView add = {});

 private:
  // What a forward multiplies: x and W, and with adapters what is folded into
  // both; x A^T is made.
  struct Operands {
    TensorView x;
    ConstTensorView weight;
  };
  Operands OperandsOf(Execution& exec, const Projection& projection,
                      TensorView x);
  // The same of a gradient of the input; dy B is made.
  Operands GradientOperandsOf(Execution& exec, const Projection& projection,
                              TensorView dy);

  Workspace workspace() const {
    return {scratch_.view().data, scratch_.bytes()};
  }
  Workspace tiles() const { return {tiles_.view().data, tiles_.bytes()}; }

  kernels::MatMulCudaPlans plans_;
  Tensor scratch_, tiles_;
  // What was folded last; the list is on the device too.
  std::vector<kernels::LoraFoldBlock> blocks_, next_blocks_;
  Tensor table_memory_;
  kernels::LoraFoldTable table_;
};

// Rows and columns of a bf16 matrix.
TensorView BlockOf(TensorView matrix, int64_t row, int64_t rows, int64_t column,
                   int64_t columns);
// [rows, columns] bf16 in the device's arena, `room` elements between rows.
TensorView AllocateRows(Execution& exec, int64_t rows, int64_t columns,
                        int64_t room = 0);

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_OPS_CUDA_PRODUCTS_H_
