// Products by cuBLASLt; what a kernel of our own does here is to round the
// adapters' parameters.
#include <cuda_bf16.h>

#include <type_traits>

#include "kernels/common/cuda_check.h"
#include "kernels/common/cuda_matrix.h"
#include "kernels/lora/lora_cuda.h"

namespace caracal::kernels {
namespace {

constexpr int kThreads = 128;
// A row of more columns is several blocks': adapters have few rows.
constexpr int kColumns = 4 * kThreads;

__global__ void Scale(CudaMatrix<const float> from, float scale,
                      CudaMatrix<__nv_bfloat16> to) {
  const int64_t row = blockIdx.x;
  const int64_t begin = static_cast<int64_t>(blockIdx.y) * kColumns;
  const int64_t end = min(begin + kColumns, from.columns);
  for (int64_t c = begin + threadIdx.x; c < end; c += kThreads) {
    to.row(row)[c] = __float2bfloat16_rn(scale * from.row(row)[c]);
  }
}

void WriteBlock(const Context& ctx, ConstTensorView from, float scale,
                TensorView to) {
  const auto source = MatrixOf(from);
  CARACAL_CHECK(to.rank == 2 && to.dtype == DType::kBF16 &&
                (to.stride[1] == 1 || to.shape[1] == 1))
      << "rank " << to.rank << ", " << NameOf(to.dtype);
  CARACAL_CHECK(to.shape[0] == source.rows && to.shape[1] == source.columns)
      << "block [" << to.shape[0] << ", " << to.shape[1] << "], wanted ["
      << source.rows << ", " << source.columns << "]";
  if (from.size() == 0) return;
  const dim3 blocks(
      static_cast<unsigned>(source.rows),
      static_cast<unsigned>((source.columns + kColumns - 1) / kColumns));
  Scale<<<blocks, kThreads, 0, static_cast<cudaStream_t>(ctx.stream)>>>(
      {source.data, source.rows, source.columns, source.stride}, scale,
      {static_cast<__nv_bfloat16*>(to.data), to.shape[0], to.shape[1],
       to.stride[0]});
  CARACAL_CUDA_CHECK_LAUNCH();
}

// Rows [row, row + rows) and columns [column, column + columns).
template <typename View>
View Block(View view, int64_t row, int64_t rows, int64_t column,
           int64_t columns) {
  CARACAL_CHECK(view.rank == 2 && view.dtype == DType::kBF16)
      << "rank " << view.rank << ", " << NameOf(view.dtype);
  using Element = std::conditional_t<
      std::is_const_v<std::remove_pointer_t<decltype(view.data)>>,
      const uint16_t, uint16_t>;
  view.data = static_cast<Element*>(view.data) + row * view.stride[0] + column;
  view.shape[0] = rows;
  view.shape[1] = columns;
  return view;
}

void CheckRank(ConstTensorView a) {
  CARACAL_CHECK(a.rank == 2 && a.shape[0] >= 1 && a.shape[0] <= kLoraMaxRank)
      << "rank " << a.shape[0];
}

}  // namespace

void LoraForwardCuda(const Context& ctx, MatMulCudaPlans& plans,
                     ConstTensorView x, ConstTensorView a, ConstTensorView b,
                     float scale, bool accumulate, TensorView xa, TensorView y,
                     Workspace workspace) {
  CheckRank(a);
  MatMulCuda(ctx, plans, Transpose::kNo, Transpose::kYes, 1, x, a, 0, xa,
             workspace);
  MatMulCuda(ctx, plans, Transpose::kNo, Transpose::kYes, scale, xa, b,
             accumulate ? 1 : 0, y, workspace);
}

void LoraBackwardCuda(const Context& ctx, MatMulCudaPlans& plans,
                      ConstTensorView dy, ConstTensorView x, ConstTensorView xa,
                      ConstTensorView a, ConstTensorView b, float scale,
                      bool accumulate_dx, TensorView dxa, TensorView da,
                      TensorView db, TensorView dx, Workspace workspace) {
  CheckRank(a);
  MatMulCuda(ctx, plans, Transpose::kNo, Transpose::kNo, scale, dy, b, 0, dxa,
             workspace);
  LoraGradientsCuda(ctx, plans, dy, x, xa, dxa, scale, da, db, workspace);
  if (!dx.defined()) return;
  MatMulCuda(ctx, plans, Transpose::kNo, Transpose::kNo, 1, dxa, a,
             accumulate_dx ? 1 : 0, dx, workspace);
}

void LoraGradientsCuda(const Context& ctx, MatMulCudaPlans& plans,
                       ConstTensorView dy, ConstTensorView x,
                       ConstTensorView xa, ConstTensorView dxa, float scale,
                       TensorView da, TensorView db, Workspace workspace) {
  if (x.shape[0] == 0) return;  // sums over no rows
  MatMulCuda(ctx, plans, Transpose::kYes, Transpose::kNo, scale, dy, xa, 1, db,
             workspace);
  MatMulCuda(ctx, plans, Transpose::kYes, Transpose::kNo, 1, dxa, x, 1, da,
             workspace);
}

void LoraFoldCuda(const Context& ctx, ConstTensorView a, ConstTensorView b,
                  float scale, TensorView a_block, TensorView b_block) {
  WriteBlock(ctx, a, 1, a_block);
  WriteBlock(ctx, b, scale, b_block);
}

void LoraFoldedForwardCuda(const Context& ctx, MatMulCudaPlans& plans,
                           TensorView x, ConstTensorView weight, int64_t rank,
                           TensorView y, Workspace workspace) {
  const int64_t rows = x.shape[0], in = x.shape[1] - rank;
  const int64_t out = weight.shape[0] - rank;
  MatMulCuda(ctx, plans, Transpose::kNo, Transpose::kYes, 1,
             Block(x, 0, rows, 0, in), Block(weight, out, rank, 0, in), 0,
             Block(x, 0, rows, in, rank), workspace);
  MatMulCuda(ctx, plans, Transpose::kNo, Transpose::kYes, 1, x,
             Block(weight, 0, out, 0, in + rank), 0, y, workspace);
}

void LoraFoldedBackwardCuda(const Context& ctx, MatMulCudaPlans& plans,
                            TensorView dy, ConstTensorView weight, int64_t rank,
                            bool accumulate_dx, TensorView dx,
                            Workspace workspace) {
  const int64_t rows = dy.shape[0], out = dy.shape[1] - rank;
  const int64_t in = weight.shape[1] - rank;
  MatMulCuda(ctx, plans, Transpose::kNo, Transpose::kNo, 1,
             Block(dy, 0, rows, 0, out), Block(weight, 0, out, in, rank), 0,
             Block(dy, 0, rows, out, rank), workspace);
  MatMulCuda(ctx, plans, Transpose::kNo, Transpose::kNo, 1, dy,
             Block(weight, 0, out + rank, 0, in), accumulate_dx ? 1 : 0, dx,
             workspace);
}

}  // namespace caracal::kernels
