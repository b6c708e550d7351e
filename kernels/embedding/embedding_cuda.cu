// A thread copies kPacks packs of eight elements of a row.
#include "kernels/common/cuda_check.h"
#include "kernels/common/cuda_matrix.h"
#include "kernels/common/cuda_pack.h"
#include "kernels/embedding/embedding_cuda.h"

namespace caracal::kernels {
namespace {

using cuda::bf16;
using cuda::LoadPack;
using cuda::Pack;
using cuda::StorePack;

constexpr int kThreads = 128;
constexpr int kPacks = 4;

template <typename T>
struct Args {
  const int32_t* ids;
  int64_t vocab_begin;
  CudaMatrix<const T> table;
  CudaMatrix<bf16> out;
};

// Elements [8 at, 8 at + 8) of a row as bf16.
__device__ __forceinline__ uint4 Read(const bf16* row, int64_t at) {
  return LoadPack(row, at);
}
__device__ __forceinline__ uint4 Read(const float* row, int64_t at) {
  float x[8];
  cuda::LoadParameters(row, at, x);
  return Pack<bf16>(x);
}

// Row blockIdx.x, packs from blockIdx.y on.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    Gather(const __grid_constant__ Args<T> a) {
  const int64_t packs = a.out.columns / 8;
  const int64_t row = a.ids[blockIdx.x] - a.vocab_begin;
  const bool here = row >= 0 && row < a.table.rows;
  uint4 x[kPacks];
#pragma unroll
  for (int i = 0; i < kPacks; ++i) {
    const int64_t at =
        (int64_t{blockIdx.y} * kPacks + i) * kThreads + threadIdx.x;
    x[i] = {};
    if (here && at < packs) x[i] = Read(a.table.row(row), at);
  }
#pragma unroll
  for (int i = 0; i < kPacks; ++i) {
    const int64_t at =
        (int64_t{blockIdx.y} * kPacks + i) * kThreads + threadIdx.x;
    if (at < packs) StorePack(a.out.row(blockIdx.x), at, x[i]);
  }
}

__global__ void __launch_bounds__(kThreads)
    Scatter(const int32_t* ids, CudaMatrix<const bf16> x,
            CudaMatrix<bf16> out) {
  const bf16* const from = x.row(blockIdx.x);
  bf16* const to = out.row(ids[blockIdx.x]);
  for (int64_t at = threadIdx.x; at < x.columns / 8; at += kThreads) {
    StorePack(to, at, LoadPack(from, at));
  }
}

template <typename T>
void Launch(const Context& ctx, ConstTensorView ids, ConstTensorView table,
            int64_t vocab_begin, TensorView out) {
  Args<T> a;
  a.table = CudaMatrixOf<T>(table);
  a.out = CudaMatrixOf<bf16>(out);
  CARACAL_CHECK_EQ(a.out.columns, a.table.columns);
  CARACAL_CHECK(a.out.columns % 8 == 0)
      << a.out.columns << " columns, wanted a multiple of 8";
  a.ids = VectorOf<int32_t>(ids, a.out.rows);
  a.vocab_begin = vocab_begin;
  if (out.size() == 0) return;
  constexpr int64_t kColumns = 8 * kPacks * kThreads;
  const dim3 grid(
      static_cast<unsigned>(a.out.rows),
      static_cast<unsigned>((a.out.columns + kColumns - 1) / kColumns));
  Gather<T><<<grid, kThreads, 0, static_cast<cudaStream_t>(ctx.stream)>>>(a);
  CARACAL_CUDA_CHECK_LAUNCH();
}

}  // namespace

void EmbeddingForwardCuda(const Context& ctx, ConstTensorView ids,
                          ConstTensorView table, int64_t vocab_begin,
                          TensorView out) {
  if (table.dtype == DType::kBF16) {
    Launch<bf16>(ctx, ids, table, vocab_begin, out);
  } else {
    Launch<float>(ctx, ids, table, vocab_begin, out);
  }
}

void ScatterRowsCuda(const Context& ctx, ConstTensorView ids, ConstTensorView x,
                     TensorView out) {
  const auto from = CudaMatrixOf<bf16>(x);
  const auto to = CudaMatrixOf<bf16>(out);
  CARACAL_CHECK_EQ(from.columns, to.columns);
  CARACAL_CHECK(from.columns % 8 == 0)
      << from.columns << " columns, wanted a multiple of 8";
  const int32_t* rows = VectorOf<int32_t>(ids, from.rows);
  if (x.size() == 0) return;
  Scatter<<<static_cast<unsigned>(from.rows), kThreads, 0,
            static_cast<cudaStream_t>(ctx.stream)>>>(rows, from, to);
  CARACAL_CUDA_CHECK_LAUNCH();
}

}  // namespace caracal::kernels
