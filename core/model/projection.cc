#include "core/model/projection.h"

#include "kernels/lora/lora.h"
#include "kernels/matmul/matmul.h"

namespace caracal {
namespace {

// Columns [begin, begin + count) of a rank-2 view.
template <typename View>
View Columns(View view, int64_t begin, int64_t count) {
  view.data = view.f32() + begin;
  view.shape[1] = count;
  return view;
}

}  // namespace

ProjectionSaved AllocateSaved(Execution& exec, const Projection& projection,
                              int64_t rows) {
  ProjectionSaved saved;
  for (size_t i = 0; i < projection.lora.size(); ++i) {
    const LoraSlot& slot = projection.lora[i];
    if (!slot.active()) continue;
    saved.xa[i] = exec.arena->AllocateF32({rows, slot.a.shape[0]});
  }
  return saved;
}

void ProjectForward(Execution& exec, const Projection& projection,
                    ConstTensorView x, float beta, TensorView y,
                    const ProjectionSaved& saved) {
  projection.weight->MultiplyTransposed(exec, x, beta, y);
  for (size_t i = 0; i < projection.lora.size(); ++i) {
    const LoraSlot& slot = projection.lora[i];
    if (!slot.active()) continue;
    kernels::LoraForward(exec.ctx, x, slot.a, slot.b, slot.scale, saved.xa[i],
                         Columns(y, slot.out_begin, slot.b.shape[0]));
  }
}

void ProjectBackward(Execution& exec, const Projection& projection,
                     ConstTensorView dy, ConstTensorView x,
                     const ProjectionSaved& saved, TensorView dx) {
  if (dx.defined()) {
    kernels::MatMul(exec.ctx, kernels::Transpose::kNo, kernels::Transpose::kNo,
                    1.0f, dy, projection.weight->dense(), 0.0f, dx);
  }
  for (size_t i = 0; i < projection.lora.size(); ++i) {
    const LoraSlot& slot = projection.lora[i];
    if (!slot.active()) continue;
    ArenaScope scope(exec.arena);
    const TensorView dxa =
        exec.arena->AllocateF32({x.shape[0], slot.a.shape[0]});
    kernels::LoraBackward(
        exec.ctx, Columns(dy, slot.out_begin, slot.b.shape[0]), x, saved.xa[i],
        slot.a, slot.b, slot.scale, dxa, slot.da, slot.db, dx);
  }
}

}  // namespace caracal
