// A thread rotates eight pairs of elements in each of kHeads heads of a row:
// angles are read once for all of them, and the heads' loads are under way
// together.
#include "kernels/common/cuda_check.h"
#include "kernels/common/cuda_matrix.h"
#include "kernels/common/cuda_pack.h"
#include "kernels/rope/rope_cuda.h"
#include "kernels/rope/rope_cuda_math.h"

namespace caracal::kernels {
namespace {

using cuda::bf16;
using cuda::LoadPack;
using cuda::LoadParameters;
using cuda::Pack;
using cuda::StorePack;
using cuda::Unpack;

constexpr int kThreads = 128;
constexpr int kHeads = 4;

struct Args {
  bf16* x;
  int64_t row_stride, head_stride;
  int64_t threads;    // rows * groups * packs
  int heads, groups;  // of kHeads heads
  int packs;          // of half a head
  const int32_t* positions;
  const float *cos, *sin;  // [P, D / 2]
  float sign;              // of the sine
};

__global__ void __launch_bounds__(kThreads)
    Rotate(const __grid_constant__ Args a) {
  const int64_t thread = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (thread >= a.threads) return;
  const int64_t unit = thread / a.packs;
  const int pack = static_cast<int>(thread - unit * a.packs);
  const int64_t row = unit / a.groups;
  const int first = static_cast<int>(unit - row * a.groups) * kHeads;
  bf16* const x = a.x + row * a.row_stride + first * a.head_stride;
  uint4 low[kHeads], high[kHeads];
#pragma unroll
  for (int h = 0; h < kHeads; ++h) {
    if (first + h >= a.heads) continue;
    low[h] = LoadPack(x + h * a.head_stride, pack);
    high[h] = LoadPack(x + h * a.head_stride, pack + a.packs);
  }
  const int64_t at = int64_t{a.positions[row]} * a.packs + pack;
  float cos[8], sin[8];
  LoadParameters(a.cos, at, cos);
  LoadParameters(a.sin, at, sin);
#pragma unroll
  for (int h = 0; h < kHeads; ++h) {
    if (first + h >= a.heads) continue;
    float p[8], q[8];
    Unpack<bf16>(low[h], p);
    Unpack<bf16>(high[h], q);
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      cuda::RotatePair(cos[j], a.sign * sin[j], p[j], q[j]);
    }
    StorePack(x + h * a.head_stride, pack, Pack<bf16>(p));
    StorePack(x + h * a.head_stride, pack + a.packs, Pack<bf16>(q));
  }
}

}  // namespace

void RopeCuda(const Context& ctx, TensorView x, ConstTensorView positions,
              ConstTensorView cos, ConstTensorView sin, bool inverse) {
  CARACAL_CHECK(x.rank == 3) << "rank " << x.rank << ", wanted 3";
  CARACAL_CHECK(x.dtype == DType::kBF16) << NameOf(x.dtype) << ", wanted bf16";
  const int64_t rows = x.shape[0], heads = x.shape[1], D = x.shape[2];
  CARACAL_CHECK(D >= 16 && D % 16 == 0 && x.stride[2] == 1)
      << "head dimension " << D << " with stride " << x.stride[2];
  CARACAL_CHECK(x.stride[0] % 8 == 0 && x.stride[1] % 8 == 0)
      << "strides " << x.stride[0] << ", " << x.stride[1];
  CARACAL_CHECK(reinterpret_cast<uintptr_t>(x.data) % 16 == 0);
  const auto cosines = CudaMatrixOf<float>(cos);
  const auto sines = CudaMatrixOf<float>(sin, cosines.rows, D / 2);
  CARACAL_CHECK(cosines.columns == D / 2 && cos.contiguous() &&
                sin.contiguous())
      << cosines.columns << " columns for D " << D;
  Args a;
  a.x = static_cast<bf16*>(x.data);
  a.row_stride = x.stride[0];
  a.head_stride = x.stride[1];
  a.heads = static_cast<int>(heads);
  a.groups = static_cast<int>((heads + kHeads - 1) / kHeads);
  a.packs = static_cast<int>(D / 16);
  a.threads = rows * a.groups * a.packs;
  a.positions = VectorOf<int32_t>(positions, rows);
  a.cos = cosines.data;
  a.sin = sines.data;
  a.sign = inverse ? -1.0f : 1.0f;
  if (a.threads == 0) return;
  const auto blocks =
      static_cast<unsigned>((a.threads + kThreads - 1) / kThreads);
  Rotate<<<blocks, kThreads, 0, static_cast<cudaStream_t>(ctx.stream)>>>(a);
  CARACAL_CUDA_CHECK_LAUNCH();
}

}  // namespace caracal::kernels
