// Vectorised feature maps over a block of samples, one sample a lane: z and
// phi are [F, lanes] and [Fout, lanes], so the softmax over features runs
// down the columns and never across lanes. Included only by sources of a
// simd_library.
#ifndef CARACAL_KERNELS_FEATURE_MAP_FEATURE_MAP_BLOCK_H_
#define CARACAL_KERNELS_FEATURE_MAP_FEATURE_MAP_BLOCK_H_

#include <cstdint>

#include "kernels/common/micro_gemm.h"
#include "kernels/common/simd.h"
#include "kernels/feature_map/feature_map.h"

namespace caracal::kernels::CARACAL_SIMD_NS {

// Row stride of blocks and number of samples in a full one.
inline constexpr int kBlock = 32;

// `lanes` is a multiple of the vector length, at most kBlock.
struct FeatureMapBlock {
  // phi [Fout, kBlock] from z [F, kBlock]; z may be phi's first F rows.
  void (*forward)(int64_t F, int lanes, const float* z, float* phi);
  // dphi [Fout, kBlock] becomes dz [F, kBlock] in its first F rows. A map's
  // derivative must follow from phi alone, so that z need not be kept.
  void (*backward)(int64_t F, int lanes, const float* phi, float* dphi);
};

const FeatureMapBlock& FeatureMapBlockOf(FeatureMapKind kind);

// phi of the samples whose transpose is xt [D, kBlock]; weight [D, F], bias
// [F] or null.
inline void FeaturesOf(const FeatureMapBlock& map, int64_t D, int64_t F,
                       int lanes, const float* xt, const float* weight,
                       const float* bias, float* phi) {
  using namespace ::caracal::CARACAL_SIMD_NS;  // NOLINT: Vec and products
  if (bias == nullptr) {
    Gemm<Layout::kColumns, Update::kAssign>(F, lanes, D, weight, F, xt, kBlock,
                                            phi, kBlock);
  } else {
    for (int64_t f = 0; f < F; ++f) {
      for (int l = 0; l < lanes; l += Vec::kLanes) {
        Store(phi + f * kBlock + l, Set(bias[f]));
      }
    }
    Gemm<Layout::kColumns, Update::kAdd>(F, lanes, D, weight, F, xt, kBlock,
                                         phi, kBlock);
  }
  map.forward(F, lanes, phi, phi);
}

}  // namespace caracal::kernels::CARACAL_SIMD_NS

#endif  // CARACAL_KERNELS_FEATURE_MAP_FEATURE_MAP_BLOCK_H_
