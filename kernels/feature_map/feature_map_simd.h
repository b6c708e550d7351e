// Entry points of the vectorised feature maps.
#ifndef CARACAL_KERNELS_FEATURE_MAP_FEATURE_MAP_SIMD_H_
#define CARACAL_KERNELS_FEATURE_MAP_FEATURE_MAP_SIMD_H_

#include "kernels/feature_map/feature_map.h"
#include "kernels/feature_map/feature_map_args.h"

namespace caracal::kernels {

// Bounds of what the block code keeps on its stack.
inline constexpr int64_t kMaxHeadDimension = 256;
inline constexpr int64_t kMaxFeatureOutputs = 1024;

namespace avx2 {
void FeatureMapForwardRows(FeatureMapKind kind, const FeatureMapArgs& args,
                           int64_t begin, int64_t end);
}
namespace avx512 {
void FeatureMapForwardRows(FeatureMapKind kind, const FeatureMapArgs& args,
                           int64_t begin, int64_t end);
}

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_FEATURE_MAP_FEATURE_MAP_SIMD_H_
