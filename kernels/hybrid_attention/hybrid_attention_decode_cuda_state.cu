// The states of many sequences: a block takes one head of one sequence, and is
// little but a stream of its state through the registers. Of m steps one writes
// it, too: until then the features of the keys that left wait beside it, and
// enter the sums one by one.
#include "kernels/common/cuda_early_launch.h"
#include "kernels/common/cuda_pack.h"
#include "kernels/hybrid_attention/hybrid_attention_decode_cuda_args.h"

namespace caracal::kernels::cuda::decode {
namespace {

constexpr int kRows = 8;  // of the state, that a lane has under way
static_assert(kMostWaiting < kWarps);

struct StateShared {
  float phi_q[2 * kMostFeatures];
  // Of the keys that wait, then of the one that leaves.
  float phi_k[kMostWaiting + 1][2 * kMostFeatures];
  float4 value[kMostWaiting + 1][32];  // a lane's columns each
  float sums[kWarps][kManyMostD];
  float reduce[kWarps];
};

// A lane's columns of a value that has left its window, but is in the ring.
__device__ __forceinline__ float4 LoadValue(const DecodeArgs& d, int sequence,
                                            int kv, int j, int lane) {
  const int64_t row = int64_t{sequence} * d.ring_rows + j % d.ring_rows;
  const bf16* const from = d.ring_v + (row * d.a.Hkv + kv) * d.a.D + 4 * lane;
  const uint2 words = __ldcg(reinterpret_cast<const uint2*>(from));
  return {
      __uint_as_float(words.x << 16), __uint_as_float(words.x & 0xffff0000u),
      __uint_as_float(words.y << 16), __uint_as_float(words.y & 0xffff0000u)};
}

__device__ __forceinline__ void AddProduct(float scale, const float4& x,
                                           float4& sum) {
  sum.x += scale * x.x, sum.y += scale * x.y;
  sum.z += scale * x.z, sum.w += scale * x.w;
}

__global__ void __launch_bounds__(kThreads, 3)
    State(const __grid_constant__ DecodeArgs d) {
  __shared__ StateShared shared;
  const Args& a = d.a;
  const int head = blockIdx.x, sequence = blockIdx.y;
  const int kv = KvHead(a, head);
  const int64_t slot = int64_t{sequence} * a.H + head;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const bool mine = lane < a.D / 4;
  float4* const state =
      reinterpret_cast<float4*>(d.state + slot * a.Fout * a.D) + lane;
  float* const norm = d.norm + slot * a.Fout;
  float* const kept = d.waiting + slot * d.waiting_rows * a.Fout;
  const float* const work = d.work + slot * WorkOf(a);

  // The kernel before has no part in these.
  float4 s[kRows];
  const auto load = [&](int first) {
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      const int f = first + i * kWarps;
      if (mine && f < a.Fout) s[i] = __ldcs(state + int64_t{f} * a.D / 4);
    }
  };
  load(warp);
  const int n = d.length[sequence];
  const int leaving = max(Start(a, n), a.sinks);
  const bool adds = leaving < Start(a, n + 1);
  const int begun = d.begun == nullptr ? 0 : d.begun[sequence];
  const int waiting =
      (leaving - max(Start(a, begun), a.sinks)) % (d.waiting_rows + 1);
  const bool writes = adds && waiting == d.waiting_rows;
  float4 sum = {};
  if (warp < waiting) {
    float* const phi = shared.phi_k[warp];
    for (int f = lane; f < a.Fout; f += 32) phi[f] = kept[warp * a.Fout + f];
    if (mine) {
      sum = LoadValue(d, sequence, kv, leaving - waiting + warp, lane);
      shared.value[warp][lane] = sum;
    }
  }
  AwaitEarlier();

  float den = threadIdx.x == 0 ? work[2 * a.Fout + a.D] : 0.0f;
  for (int f = threadIdx.x; f < a.Fout; f += kThreads) {
    const float q = work[f], k = work[a.Fout + f];
    shared.phi_q[f] = q;
    shared.phi_k[waiting][f] = k;
    den += q * norm[f];
    if (adds && !writes) kept[waiting * a.Fout + f] = k;
  }
  // The token is in the ring by now.
  if (writes && warp == waiting && mine) {
    shared.value[warp][lane] = LoadValue(d, sequence, kv, leaving, lane);
  }
  __syncthreads();
  if (warp < waiting) {
    float dot = 0;
    for (int f = lane; f < a.Fout; f += 32) {
      dot += shared.phi_q[f] * shared.phi_k[warp][f];
    }
    dot = WarpTotal(dot);
    if (lane == 0) den += dot;
    sum = {dot * sum.x, dot * sum.y, dot * sum.z, dot * sum.w};
  }
  if (writes) {
    for (int f = threadIdx.x; f < a.Fout; f += kThreads) {
      float total = norm[f];
      for (int p = 0; p <= waiting; ++p) total += shared.phi_k[p][f];
      norm[f] = total;
    }
  }
  for (int first = warp; first < a.Fout; first += kRows * kWarps) {
    if (first > warp) load(first);
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      const int f = first + i * kWarps;
      if (mine && f < a.Fout) AddProduct(shared.phi_q[f], s[i], sum);
    }
    if (!writes || !mine) continue;
    for (int p = 0; p <= waiting; ++p) {
      const float4 value = shared.value[p][lane];
#pragma unroll
      for (int i = 0; i < kRows; ++i) {
        const int f = first + i * kWarps;
        if (f < a.Fout) AddProduct(shared.phi_k[p][f], value, s[i]);
      }
    }
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      const int f = first + i * kWarps;
      if (f < a.Fout) __stcs(state + int64_t{f} * a.D / 4, s[i]);
    }
  }
  if (mine) *reinterpret_cast<float4*>(&shared.sums[warp][4 * lane]) = sum;
  den = BlockTotal<kThreads>(den, shared.reduce);  // a barrier, too
  bf16* const y = At(d.y, sequence, head);
  for (int c = threadIdx.x; c < a.D; c += kThreads) {
    float total = work[2 * a.Fout + c];
#pragma unroll
    for (int w = 0; w < kWarps; ++w) total += shared.sums[w][c];
    y[c] = __float2bfloat16_rn(den == 0 ? 0.0f : total / den);
  }
}

}  // namespace

void LaunchState(const DecodeArgs& d, int64_t sequences, cudaStream_t stream) {
  LaunchEarly(State, dim3(d.a.H, static_cast<unsigned>(sequences)),
              dim3(kThreads), 0, stream, d);
}

}  // namespace caracal::kernels::cuda::decode
