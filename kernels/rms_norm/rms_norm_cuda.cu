// A row stays in registers between the sum over it and its use: each tensor
// is read and written once. Up to 1024 columns a warp takes a row, beyond a
// block does.
#include <algorithm>
#include <type_traits>

#include "kernels/common/cuda_check.h"
#include "kernels/common/cuda_early_launch.h"
#include "kernels/common/cuda_matrix.h"
#include "kernels/common/cuda_pack.h"
#include "kernels/rms_norm/rms_norm_cuda.h"

namespace caracal::kernels {
namespace {

using cuda::bf16;
using cuda::BlockTotal;
using cuda::LoadPack;
using cuda::LoadParameters;
using cuda::Pack;
using cuda::StorePack;
using cuda::Unpack;

// Packs of 8 elements of a row that a thread keeps, when so many threads take
// it: the more threads, the less each has to do after the sum is known.
constexpr int PacksOf(int threads) { return threads == 32 ? 4 : 2; }
// Threads of a block when a warp takes a row.
constexpr int kNarrowThreads = 128;
// Partial sums of dweight, of a block or warp each: as many on every chip.
constexpr int64_t kWideParts = 528;
constexpr int64_t kNarrowParts = 2112;
constexpr int kReduceWarps = 32;

struct Args {
  int64_t rows;
  int packs;   // of a row
  float mean;  // 1 / C
  float eps;
  const float* weight;
  CudaMatrix<const bf16> x, delta, dy;
  CudaMatrix<const bf16> more;  // of delta or dy
  CudaMatrix<bf16> sum, y, dx;
  float* inv_rms;
  bool accumulate_dx;
  float* parts;  // [parts, C]
};

// kThreads take a row, threadIdx.x of them; threadIdx.y is the row in the
// block. kAdd: summands, delta and more.
template <int kThreads, int kAdd>
__global__ void __launch_bounds__(kThreads == 32 ? kNarrowThreads : kThreads)
    Forward(const __grid_constant__ Args a) {
  constexpr int kPacks = PacksOf(kThreads);
  __shared__ float shared[kThreads / 32];
  const int64_t row = int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  cuda::AwaitEarlier();
  if (row >= a.rows) return;
  uint4 x[kPacks], delta[kAdd > 0 ? kPacks : 1], more[kAdd > 1 ? kPacks : 1];
#pragma unroll
  for (int i = 0; i < kPacks; ++i) {
    const int at = threadIdx.x + i * kThreads;
    if (at < a.packs) {
      x[i] = LoadPack(a.x.row(row), at);
      if constexpr (kAdd > 0) delta[i] = LoadPack(a.delta.row(row), at);
      if constexpr (kAdd > 1) more[i] = LoadPack(a.more.row(row), at);
    }
  }
  float sum = 0;
#pragma unroll
  for (int i = 0; i < kPacks; ++i) {
    const int at = threadIdx.x + i * kThreads;
    if (at >= a.packs) continue;
    float v[8];
    Unpack<bf16>(x[i], v);
    if constexpr (kAdd > 0) {
      float d[8], m[8] = {};
      Unpack<bf16>(delta[i], d);
      if constexpr (kAdd > 1) Unpack<bf16>(more[i], m);
#pragma unroll
      for (int j = 0; j < 8; ++j) v[j] += d[j] + m[j];
      x[i] = Pack<bf16>(v);
      StorePack(a.sum.row(row), at, x[i]);
      Unpack<bf16>(x[i], v);
    }
#pragma unroll
    for (int j = 0; j < 8; ++j) sum += v[j] * v[j];
  }
  sum = BlockTotal<kThreads>(sum, shared);
  const float inv = 1.0f / sqrtf(sum * a.mean + a.eps);
  if (threadIdx.x == 0 && a.inv_rms != nullptr) a.inv_rms[row] = inv;
#pragma unroll
  for (int i = 0; i < kPacks; ++i) {
    const int at = threadIdx.x + i * kThreads;
    if (at >= a.packs) continue;
    float v[8], w[8];
    Unpack<bf16>(x[i], v);
    LoadParameters(a.weight, at, w);
#pragma unroll
    for (int j = 0; j < 8; ++j) v[j] *= inv * w[j];
    StorePack(a.y.row(row), at, Pack<bf16>(v));
  }
}

// With kWeight a block goes through rows that lie a grid apart, and leaves
// the sum of its dweight; without, it takes one.
template <int kThreads, bool kWeight, bool kMore>
__global__ void __launch_bounds__(kThreads == 32 ? kNarrowThreads : kThreads)
    Backward(const __grid_constant__ Args a) {
  constexpr int kPacks = PacksOf(kThreads);
  __shared__ float shared[kThreads / 32];
  const int64_t first = int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  const int64_t step = int64_t{gridDim.x} * blockDim.y;
  float dweight[kWeight ? kPacks : 1][8] = {};
  for (int64_t row = first; row < a.rows; row += step) {
    uint4 x[kPacks], dy[kPacks], dx[kPacks], more[kMore ? kPacks : 1];
    const auto cotangent = [&](int i, float(&d)[8]) {
      Unpack<bf16>(dy[i], d);
      if constexpr (kMore) {
        float m[8];
        Unpack<bf16>(more[i], m);
#pragma unroll
        for (int j = 0; j < 8; ++j) d[j] += m[j];
      }
    };
#pragma unroll
    for (int i = 0; i < kPacks; ++i) {
      const int at = threadIdx.x + i * kThreads;
      if (at < a.packs) {
        x[i] = LoadPack(a.x.row(row), at);
        dy[i] = LoadPack(a.dy.row(row), at);
        if constexpr (kMore) more[i] = LoadPack(a.more.row(row), at);
        if (a.accumulate_dx) dx[i] = LoadPack(a.dx.row(row), at);
      }
    }
    const float inv = a.inv_rms[row];
    float dot = 0;
#pragma unroll
    for (int i = 0; i < kPacks; ++i) {
      const int at = threadIdx.x + i * kThreads;
      if (at >= a.packs) continue;
      float v[8], d[8], w[8];
      Unpack<bf16>(x[i], v);
      cotangent(i, d);
      LoadParameters(a.weight, at, w);
#pragma unroll
      for (int j = 0; j < 8; ++j) {
        dot += d[j] * w[j] * v[j];
        if constexpr (kWeight) dweight[i][j] += d[j] * v[j] * inv;
      }
    }
    dot = BlockTotal<kThreads>(dot, shared);
    const float slope = inv * inv * inv * (dot * a.mean);
#pragma unroll
    for (int i = 0; i < kPacks; ++i) {
      const int at = threadIdx.x + i * kThreads;
      if (at >= a.packs) continue;
      float v[8], d[8], w[8], before[8] = {};
      Unpack<bf16>(x[i], v);
      cotangent(i, d);
      LoadParameters(a.weight, at, w);
      if (a.accumulate_dx) Unpack<bf16>(dx[i], before);
#pragma unroll
      for (int j = 0; j < 8; ++j) {
        d[j] = inv * (d[j] * w[j]) - slope * v[j] + before[j];
      }
      StorePack(a.dx.row(row), at, Pack<bf16>(d));
    }
  }
  if constexpr (kWeight) {
#pragma unroll
    for (int i = 0; i < kPacks; ++i) {
      const int at = threadIdx.x + i * kThreads;
      if (at >= a.packs) continue;
      float4* to =
          reinterpret_cast<float4*>(a.parts + (first * a.packs + at) * 8);
      const float(&d)[8] = dweight[i];
      to[0] = {d[0], d[1], d[2], d[3]};
      to[1] = {d[4], d[5], d[6], d[7]};
    }
  }
}

// dweight += the sum of the parts; a warp goes through every kReduceWarps-th.
__global__ void AddParts(const float* parts, int64_t count, int64_t columns,
                         float* dweight) {
  __shared__ float shared[kReduceWarps][32];
  const int64_t column = blockIdx.x * 32 + threadIdx.x;
  float sum = 0;
  if (column < columns) {
    for (int64_t i = threadIdx.y; i < count; i += kReduceWarps) {
      sum += parts[i * columns + column];
    }
  }
  shared[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || column >= columns) return;
  for (int i = 1; i < kReduceWarps; ++i) sum += shared[i][threadIdx.x];
  dweight[column] += sum;
}

// Calls launch(threads a row) with a constant.
template <typename Launch>
void ForColumns(int64_t columns, Launch launch) {
  CARACAL_CHECK(columns >= 8 && columns % 8 == 0 &&
                columns <= kRmsNormMaxColumns)
      << columns << " columns, wanted a multiple of 8 up to "
      << kRmsNormMaxColumns;
  const auto fit = [&](int threads) {
    return columns <= int64_t{8} * threads * PacksOf(threads);
  };
  if (fit(32)) {
    launch(std::integral_constant<int, 32>());
  } else if (fit(128)) {
    launch(std::integral_constant<int, 128>());
  } else if (fit(256)) {
    launch(std::integral_constant<int, 256>());
  } else if (fit(512)) {
    launch(std::integral_constant<int, 512>());
  } else {
    launch(std::integral_constant<int, 1024>());
  }
}

// Of a block: threads of a row, rows.
dim3 BlockOf(int threads) {
  return threads == 32 ? dim3(32, kNarrowThreads / 32) : dim3(threads);
}

unsigned Blocks(int64_t rows, const dim3& block) {
  return static_cast<unsigned>((rows + block.y - 1) / block.y);
}

int64_t Parts(int64_t rows, int64_t columns) {
  int64_t parts = kWideParts, rows_a_block = 1;
  if (columns <= 8 * 32 * PacksOf(32)) {
    parts = kNarrowParts;
    rows_a_block = kNarrowThreads / 32;
  }
  const int64_t needed = (rows + rows_a_block - 1) / rows_a_block;
  return std::min(parts, needed * rows_a_block);
}

Args ArgsOf(const CudaMatrix<const bf16>& x, ConstTensorView weight) {
  Args a = {};
  a.rows = x.rows;
  a.packs = static_cast<int>(x.columns / 8);
  a.mean = 1.0f / static_cast<float>(x.columns);
  a.x = x;
  a.weight = VectorOf<float>(weight, x.columns);
  CARACAL_CHECK(reinterpret_cast<uintptr_t>(a.weight) % 16 == 0);
  return a;
}

template <int kAdd>
void LaunchForward(const Context& ctx, const Args& a) {
  const auto stream = static_cast<cudaStream_t>(ctx.stream);
  ForColumns(a.x.columns, [&](auto threads) {
    const dim3 block = BlockOf(threads());
    if (a.rows == 0) return;
    cuda::LaunchEarly(Forward<threads(), kAdd>, dim3(Blocks(a.rows, block)),
                      block, 0, stream, a);
  });
}

}  // namespace

void RmsNormForwardCuda(const Context& ctx, ConstTensorView x,
                        ConstTensorView weight, float eps, TensorView y,
                        TensorView inv_rms) {
  Args a = ArgsOf(CudaMatrixOf<bf16>(x), weight);
  a.eps = eps;
  a.y = CudaMatrixOf<bf16>(y, a.rows, a.x.columns);
  a.inv_rms = OptionalVectorOf<float>(inv_rms, a.rows);
  LaunchForward<0>(ctx, a);
}

void RmsNormAddForwardCuda(const Context& ctx, ConstTensorView x,
                           ConstTensorView delta, ConstTensorView weight,
                           float eps, TensorView sum, TensorView y,
                           TensorView inv_rms, ConstTensorView more) {
  Args a = ArgsOf(CudaMatrixOf<bf16>(x), weight);
  a.eps = eps;
  a.delta = CudaMatrixOf<bf16>(delta, a.rows, a.x.columns);
  a.sum = CudaMatrixOf<bf16>(sum, a.rows, a.x.columns);
  a.y = CudaMatrixOf<bf16>(y, a.rows, a.x.columns);
  a.inv_rms = OptionalVectorOf<float>(inv_rms, a.rows);
  if (!more.defined()) return LaunchForward<1>(ctx, a);
  a.more = CudaMatrixOf<bf16>(more, a.rows, a.x.columns);
  LaunchForward<2>(ctx, a);
}

size_t RmsNormBackwardCudaWorkspaceBytes(ConstTensorView x,
                                         TensorView dweight) {
  if (!dweight.defined()) return 0;
  return Parts(x.shape[0], x.shape[1]) * x.shape[1] * sizeof(float);
}

void RmsNormBackwardCuda(const Context& ctx, ConstTensorView dy,
                         ConstTensorView x, ConstTensorView weight,
                         ConstTensorView inv_rms, bool accumulate_dx,
                         TensorView dx, TensorView dweight, Workspace workspace,
                         ConstTensorView more) {
  Args a = ArgsOf(CudaMatrixOf<bf16>(x), weight);
  const int64_t columns = a.x.columns;
  a.dy = CudaMatrixOf<bf16>(dy, a.rows, columns);
  a.dx = CudaMatrixOf<bf16>(dx, a.rows, columns);
  a.inv_rms = const_cast<float*>(VectorOf<float>(inv_rms, a.rows));
  a.accumulate_dx = accumulate_dx;
  if (more.defined()) a.more = CudaMatrixOf<bf16>(more, a.rows, columns);
  float* const dw = OptionalVectorOf<float>(dweight, columns);
  const size_t bytes = RmsNormBackwardCudaWorkspaceBytes(x, dweight);
  CARACAL_CHECK(workspace.bytes >= bytes) << workspace.bytes << " of " << bytes;
  a.parts = static_cast<float*>(workspace.data);
  const int64_t parts = Parts(a.rows, columns);
  const auto stream = static_cast<cudaStream_t>(ctx.stream);
  ForColumns(columns, [&](auto threads) {
    const dim3 block = BlockOf(threads());
    if (a.rows == 0) return;
    const unsigned blocks = Blocks(dw == nullptr ? a.rows : parts, block);
    const auto kernel =
        dw == nullptr ? (more.defined() ? Backward<threads(), false, true>
                                        : Backward<threads(), false, false>)
                      : (more.defined() ? Backward<threads(), true, true>
                                        : Backward<threads(), true, false>);
    kernel<<<blocks, block, 0, stream>>>(a);
    CARACAL_CUDA_CHECK_LAUNCH();
    if (dw == nullptr) return;
    AddParts<<<static_cast<unsigned>((columns + 31) / 32),
               dim3(32, kReduceWarps), 0, stream>>>(a.parts, parts, columns,
                                                    dw);
    CARACAL_CUDA_CHECK_LAUNCH();
  });
}

}  // namespace caracal::kernels
