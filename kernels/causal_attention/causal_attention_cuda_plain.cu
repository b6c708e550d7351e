// Plain version, for any chip and shape: a warp takes a row, 32 keys at a time;
// a lane makes the score of one key, then all lanes add the 32 values, each its
// own columns.
#include "kernels/causal_attention/causal_attention_cuda_args.h"
#include "kernels/common/cuda_check.h"

namespace caracal::kernels::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kMaxColumns = 256 / 32;  // of a lane

__device__ __forceinline__ float WarpMaximum(float x) {
  for (int m = 16; m > 0; m /= 2) {
    x = fmaxf(x, __shfl_xor_sync(~0u, x, m));
  }
  return x;
}

__device__ __forceinline__ float Dot(const bf16* x, const bf16* y, int n) {
  float sum = 0;
  for (int i = 0; i < n; i += 2) {
    const float2 a =
        __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(x + i));
    const float2 b =
        __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(y + i));
    sum += a.x * b.x + a.y * b.y;
  }
  return sum;
}

__global__ void __launch_bounds__(32 * kWarps)
    Forward(const __grid_constant__ CausalArgs a) {
  const CausalItem block = ItemOf(a, blockIdx.x);
  const int head = block.head, kv = head / (a.H / a.Hkv);
  const int lane = threadIdx.x % 32;
  const float scale = rsqrtf(static_cast<float>(a.D));
  for (int r = threadIdx.x / 32; r < block.count; r += kWarps) {
    const bf16* const q = At(a.q, block.query + r, head);
    const int last = block.position + r;
    float top = -INFINITY, sum = 0, y[kMaxColumns] = {};
    for (int j0 = 0; j0 <= last; j0 += 32) {
      const int j = j0 + lane;
      const float s = j <= last
                          ? Dot(q, At(a.k, block.keys + j, kv), a.D) * scale
                          : -INFINITY;
      const float most = fmaxf(top, WarpMaximum(s));
      const float before = expf(top - most), p = expf(s - most);
      top = most;
      sum = sum * before + p;
      const float rounded = __bfloat162float(__float2bfloat16_rn(p));
#pragma unroll
      for (int i = 0; i < kMaxColumns; ++i) y[i] *= before;
      for (int i = 0; i < min(32, last - j0 + 1); ++i) {
        const float weight = __shfl_sync(~0u, rounded, i);
        const bf16* const v = At(a.v, block.keys + j0 + i, kv);
#pragma unroll
        for (int c = 0; c < kMaxColumns; ++c) {
          const int d = 32 * c + lane;
          if (d < a.D) y[c] += weight * __bfloat162float(v[d]);
        }
      }
    }
    for (int m = 16; m > 0; m /= 2) sum += __shfl_xor_sync(~0u, sum, m);
    bf16* const out = At(a.y, block.query + r, head);
#pragma unroll
    for (int c = 0; c < kMaxColumns; ++c) {
      const int d = 32 * c + lane;
      if (d < a.D) out[d] = __float2bfloat16_rn(y[c] / sum);
    }
    if (a.lse != nullptr && lane == 0) {
      a.lse[head * a.rows + block.query + r] = top + logf(sum);
    }
  }
}

}  // namespace

void CausalForwardPlain(const CausalArgs& a, cudaStream_t stream) {
  Forward<<<a.items, 32 * kWarps, 0, stream>>>(a);
  CARACAL_CUDA_CHECK_LAUNCH();
}

}  // namespace caracal::kernels::cuda
