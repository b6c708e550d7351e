// A frozen weight matrix with its low-rank adapters: y = x W^T + LoRA(x).
#ifndef CARACAL_CORE_MODEL_PROJECTION_H_
#define CARACAL_CORE_MODEL_PROJECTION_H_

#include <array>
#include <cstdint>

#include "core/model/linear_weight.h"
#include "core/tape/execution.h"
#include "kernels/common/tensor_view.h"

namespace caracal {

// One adapter on rows [out_begin, out_begin + B's rows) of a weight (several
// projections share a weight: q, k, v lie below one another). Gradients are
// undefined where they are not trained.
struct LoraSlot {
  TensorView a;  // [r, in]
  TensorView b;  // [out, r]
  TensorView da, db;
  float scale = 0;  // alpha / r
  int64_t out_begin = 0;
  bool active() const { return a.defined(); }
};

// Views only; cheap to copy; lives in the arena with a recorded operation.
struct Projection {
  const LinearWeight* weight = nullptr;  // [out, in]
  std::array<LoraSlot, 3> lora;
};

// x A^T of each active adapter, kept for the gradient.
struct ProjectionSaved {
  std::array<TensorView, 3> xa;  // [rows, r]
};

// Room for them in exec.arena, taken before the scope of any scratch.
ProjectionSaved AllocateSaved(Execution& exec, const Projection& projection,
                              int64_t rows);

// y = beta * y + x W^T + LoRA(x).  x [rows, in], y [rows, out]. Fills `saved`.
void ProjectForward(Execution& exec, const Projection& projection,
                    ConstTensorView x, float beta, TensorView y,
                    const ProjectionSaved& saved);

// dx = dy W + LoRA's part (dx undefined: not wanted); adapter gradients are
// added to.
void ProjectBackward(Execution& exec, const Projection& projection,
                     ConstTensorView dy, ConstTensorView x,
                     const ProjectionSaved& saved, TensorView dx);

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_PROJECTION_H_
