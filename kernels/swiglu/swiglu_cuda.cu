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
using cuda::Sigmoid;
using cuda::StorePack;
using cuda::Unpack;

constexpr int kThreads = 128;
constexpr int kPacks = 2;

struct Args {
  int64_t packs;         // of the whole matrix
  int64_t packs_of_row;  // of a row
  CudaMatrix<const bf16> gate, up, dout;
  CudaMatrix<bf16> out, dgate, dup;
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

__global__ void __launch_bounds__(kThreads)
    Forward(const __grid_constant__ Args a) {
  cuda::AwaitEarlier();
  uint4 gate[kPacks], up[kPacks];
  ForPacks(a, [&](int i, int64_t row, int64_t at) {
    gate[i] = LoadPack(a.gate.row(row), at);
    up[i] = LoadPack(a.up.row(row), at);
  });
  ForPacks(a, [&](int i, int64_t row, int64_t at) {
    float g[8], u[8];
    Unpack<bf16>(gate[i], g);
    Unpack<bf16>(up[i], u);
#pragma unroll
    for (int j = 0; j < 8; ++j) g[j] = cuda::Swiglu(g[j], u[j]);
    StorePack(a.out.row(row), at, Pack<bf16>(g));
  });
}

__global__ void __launch_bounds__(kThreads)
    Backward(const __grid_constant__ Args a) {
  uint4 gate[kPacks], up[kPacks], dout[kPacks];
  ForPacks(a, [&](int i, int64_t row, int64_t at) {
    gate[i] = LoadPack(a.gate.row(row), at);
    up[i] = LoadPack(a.up.row(row), at);
    dout[i] = LoadPack(a.dout.row(row), at);
  });
  ForPacks(a, [&](int i, int64_t row, int64_t at) {
    float g[8], u[8], d[8];
    Unpack<bf16>(gate[i], g);
    Unpack<bf16>(up[i], u);
    Unpack<bf16>(dout[i], d);
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      const float s = Sigmoid(g[j]);
      const float silu = g[j] * s;
      g[j] = d[j] * u[j] * (s + silu * (1.0f - s));
      u[j] = d[j] * silu;
    }
    StorePack(a.dgate.row(row), at, Pack<bf16>(g));
    StorePack(a.dup.row(row), at, Pack<bf16>(u));
  });
}

Args ArgsOf(ConstTensorView gate, ConstTensorView up) {
  Args a = {};
  a.gate = CudaMatrixOf<bf16>(gate);
  a.up = CudaMatrixOf<bf16>(up, a.gate.rows, a.gate.columns);
  CARACAL_CHECK(a.gate.columns % 8 == 0)
      << a.gate.columns << " columns, wanted a multiple of 8";
  a.packs_of_row = a.gate.columns / 8;
  a.packs = a.gate.rows * a.packs_of_row;
  return a;
}

unsigned Blocks(const Args& a) {
  constexpr int64_t kOfBlock = kThreads * kPacks;
  return static_cast<unsigned>((a.packs + kOfBlock - 1) / kOfBlock);
}

}  // namespace

void SwigluForwardCuda(const Context& ctx, ConstTensorView gate,
                       ConstTensorView up, TensorView out) {
  Args a = ArgsOf(gate, up);
  a.out = CudaMatrixOf<bf16>(out, a.gate.rows, a.gate.columns);
  if (a.packs == 0) return;
  cuda::LaunchEarly(Forward, dim3(Blocks(a)), dim3(kThreads), 0,
                    static_cast<cudaStream_t>(ctx.stream), a);
}

void SwigluBackwardCuda(const Context& ctx, ConstTensorView dout,
                        ConstTensorView gate, ConstTensorView up,
                        TensorView dgate, TensorView dup) {
  Args a = ArgsOf(gate, up);
  a.dout = CudaMatrixOf<bf16>(dout, a.gate.rows, a.gate.columns);
  a.dgate = CudaMatrixOf<bf16>(dgate, a.gate.rows, a.gate.columns);
  a.dup = CudaMatrixOf<bf16>(dup, a.gate.rows, a.gate.columns);
  if (a.packs == 0) return;
  const auto stream = static_cast<cudaStream_t>(ctx.stream);
  Backward<<<Blocks(a), kThreads, 0, stream>>>(a);
  CARACAL_CUDA_CHECK_LAUNCH();
}

}  // namespace caracal::kernels
