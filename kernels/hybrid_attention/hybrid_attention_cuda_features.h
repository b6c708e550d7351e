// Hedgehog's features of a tile on Hopper, forward and backward. Included only
// by sources compiled for sm_90a.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_FEATURES_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_FEATURES_H_

#include "kernels/hybrid_attention/hybrid_attention_cuda_tiles.h"

namespace caracal::kernels::cuda {

// Which of a thread's 16 elements of its row r: element i of accumulators.
__device__ __forceinline__ int OfRow(int r, int i) {
  return i / 2 * 4 + 2 * r + i % 2;
}

// Four chains instead of one: the unit is a few cycles deep.
template <int n, typename Value>
__device__ __forceinline__ float MaxOf(const Value& value) {
  float most[4] = {value(0), value(1), value(2), value(3)};
#pragma unroll
  for (int i = 4; i < n; ++i) most[i % 4] = fmaxf(most[i % 4], value(i));
  return fmaxf(fmaxf(most[0], most[1]), fmaxf(most[2], most[3]));
}
template <int n, typename Value>
__device__ __forceinline__ float SumOf(const Value& value) {
  float sum[4] = {value(0), value(1), value(2), value(3)};
#pragma unroll
  for (int i = 4; i < n; ++i) sum[i % 4] += value(i);
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

// up = softmax(z), down = softmax(-z) of each row, clamped, times a factor a
// row; columns from F on are zero. kAll: F is 64.
template <bool kAll = false>
__device__ __forceinline__ void Hedgehog(const float (&z)[32], int F,
                                         float factor0, float factor1,
                                         float (&up)[32], float (&down)[32]) {
  const bool all = kAll || F == kFeatures;
  const int left = F - ThreadColumn();  // columns 8 b + c < left are in
  const auto in = [&](int i) { return i / 4 * 8 + i % 2 < left; };
  float top[2], bottom[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if (all) {
      top[r] = MaxOf<16>([&](int i) { return z[OfRow(r, i)]; });
      bottom[r] = MaxOf<16>([&](int i) { return -z[OfRow(r, i)]; });
    } else {
      top[r] = MaxOf<16>(
          [&](int i) { return in(OfRow(r, i)) ? z[OfRow(r, i)] : -INFINITY; });
      bottom[r] = MaxOf<16>(
          [&](int i) { return in(OfRow(r, i)) ? -z[OfRow(r, i)] : -INFINITY; });
    }
    top[r] = QuadMax(top[r]) * kLog2e;
    bottom[r] = QuadMax(bottom[r]) * kLog2e;
  }
#pragma unroll
  for (int i = 0; i < 32; ++i) {
    const int r = i % 4 / 2;
    up[i] = Exp2(fmaf(z[i], kLog2e, -top[r]));
    down[i] = Exp2(fmaf(z[i], -kLog2e, -bottom[r]));
  }
  if (!all) {
#pragma unroll
    for (int i = 0; i < 32; ++i) {
      up[i] = in(i) ? up[i] : 0.0f;
      down[i] = in(i) ? down[i] : 0.0f;
    }
  }
  const float factor[2] = {factor0, factor1};
  float up_scale[2], down_scale[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    up_scale[r] = QuadSum(SumOf<16>([&](int i) { return up[OfRow(r, i)]; }));
    down_scale[r] =
        QuadSum(SumOf<16>([&](int i) { return down[OfRow(r, i)]; }));
    up_scale[r] = __fdividef(factor[r], up_scale[r]);
    down_scale[r] = __fdividef(factor[r], down_scale[r]);
  }
#pragma unroll
  for (int i = 0; i < 32; ++i) {
    up[i] *= up_scale[i % 4 / 2];
    down[i] *= down_scale[i % 4 / 2];
  }
  // The smallest of both is exp(-bottom - top) over a sum of at most 64.
  if (top[0] + bottom[0] > 32.0f || top[1] + bottom[1] > 32.0f) {
    // NaN stays: a maximum of two is one.
    float up_floor[2], down_floor[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      up_floor[r] = fmaf(0.0f, up_scale[r], kFeatureFloor * factor[r]);
      down_floor[r] = fmaf(0.0f, down_scale[r], kFeatureFloor * factor[r]);
    }
#pragma unroll
    for (int i = 0; i < 32; ++i) {
      const int r = i % 4 / 2;
      up[i] = all || in(i) ? fmaxf(up[i], up_floor[r]) : 0.0f;
      down[i] = all || in(i) ? fmaxf(down[i], down_floor[r]) : 0.0f;
    }
  }
}

// dz [64, 64] of this thread's rows from dphi [64, 128]: dphi(i) is element i
// of the accumulators, use(b, dz) takes elements 4 b to 4 b + 3. `dots`: phi .
// dphi of each row, this thread's columns only. The clamp's zero gradient is
// left out: it concerns features of 1e-12, and a feature is a factor of its
// gradient.
template <typename Dphi, typename Use>
__device__ __forceinline__ void HedgehogBackward(uint32_t phi, const Dphi& dphi,
                                                 float (&dots)[2],
                                                 const Use& use) {
  const uint32_t place = ThreadPlace(phi);
  float up[2] = {0, 0}, down[2] = {0, 0};
#pragma unroll
  for (int b = 0; b < 8; ++b) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int i = 4 * b + 2 * r;
      const uint32_t at = (place ^ (b << 4)) + 1024 * r;
      const float2 s = UnpackBf16(LoadShared(at));
      const float2 t = UnpackBf16(LoadShared(at + kPanel));
      up[r] += s.x * dphi(i) + s.y * dphi(i + 1);
      down[r] += t.x * dphi(32 + i) + t.y * dphi(32 + i + 1);
    }
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    dots[r] = up[r] + down[r];
    up[r] = QuadSum(up[r]);
    down[r] = QuadSum(down[r]);
  }
#pragma unroll
  for (int b = 0; b < 8; ++b) {
    float dz[4];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int i = 4 * b + 2 * r;
      const uint32_t at = (place ^ (b << 4)) + 1024 * r;
      const float2 s = UnpackBf16(LoadShared(at));
      const float2 t = UnpackBf16(LoadShared(at + kPanel));
      dz[2 * r] = s.x * (dphi(i) - up[r]) - t.x * (dphi(32 + i) - down[r]);
      dz[2 * r + 1] =
          s.y * (dphi(i + 1) - up[r]) - t.y * (dphi(32 + i + 1) - down[r]);
    }
    use(b, make_float4(dz[0], dz[1], dz[2], dz[3]));
  }
}

