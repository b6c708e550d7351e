// Products by cuBLASLt; what a kernel of our own does here is to round the
// adapters' parameters.
#include <cuda_bf16.h>

#include <algorithm>
#include <type_traits>
#include <vector>

#include "kernels/common/cuda_check.h"
#include "kernels/common/cuda_matrix.h"
#include "kernels/common/cuda_upload.h"
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

// A block of a launch takes so many elements of a fold's blocks.
constexpr int kPiece = 16 * kThreads;

struct FoldEntry {
  LoraFoldBlock block;
  int64_t first_piece;
};

__global__ void __launch_bounds__(kThreads)
    Fold(const FoldEntry* entries, int count) {
  int low = 0, high = count - 1;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (entries[middle].first_piece <= blockIdx.x) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  const LoraFoldBlock b = entries[low].block;
  const int64_t begin = (blockIdx.x - entries[low].first_piece) * kPiece;
  const int64_t end = min(begin + kPiece, b.rows * b.columns);
  auto* const to = reinterpret_cast<__nv_bfloat16*>(b.to);
  const auto columns = static_cast<unsigned>(b.columns);
  for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
    const unsigned row = static_cast<unsigned>(i) / columns;
    const unsigned column = static_cast<unsigned>(i) % columns;
    to[row * b.to_stride + column] =
        __float2bfloat16_rn(b.scale * b.from[row * b.from_stride + column]);
  }
}

// What a product of all adapters made goes to each one's gradient: of da_all
// [n r, in] its rows, of db_all [out, n r] its block.
struct Spread {
  const float *da_all, *db_all;
  int64_t in, rank, ranks;
  int count;
  struct Part {
    int64_t out_begin, out;
    float *da, *db;
  } parts[kLoraMostParts];
};

__global__ void __launch_bounds__(kThreads)
    AddSpread(const __grid_constant__ Spread s) {
  const Spread::Part& part = s.parts[blockIdx.y];
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const int64_t a = s.rank * s.in;
  if (i < a) {
    part.da[i] += s.da_all[blockIdx.y * a + i];
    return;
  }
  const int64_t j = i - a;
  if (j >= part.out * s.rank) return;
  const int64_t row = j / s.rank, column = j % s.rank;
  part.db[j] +=
      s.db_all[(part.out_begin + row) * s.ranks + blockIdx.y * s.rank + column];
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

LoraFoldBlock LoraFoldBlockOf(ConstTensorView from, float scale,
                              TensorView to) {
  const auto source = MatrixOf(from);
  CARACAL_CHECK(to.rank == 2 && to.dtype == DType::kBF16 &&
                to.shape[0] == source.rows && to.shape[1] == source.columns)
      << "block [" << to.shape[0] << ", " << to.shape[1] << "], wanted bf16 ["
      << source.rows << ", " << source.columns << "]";
  CARACAL_CHECK(from.size() < int64_t{1} << 31) << from.size();
  return {source.data,  source.stride, static_cast<uint16_t*>(to.data),
          to.stride[0], source.rows,   source.columns,
          scale};
}

size_t LoraFoldTableBytes(int64_t blocks) { return blocks * sizeof(FoldEntry); }

LoraFoldTable MakeLoraFoldTable(const Context& ctx, const LoraFoldBlock* blocks,
                                int64_t count, void* memory) {
  LoraFoldTable table = {memory, count, 0};
  std::vector<FoldEntry> entries(count);
  for (int64_t i = 0; i < count; ++i) {
    const LoraFoldBlock& b = blocks[i];
    entries[i] = {b, table.pieces};
    table.pieces += (b.rows * b.columns + kPiece - 1) / kPiece;
  }
  CudaUpload(entries.data(), LoraFoldTableBytes(count), memory,
             static_cast<cudaStream_t>(ctx.stream));
  return table;
}

void LoraFoldCuda(const Context& ctx, const LoraFoldTable& table) {
  if (table.pieces == 0) return;
  Fold<<<static_cast<unsigned>(table.pieces), kThreads, 0,
         static_cast<cudaStream_t>(ctx.stream)>>>(
      static_cast<const FoldEntry*>(table.data),
      static_cast<int>(table.blocks));
  CARACAL_CUDA_CHECK_LAUNCH();
}

size_t LoraGradientsCudaScratchBytes(int64_t in, int64_t out, int64_t ranks) {
  return (in + out) * ranks * sizeof(float);
}

void LoraGradientsCuda(const Context& ctx, MatMulCudaPlans& plans,
                       ConstTensorView dy, ConstTensorView x,
                       ConstTensorView xa, ConstTensorView dxa, float scale,
                       const LoraPart* parts, int count, Workspace scratch,
                       Workspace workspace) {
  if (x.shape[0] == 0) return;  // sums over no rows
  const int64_t in = x.shape[1], out = dy.shape[1], ranks = xa.shape[1];
  CARACAL_CHECK(count >= 1 && count <= kLoraMostParts && ranks % count == 0)
      << count << " adapters of " << ranks << " ranks";
  CARACAL_CHECK(scratch.bytes >= LoraGradientsCudaScratchBytes(in, out, ranks))
      << scratch.bytes;
  auto* const da_all = static_cast<float*>(scratch.data);
  auto* const db_all = da_all + ranks * in;
  MatMulCuda(ctx, plans, Transpose::kYes, Transpose::kNo, scale, dy, xa, 0,
             TensorView(db_all, {out, ranks}), workspace);
  MatMulCuda(ctx, plans, Transpose::kYes, Transpose::kNo, 1, dxa, x, 0,
             TensorView(da_all, {ranks, in}), workspace);
  Spread s = {da_all, db_all, in, ranks / count, ranks, count, {}};
  int64_t most = 0;
  for (int i = 0; i < count; ++i) {
    const LoraPart& part = parts[i];
    CARACAL_CHECK(part.da.contiguous() && part.db.contiguous() &&
                  part.da.shape[0] == s.rank && part.da.shape[1] == in &&
                  part.db.shape[1] == s.rank &&
                  part.out_begin + part.db.shape[0] <= out)
        << "adapter " << i;
    s.parts[i] = {part.out_begin, part.db.shape[0], part.da.f32(),
                  part.db.f32()};
    most = std::max(most, s.rank * in + part.db.size());
  }
  const dim3 grid(static_cast<unsigned>((most + kThreads - 1) / kThreads),
                  static_cast<unsigned>(count));
  AddSpread<<<grid, kThreads, 0, static_cast<cudaStream_t>(ctx.stream)>>>(s);
  CARACAL_CUDA_CHECK_LAUNCH();
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
