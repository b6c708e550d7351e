// A thread takes kPacks packs of eight elements, a block's width apart: all
// its loads are under way before the first is used.
#include "kernels/common/cuda_check.h"
#include "kernels/common/cuda_early_launch.h"
#include "kernels/common/cuda_matrix.h"
#include "kernels/common/cuda_pack.h"
#include "kernels/swiglu/swiglu_cuda.h"
#include "kernels/swiglu/swiglu_cuda_math.h"

namespace caracal::kernels {
namespace {

using cuda::bf16;
using cuda::LoadPack;
using cuda::Pack;
using cuda::StorePack;
using cuda::Unpack;

constexpr int kThreads = 128;
constexpr int kPacks = 2;

struct Args {
  int64_t packs;         // of the whole matrix
  int64_t packs_of_row;  // of a row
  CudaMatrix<const bf16> gate, up, dout;
  CudaMatrix<bf16> out, gate_slope, up_slope;
};

// Calls use(i, row, pack of the row) for the thread's packs.
template <typename Use>
__device__ __forceinline__ void ForPacks(const Args& a, Use use) {
#pragma unroll
  for (int i = 0; i < kPacks; ++i) {
    const int64_t at =
        (int64_t{blockIdx.x} * kPacks + i) * kThreads + threadIdx.x;
    if (at >= a.packs) continue;
    const int64_t row = at / a.packs_of_row;
    use(i, row, at - row * a.packs_of_row);
  }
}

template <bool kSlopes>
__global__ void __launch_bounds__(kThreads)
    Forward(const __grid_constant__ Args a) {
  cuda::AwaitEarlier();
  uint4 gate[kPacks], up[kPacks];
  ForPacks(a, [&](int i, int64_t row, int64_t at) {
    gate[i] = LoadPack(a.gate.row(row), at);
    up[i] = LoadPack(a.up.row(row), at);
  });
  ForPacks(a, [&](int i, int64_t row, int64_t at) {
    float g[8], u[8], out[8];
    Unpack<bf16>(gate[i], g);
    Unpack<bf16>(up[i], u);
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      if constexpr (kSlopes) {
        out[j] = cuda::SwigluAndSlopes(g[j], u[j], g[j], u[j]);
      } else {
        out[j] = cuda::Swiglu(g[j], u[j]);
      }
    }
    StorePack(a.out.row(row), at, Pack<bf16>(out));
    if constexpr (kSlopes) {
      StorePack(a.gate_slope.row(row), at, Pack<bf16>(g));
      StorePack(a.up_slope.row(row), at, Pack<bf16>(u));
    }
  });
}

__global__ void __launch_bounds__(kThreads)
    Backward(const __grid_constant__ Args a) {
  uint4 gate[kPacks], up[kPacks], dout[kPacks];
  ForPacks(a, [&](int i, int64_t row, int64_t at) {
    gate[i] = LoadPack(a.gate_slope.row(row), at);
    up[i] = LoadPack(a.up_slope.row(row), at);
    dout[i] = LoadPack(a.dout.row(row), at);
  });
  ForPacks(a, [&](int i, int64_t row, int64_t at) {
    float g[8], u[8], d[8];
    Unpack<bf16>(gate[i], g);
    Unpack<bf16>(up[i], u);
    Unpack<bf16>(dout[i], d);
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      g[j] *= d[j];
      u[j] *= d[j];
    }
    StorePack(a.gate_slope.row(row), at, Pack<bf16>(g));
    StorePack(a.up_slope.row(row), at, Pack<bf16>(u));
  });
}

// Of [rows, columns] matrices.
Args ArgsOf(int64_t rows, int64_t columns) {
  CARACAL_CHECK(columns % 8 == 0)
      << columns << " columns, wanted a multiple of 8";
  Args a = {};
  a.packs_of_row = columns / 8;
  a.packs = rows * a.packs_of_row;
  return a;
}

void BindSlopes(TensorView slopes, int64_t rows, int64_t columns, Args& a) {
  a.gate_slope = CudaMatrixOf<bf16>(slopes, rows, 2 * columns);
  a.up_slope = a.gate_slope;
  a.up_slope.data += columns;
}

unsigned Blocks(const Args& a) {
  constexpr int64_t kOfBlock = kThreads * kPacks;
  return static_cast<unsigned>((a.packs + kOfBlock - 1) / kOfBlock);
}

}  // namespace

void SwigluForwardCuda(const Context& ctx, ConstTensorView gate,
                       ConstTensorView up, TensorView out, TensorView slopes) {
  const auto left = CudaMatrixOf<bf16>(gate);
  const int64_t rows = left.rows, columns = left.columns;
  Args a = ArgsOf(rows, columns);
  a.gate = left;
  a.up = CudaMatrixOf<bf16>(up, rows, columns);
  a.out = CudaMatrixOf<bf16>(out, rows, columns);
  if (slopes.defined()) BindSlopes(slopes, rows, columns, a);
  if (a.packs == 0) return;
  cuda::LaunchEarly(slopes.defined() ? Forward<true> : Forward<false>,
                    dim3(Blocks(a)), dim3(kThreads), 0,
                    static_cast<cudaStream_t>(ctx.stream), a);
}

void SwigluBackwardCuda(const Context& ctx, ConstTensorView dout,
                        TensorView slopes) {
  const auto gradient = CudaMatrixOf<bf16>(dout);
  Args a = ArgsOf(gradient.rows, gradient.columns);
  a.dout = gradient;
  BindSlopes(slopes, gradient.rows, gradient.columns, a);
  if (a.packs == 0) return;
  const auto stream = static_cast<cudaStream_t>(ctx.stream);
  Backward<<<Blocks(a), kThreads, 0, stream>>>(a);
  CARACAL_CUDA_CHECK_LAUNCH();
}

}  // namespace caracal::kernels
