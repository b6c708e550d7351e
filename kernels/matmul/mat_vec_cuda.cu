// A warp takes some rows of the weights and reads them once, 16 bytes a lane at
// a time; every block holds x in shared memory. The first loads are on their
// way before x is looked at.
#include <algorithm>
#include <type_traits>

#include "kernels/common/cuda_check.h"
#include "kernels/common/cuda_early_launch.h"
#include "kernels/common/cuda_matrix.h"
#include "kernels/common/cuda_pack.h"
#include "kernels/matmul/mat_vec_cuda.h"

namespace caracal::kernels {
namespace {

using cuda::bf16;
using cuda::Unpack;

constexpr int kThreads = 256, kWarps = kThreads / 32;
constexpr int kLoads = 8;  // of 16 bytes, of a lane's chunk
// Outputs from which on a warp takes four rows rather than two.
constexpr int64_t kMany = 16384;

template <typename Out>
struct Args {
  CudaMatrix<const bf16> x, weight, add;
  CudaMatrix<Out> y;
  const float* norm = nullptr;
  float eps = 0;
  int packs = 0;  // of a row of x
  int64_t outputs = 0;
};

// x into shared memory [rows, packs], through the norm if there is one.
template <int kRows, typename Out>
__device__ __forceinline__ void LoadX(const Args<Out>& a, uint4* x) {
  __shared__ float shared[kWarps];
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const bf16* const row = a.x.row(r);
    uint4* const to = x + r * a.packs;
    float sum = 0;
    for (int i = threadIdx.x; i < a.packs; i += kThreads) {
      to[i] = cuda::LoadPack(row, i);
      if (a.norm == nullptr) continue;
      float v[8];
      Unpack<bf16>(to[i], v);
#pragma unroll
      for (int j = 0; j < 8; ++j) sum += v[j] * v[j];
    }
    if (a.norm == nullptr) continue;
    sum = cuda::BlockTotal<kThreads>(sum, shared);
    const float inv = 1.0f / sqrtf(sum / (8.0f * a.packs) + a.eps);
    for (int i = threadIdx.x; i < a.packs; i += kThreads) {
      float v[8], w[8];
      Unpack<bf16>(to[i], v);
      cuda::LoadParameters(a.norm, i, w);
#pragma unroll
      for (int j = 0; j < 8; ++j) v[j] *= inv * w[j];
      to[i] = cuda::Pack<bf16>(v);
    }
  }
  __syncthreads();
}

// What a warp reads at a time: rows of `group` from pack `begin` on.
struct Chunk {
  int64_t group;
  int begin;
};

// kTake rows of the weights a warp; with kSwiglu half of them are the gate's
// and the others up's. A block goes through groups of rows that lie a grid
// apart; while it multiplies a chunk, the next one is on its way.
template <int kRows, int kTake, bool kSwiglu, typename Out>
__global__ void __launch_bounds__(kThreads, 2)
    Product(const __grid_constant__ Args<Out> a) {
  extern __shared__ __align__(16) uint4 x[];
  constexpr int kPacks = kLoads / kTake, kOut = kSwiglu ? kTake / 2 : kTake;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const auto first = [&](int64_t group) {
    return (group * kWarps + warp) * kOut;
  };
  const auto load = [&](const Chunk& chunk, uint4(&w)[kTake][kPacks]) {
#pragma unroll
    for (int r = 0; r < kTake; ++r) {
      // Past the end: the last row again.
      const int64_t at = min(first(chunk.group) + r % kOut, a.outputs - 1);
      const uint4* const row = reinterpret_cast<const uint4*>(
          a.weight.row(kSwiglu && r >= kOut ? at + a.outputs : at));
#pragma unroll
      for (int i = 0; i < kPacks; ++i) {
        const int pack = chunk.begin + i * 32 + lane;
        if (pack < a.packs) w[r][i] = __ldcs(row + pack);
      }
    }
  };
  float sum[kRows][kTake] = {};
  const auto multiply = [&](int begin, const uint4(&w)[kTake][kPacks]) {
#pragma unroll
    for (int i = 0; i < kPacks; ++i) {
      const int at = begin + i * 32 + lane;
      if (at >= a.packs) continue;
#pragma unroll
      for (int b = 0; b < kRows; ++b) {
        float v[8];
        Unpack<bf16>(x[b * a.packs + at], v);
#pragma unroll
        for (int r = 0; r < kTake; ++r) {
          float u[8];
          Unpack<bf16>(w[r][i], u);
#pragma unroll
          for (int j = 0; j < 8; ++j) sum[b][r] += u[j] * v[j];
        }
      }
    }
  };
  const auto finish = [&](int64_t group) {
#pragma unroll
    for (int b = 0; b < kRows; ++b) {
#pragma unroll
      for (int r = 0; r < kTake; ++r) sum[b][r] = cuda::WarpTotal(sum[b][r]);
#pragma unroll
      for (int r = 0; r < kOut; ++r) {
        const int64_t n = first(group) + r;
        if (lane != 0 || n >= a.outputs) continue;
        float total = sum[b][r];
        if constexpr (kSwiglu) {
          total = total / (1.0f + expf(-total)) * sum[b][r + kOut];
        } else if (a.add.data != nullptr) {
          total += __bfloat162float(a.add.row(b)[n]);
        }
        a.y.row(b)[n] = cuda::FromFloat<Out>(total);
      }
#pragma unroll
      for (int r = 0; r < kTake; ++r) sum[b][r] = 0;
    }
  };
  const int64_t groups = (a.outputs + kWarps * kOut - 1) / (kWarps * kOut);
  const auto after = [&](const Chunk& chunk) {
    Chunk next = {chunk.group, chunk.begin + 32 * kPacks};
    if (next.begin >= a.packs) next = {chunk.group + gridDim.x, 0};
    return next;
  };

  uint4 even[kTake][kPacks], odd[kTake][kPacks];
  Chunk now = {blockIdx.x, 0};
  load(now, even);
  Chunk next = after(now);
  if (next.group < groups) load(next, odd);
  cuda::AwaitEarlier();
  LoadX<kRows, Out>(a, x);
  // On entry `even` holds chunk `now` and `odd`, if there is one, `next`.
  while (true) {
    multiply(now.begin, even);
    if (next.begin == 0) finish(now.group);
    if (next.group >= groups) break;
    now = next;
    next = after(now);
    if (next.group < groups) load(next, even);
    multiply(now.begin, odd);
    if (next.begin == 0) finish(now.group);
    if (next.group >= groups) break;
    now = next;
    next = after(now);
    if (next.group < groups) load(next, odd);
  }
}

size_t SharedBytes(int64_t rows, int64_t columns) {
  return rows * columns * sizeof(bf16);
}

template <int kRows, int kTake, bool kSwiglu, typename Out>
void Launch(const Context& ctx, const Args<Out>& a) {
  const auto kernel = Product<kRows, kTake, kSwiglu, Out>;
  const size_t bytes = SharedBytes(kRows, 8 * int64_t{a.packs});
  CARACAL_LAUNCHER_CHECK(cudaFuncSetAttribute(
      kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  constexpr int kOut = kWarps * (kSwiglu ? kTake / 2 : kTake);
  int blocks = 0;
  CARACAL_LAUNCHER_CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(
      &blocks, kernel, kThreads, bytes));
  const auto grid = static_cast<unsigned>(std::min<int64_t>(
      (a.outputs + kOut - 1) / kOut,
      int64_t{cuda::Multiprocessors()} * std::max(blocks, 1)));
  cuda::LaunchEarly(kernel, dim3(grid), dim3(kThreads), bytes,
                    static_cast<cudaStream_t>(ctx.stream), a);
}

template <bool kSwiglu, typename Out>
void Run(const Context& ctx, ConstTensorView x, const MatVecNorm& norm,
         ConstTensorView weight, ConstTensorView add, TensorView y) {
  Args<Out> a;
  a.x = CudaMatrixOf<bf16>(x);
  a.weight = CudaMatrixOf<bf16>(weight);
  CARACAL_CHECK(a.x.columns == a.weight.columns && a.x.columns % 8 == 0 &&
                a.x.columns > 0)
      << a.x.columns << " columns of x, " << a.weight.columns
      << " of the weights";
  CARACAL_CHECK(!kSwiglu || a.weight.rows % 2 == 0);
  a.packs = static_cast<int>(a.x.columns / 8);
  a.outputs = kSwiglu ? a.weight.rows / 2 : a.weight.rows;
  a.y = CudaMatrixOf<Out>(y, a.x.rows, a.outputs);
  if (add.defined()) a.add = CudaMatrixOf<bf16>(add, a.x.rows, a.outputs);
  if (norm.weight.defined()) {
    CARACAL_CHECK(norm.weight.contiguous());
    CARACAL_CHECK_EQ(norm.weight.size(), a.x.columns);
    a.norm = norm.weight.f32();
    a.eps = norm.eps;
  }
  if (a.x.rows == 0 || a.outputs == 0) return;
  const auto launch = [&](auto rows) {
    a.outputs >= kMany ? Launch<rows(), 4, kSwiglu, Out>(ctx, a)
                       : Launch<rows(), 2, kSwiglu, Out>(ctx, a);
  };
  switch (a.x.rows) {
    case 1:
      return launch(std::integral_constant<int, 1>());
    case 2:
      return launch(std::integral_constant<int, 2>());
    case 3:
      return launch(std::integral_constant<int, 3>());
    case 4:
      return launch(std::integral_constant<int, 4>());
    default:
      CARACAL_CHECK(false) << a.x.rows << " rows, at most " << kMatVecMostRows;
  }
}

}  // namespace

bool MatVecCudaSupports(int64_t rows, int64_t columns) {
  // Beside x a block has the sums of its warps.
  constexpr size_t kBeside = 1024;
  return rows <= kMatVecMostRows && columns % 8 == 0 &&
         SharedBytes(rows, columns) + kBeside <= cuda::MostSharedBytes();
}

void MatVecCuda(const Context& ctx, ConstTensorView x, const MatVecNorm& norm,
                ConstTensorView weight, ConstTensorView add, TensorView y) {
  if (y.dtype == DType::kF32) {
    CARACAL_CHECK(!add.defined()) << "fp32 outputs have nothing added";
    Run<false, float>(ctx, x, norm, weight, add, y);
  } else {
    Run<false, bf16>(ctx, x, norm, weight, add, y);
  }
}

void MatVecSwigluCuda(const Context& ctx, ConstTensorView x,
                      const MatVecNorm& norm, ConstTensorView weight,
                      TensorView y) {
  Run<true, bf16>(ctx, x, norm, weight, {}, y);
}

}  // namespace caracal::kernels
