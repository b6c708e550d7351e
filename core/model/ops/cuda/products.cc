#include "core/model/ops/cuda/products.h"

#include <algorithm>

#include "core/device/device.h"
#include "kernels/lora/lora_cuda.h"
#include "kernels/matmul/mat_vec_cuda.h"
#include "kernels/matmul/matmul_rope_cuda.h"
#include "kernels/matmul/matmul_swiglu_cuda.h"
#include "kernels/rope/rope_cuda.h"
#include "kernels/swiglu/swiglu_cuda.h"

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
  // Without room, too, rows start at multiples of 16 bytes.
  const int64_t stride =
      room > 0 ? StrideWithRoom(columns, room) : (columns + 7) / 8 * 8;
  return BlockOf(exec.device_arena().Allocate(DType::kBF16, {rows, stride}), 0,
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
  const bool with_sum = add.defined() && c.dtype != DType::kBF16;
  if (tb == Transpose::kYes && !with_sum &&
      kernels::MatVecCudaSupports(a.shape[0], a.shape[1])) {
    kernels::MatVecCuda(exec.ctx, a, {}, b, add, c);
    return;
  }
  kernels::MatMulCuda(exec.ctx, plans_, Transpose::kNo, tb, 1, a, b,
                      add.defined() ? 1.0f : 0.0f, c, workspace(), add);
}

void CudaProducts::Fold(Execution& exec,
                        absl::Span<const Projection> projections) {
  next_blocks_.clear();
  for (const Projection& projection : projections) {
    const LinearWeight& w = *projection.weight;
    for (size_t i = 0; i < projection.lora.size(); ++i) {
      const LoraSlot& slot = projection.lora[i];
      if (!slot.active()) continue;
      const int64_t r = slot.a.shape[0], at = static_cast<int64_t>(i) * r;
      next_blocks_.push_back(kernels::LoraFoldBlockOf(
          slot.a, 1,
          BlockOf(w.folded(), w.out_features() + at, r, 0, w.in_features())));
      next_blocks_.push_back(kernels::LoraFoldBlockOf(
          slot.b, slot.scale,
          BlockOf(w.folded(), slot.out_begin, slot.b.shape[0],
                  w.in_features() + at, r)));
    }
  }
  if (!exec.device->ok()) return;
  if (next_blocks_ != blocks_) {
    blocks_ = next_blocks_;
    const auto count = static_cast<int64_t>(blocks_.size());
    const size_t bytes = kernels::LoraFoldTableBytes(count);
    if (!table_memory_.defined() || table_memory_.bytes() < bytes) {
      absl::StatusOr<Tensor> memory =
          exec.device->Allocate(DType::kU8, {static_cast<int64_t>(bytes)});
      exec.Fail(memory.status());
      if (!memory.ok()) {
        blocks_.clear();
        return;
      }
      table_memory_ = *std::move(memory);
    }
    table_ = kernels::MakeLoraFoldTable(exec.ctx, blocks_.data(), count,
                                        table_memory_.view().data);
  }
  kernels::LoraFoldCuda(exec.ctx, table_);
}

CudaProducts::Operands CudaProducts::OperandsOf(Execution& exec,
                                                const Projection& projection,
                                                TensorView x) {
  const LinearWeight& w = *projection.weight;
  const int64_t room = RoomOf(projection);
  if (room == 0) return {x, w.dense()};
  const int64_t out = w.out_features(), in = w.in_features();
  Multiply(exec, x, Transpose::kYes, BlockOf(w.folded(), out, room, 0, in),
           Behind(x, 0, room));
  return {WithRoom(x, room), BlockOf(w.folded(), 0, out, 0, in + room)};
}

void CudaProducts::Forward(Execution& exec, const Projection& projection,
                           TensorView x, ConstTensorView add, TensorView y) {
  const Operands operands = OperandsOf(exec, projection, x);
  Multiply(exec, operands.x, Transpose::kYes, operands.weight, y, add);
}

void CudaProducts::ForwardSwiglu(Execution& exec, const Projection& projection,
                                 TensorView x, TensorView slopes,
                                 TensorView h) {
  const int64_t rows = h.shape[0], F = h.shape[1];
  if (kernels::MatMulSwigluCudaSuits(rows, F)) {
    const Operands operands = OperandsOf(exec, projection, x);
    if (!exec.device->ok()) return;
    kernels::MatMulSwigluCuda(exec.ctx, operands.x, operands.weight, slopes, h,
                              tiles());
    return;
  }
  ArenaScope scratch(exec.arena);
  const TensorView gate_up =
      slopes.defined() ? slopes : AllocateRows(exec, rows, 2 * F);
  Forward(exec, projection, x, ConstTensorView(), gate_up);
  if (!exec.device->ok()) return;
  kernels::SwigluForwardCuda(exec.ctx, BlockOf(gate_up, 0, rows, 0, F),
                             BlockOf(gate_up, 0, rows, F, F), h, slopes);
}

