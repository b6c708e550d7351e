// The states of many sequences: a block takes one head of one sequence, and is
// little but a stream of its state through the registers.
#include "kernels/common/cuda_early_launch.h"
#include "kernels/common/cuda_pack.h"
#include "kernels/hybrid_attention/hybrid_attention_decode_cuda_args.h"

namespace caracal::kernels::cuda::decode {
namespace {

constexpr int kRows = 8;  // of the state, that a lane has under way

__global__ void __launch_bounds__(kThreads, 3)
    State(const __grid_constant__ DecodeArgs d) {
  __shared__ float phi_q[2 * kMostFeatures], phi_k[2 * kMostFeatures];
  __shared__ float sums[kWarps][128], reduce[kWarps];
  const Args& a = d.a;
  const int head = blockIdx.x, sequence = blockIdx.y;
  const int64_t slot = int64_t{sequence} * a.H + head;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const bool mine = lane < a.D / 4;
  float4* const state =
      reinterpret_cast<float4*>(d.state + slot * a.Fout * a.D) + lane;
  float* const norm = d.norm + slot * a.Fout;
  const float* const work = d.work + slot * WorkOf(a);

  float4 s[kRows];
  const auto load = [&](int first) {
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      const int f = first + i * kWarps;
      if (mine && f < a.Fout) s[i] = __ldcs(state + int64_t{f} * a.D / 4);
    }
  };
  load(warp);  // The kernel before does not touch it.
  AwaitEarlier();
  const int n = d.length[sequence];
  const int leaving = max(Start(a, n), a.sinks);
  const bool adds = leaving < Start(a, n + 1);
  float den = threadIdx.x == 0 ? work[2 * a.Fout + a.D] : 0.0f;
  for (int f = threadIdx.x; f < a.Fout; f += kThreads) {
    const float q = work[f], k = work[a.Fout + f], x = norm[f];
    phi_q[f] = q;
    phi_k[f] = k;
    den += q * x;
    if (adds) norm[f] = x + k;
  }
  float v[4] = {};
  if (adds && mine) {
    // The token is in the ring by now.
    const int64_t row = int64_t{sequence} * d.ring_rows + leaving % d.ring_rows;
    const bf16* const value =
        d.ring_v + (row * a.Hkv + KvHead(a, head)) * a.D + 4 * lane;
    for (int i = 0; i < 4; ++i) v[i] = __bfloat162float(value[i]);
  }
  den = BlockTotal<kThreads>(den, reduce);  // a barrier, too
  float sum[4] = {};
  for (int first = warp; first < a.Fout; first += kRows * kWarps) {
    if (first > warp) load(first);
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      const int f = first + i * kWarps;
      if (!mine || f >= a.Fout) continue;
      const float q = phi_q[f], k = phi_k[f];
      sum[0] += q * s[i].x, sum[1] += q * s[i].y;
      sum[2] += q * s[i].z, sum[3] += q * s[i].w;
      if (!adds) continue;
      s[i].x += k * v[0], s[i].y += k * v[1];
      s[i].z += k * v[2], s[i].w += k * v[3];
      __stcs(state + int64_t{f} * a.D / 4, s[i]);
    }
  }
  if (mine) {
    for (int i = 0; i < 4; ++i) sums[warp][4 * lane + i] = sum[i];
  }
  __syncthreads();
  bf16* const y = At(d.y, sequence, head);
  for (int c = threadIdx.x; c < a.D; c += kThreads) {
    float total = work[2 * a.Fout + c];
#pragma unroll
    for (int w = 0; w < kWarps; ++w) total += sums[w][c];
    y[c] = __float2bfloat16_rn(den == 0 ? 0.0f : total / den);
  }
}

}  // namespace

void LaunchState(const DecodeArgs& d, int64_t sequences, cudaStream_t stream) {
  LaunchEarly(State, dim3(d.a.H, static_cast<unsigned>(sequences)),
              dim3(kThreads), 0, stream, d);
}

}  // namespace caracal::kernels::cuda::decode
