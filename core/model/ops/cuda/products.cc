#include "core/model/ops/cuda/products.h"

#include <algorithm>

#include "core/device/device.h"
#include "kernels/lora/lora_cuda.h"

namespace caracal {
namespace {

using kernels::Transpose;

// The columns behind a matrix's own.
TensorView Behind(TensorView x, int64_t begin, int64_t columns) {
  return BlockOf(x, 0, x.shape[0], x.shape[1] + begin, columns);
}
TensorView WithRoom(TensorView x, int64_t room) {
  return BlockOf(x, 0, x.shape[0], 0, x.shape[1] + room);
}

}  // namespace

TensorView BlockOf(TensorView matrix, int64_t row, int64_t rows, int64_t column,
                   int64_t columns) {
  CARACAL_CHECK(matrix.rank == 2 && matrix.dtype == DType::kBF16)
      << matrix.rank << ", " << NameOf(matrix.dtype);
  matrix.data =
      static_cast<uint16_t*>(matrix.data) + row * matrix.stride[0] + column;
  matrix.shape[0] = rows;
  matrix.shape[1] = columns;
  return matrix;
}

TensorView AllocateRows(Execution& exec, int64_t rows, int64_t columns,
                        int64_t room) {
  // Rows start at multiples of 16 bytes.
  const int64_t stride = (columns + room + 7) / 8 * 8;
  return BlockOf(exec.device->arena().Allocate(DType::kBF16, {rows, stride}), 0,
                 rows, 0, columns);
}

int64_t CudaProducts::RoomOf(const Projection& projection) {
  const bool any =
      std::any_of(projection.lora.begin(), projection.lora.end(),
                  [](const LoraSlot& slot) { return slot.active(); });
  return any ? projection.weight->room() : 0;
}

void CudaProducts::Multiply(Execution& exec, ConstTensorView a, Transpose tb,
                            ConstTensorView b, TensorView c,
                            ConstTensorView add) {
  if (!exec.device->ok()) return;
  kernels::MatMulCuda(exec.ctx, plans_, Transpose::kNo, tb, 1, a, b,
                      add.defined() ? 1.0f : 0.0f, c, workspace(), add);
}

void CudaProducts::Fold(Execution& exec, const Projection& projection) {
  if (!exec.device->ok()) return;
  const LinearWeight& w = *projection.weight;
  for (size_t i = 0; i < projection.lora.size(); ++i) {
    const LoraSlot& slot = projection.lora[i];
    if (!slot.active()) continue;
    const int64_t r = slot.a.shape[0], at = static_cast<int64_t>(i) * r;
    kernels::LoraFoldCuda(
        exec.ctx, slot.a, slot.b, slot.scale,
        BlockOf(w.folded(), w.out_features() + at, r, 0, w.in_features()),
        BlockOf(w.folded(), slot.out_begin, slot.b.shape[0],
                w.in_features() + at, r));
  }
}

void CudaProducts::Forward(Execution& exec, const Projection& projection,
                           TensorView x, ConstTensorView add, TensorView y) {
  const LinearWeight& w = *projection.weight;
  const int64_t room = RoomOf(projection);
  if (room == 0) {
    Multiply(exec, x, Transpose::kYes, w.dense(), y, add);
    return;
  }
  const int64_t out = w.out_features(), in = w.in_features();
  Fold(exec, projection);
  Multiply(exec, x, Transpose::kYes, BlockOf(w.folded(), out, room, 0, in),
           Behind(x, 0, room));
  Multiply(exec, WithRoom(x, room), Transpose::kYes,
           BlockOf(w.folded(), 0, out, 0, in + room), y, add);
}

void CudaProducts::Backward(Execution& exec, const Projection& projection,
                            TensorView dy, TensorView x, TensorView dx) {
  const LinearWeight& w = *projection.weight;
  const int64_t room = RoomOf(projection);
  if (room == 0) {
    if (dx.defined()) Multiply(exec, dy, Transpose::kNo, w.dense(), dx);
    return;
  }
  const int64_t out = w.out_features(), in = w.in_features();
  Multiply(exec, dy, Transpose::kNo, BlockOf(w.folded(), 0, out, in, room),
           Behind(dy, 0, room));
  if (dx.defined()) {
    Multiply(exec, WithRoom(dy, room), Transpose::kNo,
             BlockOf(w.folded(), 0, out + room, 0, in), dx);
  }
  if (!exec.device->ok()) return;
  for (size_t i = 0; i < projection.lora.size(); ++i) {
    const LoraSlot& slot = projection.lora[i];
    if (!slot.active() || !slot.da.defined()) continue;
    const int64_t r = slot.a.shape[0], at = static_cast<int64_t>(i) * r;
    kernels::LoraGradientsCuda(
        exec.ctx, plans_,
        BlockOf(dy, 0, dy.shape[0], slot.out_begin, slot.b.shape[0]), x,
        Behind(x, at, r), Behind(dy, at, r), slot.scale, slot.da, slot.db,
        workspace());
  }
}

}  // namespace caracal