void CudaProducts::ForwardRotated(Execution& exec, const Projection& projection,
                                  TensorView x, const Rotation& rotation,
                                  TensorView qkv) {
  const int64_t rows = qkv.shape[0], D = 2 * rotation.cos.shape[1];
  if (kernels::MatMulRopeCudaSuits(rows, qkv.shape[1], D)) {
    const Operands operands = OperandsOf(exec, projection, x);
    if (!exec.device->ok()) return;
    kernels::MatMulRopeCuda(exec.ctx, operands.x, operands.weight,
                            rotation.heads, rotation.positions, rotation.cos,
                            rotation.sin, qkv, tiles());
    return;
  }
  Forward(exec, projection, x, ConstTensorView(), qkv);
  if (!exec.device->ok()) return;
  TensorView heads(qkv.data, DType::kBF16, {rows, rotation.heads, D});
  heads.stride[0] = qkv.stride[0];
  kernels::RopeCuda(exec.ctx, heads, rotation.positions, rotation.cos,
                    rotation.sin, /*inverse=*/false);
}

CudaProducts::Operands CudaProducts::GradientOperandsOf(
    Execution& exec, const Projection& projection, TensorView dy) {
  const LinearWeight& w = *projection.weight;
  const int64_t room = RoomOf(projection);
  if (room == 0) return {dy, w.dense()};
  const int64_t out = w.out_features(), in = w.in_features();
  Multiply(exec, dy, Transpose::kNo, BlockOf(w.folded(), 0, out, in, room),
           Behind(dy, 0, room));
  return {WithRoom(dy, room), BlockOf(w.folded(), 0, out + room, 0, in)};
}

void CudaProducts::InputGradient(Execution& exec, const Projection& projection,
                                 TensorView dy, TensorView dx) {
  const Operands operands = GradientOperandsOf(exec, projection, dy);
  if (!dx.defined()) return;
  Multiply(exec, operands.x, Transpose::kNo, operands.weight, dx);
}

void CudaProducts::SwigluGradient(Execution& exec, const Projection& projection,
                                  TensorView dy, TensorView slopes) {
  const int64_t rows = slopes.shape[0], F = slopes.shape[1] / 2;
  if (kernels::MatMulSwigluBackwardCudaSuits(rows, F)) {
    const Operands operands = GradientOperandsOf(exec, projection, dy);
    if (!exec.device->ok()) return;
    kernels::MatMulSwigluBackwardCuda(exec.ctx, operands.x, operands.weight,
                                      slopes, tiles());
    return;
  }
  ArenaScope scratch(exec.arena);
  const TensorView dh = AllocateRows(exec, rows, F);
  InputGradient(exec, projection, dy, dh);
  if (!exec.device->ok()) return;
  kernels::SwigluBackwardCuda(exec.ctx, dh, slopes);
}

void CudaProducts::AdapterGradients(Execution& exec,
                                    const Projection& projection, TensorView dy,
                                    TensorView x) {
  if (!exec.device->ok() || RoomOf(projection) == 0) return;
  // Side by side they read x and dy together.
  kernels::LoraPart parts[kernels::kLoraMostParts];
  int count = 0, first = 0;
  bool adjacent = true;
  for (size_t i = 0; i < projection.lora.size(); ++i) {
    const LoraSlot& slot = projection.lora[i];
    if (!slot.active() || !slot.da.defined()) continue;
    if (count == 0) first = static_cast<int>(i);
    adjacent = adjacent && static_cast<int>(i) == first + count;
    parts[count++] = {slot.out_begin, slot.da, slot.db};
  }
  if (count > 1 && adjacent) {
    const int64_t r = projection.lora[first].a.shape[0];
    ArenaScope scratch(exec.arena);
    const size_t bytes = kernels::LoraGradientsCudaScratchBytes(
        x.shape[1], dy.shape[1], r * count);
    const Workspace sums = exec.device_arena().AllocateWorkspace(bytes);
    if (!exec.device->ok()) return;
    kernels::LoraGradientsCuda(
        exec.ctx, plans_, dy, x, Behind(x, first * r, r * count),
        Behind(dy, first * r, r * count), projection.lora[first].scale, parts,
        count, sums, workspace());
    return;
  }
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