// dphi [64, 128] becomes dz [64, 64]; `dots` the rows' phi . dphi. The clamp's
// zero gradient is left out: it concerns features of 1e-12, and a feature is a
// factor of its gradient.
__device__ __forceinline__ void ThroughFeatures(const uint32_t (&phi)[8][4],
                                                const float (&dphi)[64],
                                                float (&dots)[2],
                                                float (&dz)[32]) {
  float up[2][2] = {}, down[2][2] = {};  // two chains of each
#pragma unroll
  for (int i = 0; i < 32; i += 2) {
    const int r = i % 4 / 2, chain = i / 4 % 2;
    const float2 s = UnpackBf16(phi[i / 8][i % 8 / 2]);
    const float2 t = UnpackBf16(phi[4 + i / 8][i % 8 / 2]);
    up[chain][r] += s.x * dphi[i] + s.y * dphi[i + 1];
    down[chain][r] += t.x * dphi[32 + i] + t.y * dphi[32 + i + 1];
  }
  float up_dot[2], down_dot[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    up_dot[r] = QuadSum(up[0][r] + up[1][r]);
    down_dot[r] = QuadSum(down[0][r] + down[1][r]);
    dots[r] = up_dot[r] + down_dot[r];
  }
#pragma unroll
  for (int i = 0; i < 32; i += 2) {
    const int r = i % 4 / 2;
    const float2 s = UnpackBf16(phi[i / 8][i % 8 / 2]);
    const float2 t = UnpackBf16(phi[4 + i / 8][i % 8 / 2]);
    dz[i] = s.x * (dphi[i] - up_dot[r]) - t.x * (dphi[32 + i] - down_dot[r]);
    dz[i + 1] = s.y * (dphi[i + 1] - up_dot[r]) -
                t.y * (dphi[32 + i + 1] - down_dot[r]);
  }
}

// dots += phi [64, 128] . x [128] of this thread's rows, its columns only.
__device__ __forceinline__ void PhiDot(uint32_t phi, const float* x,
                                       float (&dots)[2]) {
  const uint32_t place = ThreadPlace(phi);
#pragma unroll
  for (int b = 0; b < 16; ++b) {
    const float2 y =
        *reinterpret_cast<const float2*>(x + 8 * b + ThreadColumn());
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const float2 s = UnpackBf16(
          LoadShared((place ^ (b % 8 << 4)) + b / 8 * kPanel + 1024 * r));
      dots[r] += s.x * y.x + s.y * y.y;
    }
  }
}

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_FEATURES_H_
