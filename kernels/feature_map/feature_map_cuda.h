// Feature maps on a CUDA device: a warp, or a part of it, takes a row, forward
// from z and back from phi alone. In fp32, the contract of feature_map.h. For
// .cu sources only.
#ifndef CARACAL_KERNELS_FEATURE_MAP_FEATURE_MAP_CUDA_H_
#define CARACAL_KERNELS_FEATURE_MAP_FEATURE_MAP_CUDA_H_

#include <cfloat>
#include <cstdint>

#include "kernels/feature_map/feature_map.h"

namespace caracal::kernels::cuda {

template <int kLanes = 32>
__device__ __forceinline__ float FeatureSum(float x) {
#pragma unroll
  for (int m = kLanes / 2; m > 0; m /= 2) x += __shfl_xor_sync(~0u, x, m);
  return x;
}
template <int kLanes = 32>
__device__ __forceinline__ float FeatureMax(float x) {
#pragma unroll
  for (int m = kLanes / 2; m > 0; m /= 2) {
    x = fmaxf(x, __shfl_xor_sync(~0u, x, m));
  }
  return x;
}

// put(f, x) of half `half` (of one or two) of the map's outputs, f in [0, F),
// from z [F]: those with f % kLanes == lane. All lanes of a warp call, kLanes
// neighbours for one row.
template <int kLanes, typename Put>
__device__ __forceinline__ void FeatureHalf(FeatureMapKind kind, int half,
                                            int F, const float* z, int lane,
                                            const Put& put) {
  const float sign = half == 0 ? 1.0f : -1.0f;
  const auto each = [&](const auto& feature) {
#pragma unroll
    for (int f = lane; f < F; f += kLanes) {
      const float x = feature(z[f]);
      put(f, x < kFeatureFloor ? kFeatureFloor : x);  // NaN stays
    }
  };
  const auto most = [&](const auto& of) {
    float top = -FLT_MAX;
#pragma unroll
    for (int f = lane; f < F; f += kLanes) top = fmaxf(top, of(z[f]));
    return FeatureMax<kLanes>(top);
  };
  switch (kind) {
    case FeatureMapKind::kIdentity:
      for (int f = lane; f < F; f += kLanes) put(f, z[f]);
      return;
    case FeatureMapKind::kT2r:
      return each([](float x) { return x; });
    case FeatureMapKind::kElu1:
      return each([](float x) { return x > 0 ? 1.0f + x : expf(x); });
    case FeatureMapKind::kExp:
    case FeatureMapKind::kExpHalf: {
      const float top = most([&](float x) { return sign * x; });
      return each([&](float x) { return expf(sign * x - top); });
    }
    case FeatureMapKind::kHedgehog:
    case FeatureMapKind::kHedgehogHalf: {
      const float top = most([&](float x) { return sign * x; });
      float sum = 0;
#pragma unroll
      for (int f = lane; f < F; f += kLanes) sum += expf(sign * z[f] - top);
      const float inverse = 1.0f / FeatureSum<kLanes>(sum);
      return each([&](float x) { return expf(sign * x - top) * inverse; });
    }
    case FeatureMapKind::kHedgehogFla: {
      const float top = most([](float x) { return fabsf(2 * x); });
      float sum = 0;
      for (int f = lane; f < F; f += kLanes) {
        sum += expf(2 * z[f] - top) + expf(-2 * z[f] - top);
      }
      const float inverse = 1.0f / FeatureSum<kLanes>(sum);
      return each([&](float x) { return expf(2 * sign * x - top) * inverse; });
    }
  }
}

// The same to phi [F], by a warp.
__device__ __forceinline__ void FeatureHalf(FeatureMapKind kind, int half,
                                            int F, const float* z, float* phi,
                                            int lane) {
  FeatureHalf<32>(kind, half, F, z, lane, [&](int f, float x) { phi[f] = x; });
}

// dphi [Fout] becomes dz, in its first F. phi [Fout] is the map's output, from
// which everything follows: no gradient comes through the floor.
__device__ __forceinline__ void FeatureGradient(FeatureMapKind kind, int F,
                                                const float* phi, float* dphi,
                                                int lane) {
  const auto through = [&](int f) {
    return phi[f] <= kFeatureFloor ? 0.0f : dphi[f];
  };
  // phi . dphi of a half.
  const auto dot = [&](int half) {
    float sum = 0;
    for (int f = half * F + lane; f < (half + 1) * F; f += 32) {
      sum += phi[f] * through(f);
    }
    return FeatureSum(sum);
  };
  switch (kind) {
    case FeatureMapKind::kIdentity:
      return;
    case FeatureMapKind::kT2r:
      for (int f = lane; f < F; f += 32) dphi[f] = through(f);
      return;
    case FeatureMapKind::kElu1:
      // Above 1 phi is 1 + z, below it its own slope.
      for (int f = lane; f < F; f += 32)
        dphi[f] = fminf(phi[f], 1) * through(f);
      return;
    case FeatureMapKind::kExp:
    case FeatureMapKind::kExpHalf: {
      // Each half's maximum has the feature 1 and takes all of the half's
      // gradient away; those that tie share it.
      const int halves = kind == FeatureMapKind::kExp ? 2 : 1;
      float share[2] = {};
      for (int half = 0; half < halves; ++half) {
        float ties = 0;
        for (int f = half * F + lane; f < (half + 1) * F; f += 32) {
          ties += phi[f] == 1.0f ? 1.0f : 0.0f;
        }
        share[half] = dot(half) / FeatureSum(ties);
      }
      for (int f = lane; f < F; f += 32) {
        float dz = phi[f] * through(f) - (phi[f] == 1.0f ? share[0] : 0.0f);
        if (halves == 2) {
          const int g = F + f;
          dz -= phi[g] * through(g) - (phi[g] == 1.0f ? share[1] : 0.0f);
        }
        dphi[f] = dz;
      }
      return;
    }
    case FeatureMapKind::kHedgehogHalf: {
      const float up = dot(0);
      for (int f = lane; f < F; f += 32) {
        dphi[f] = phi[f] * (through(f) - up);
      }
      return;
    }
    case FeatureMapKind::kHedgehog:
    case FeatureMapKind::kHedgehogFla: {
      // Of one softmax over both halves, of 2 z and -2 z; or of two.
      const bool joint = kind == FeatureMapKind::kHedgehogFla;
      float up = dot(0), down = dot(1);
      if (joint) up = down = up + down;
      const float slope = joint ? 2.0f : 1.0f;
      for (int f = lane; f < F; f += 32) {
        dphi[f] = slope * (phi[f] * (through(f) - up) -
                           phi[F + f] * (through(F + f) - down));
      }
      return;
    }
  }
}

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_FEATURE_MAP_FEATURE_MAP_CUDA_H_
