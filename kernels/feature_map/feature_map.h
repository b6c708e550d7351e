// Feature maps of linear attention: phi(x) of one head's queries or keys.
//     hedgehog: z = x W (+ b);  phi = cat[softmax(z), softmax(-z)]
// clamped elementwise to >= 1e-12. Source: Hedgehog (arXiv 2402.04347).
// A new map is a row in each of three tables: its width (feature_map.cc), its
// specification (feature_map_ref.h) and its vectorised block functions
// (feature_map_simd.cc), through which the attention kernels call too.
#ifndef CARACAL_KERNELS_FEATURE_MAP_FEATURE_MAP_H_
#define CARACAL_KERNELS_FEATURE_MAP_FEATURE_MAP_H_

#include <cstdint>

#include "kernels/common/context.h"
#include "kernels/common/tensor_view.h"

namespace caracal::kernels {

enum class FeatureMapKind : uint8_t {
  kHedgehog,  // Fout = 2F
  kIdentity,  // Fout = F, no clamp: tests only
};

// phi is clamped to at least this (but for kIdentity).
inline constexpr float kFeatureFloor = 1e-12f;

// Output dimension Fout for F columns of W.
int64_t FeatureMapOutputs(FeatureMapKind kind, int64_t features);

// x [rows, H, D] (strided rows and heads), weight [H, D, F], bias [H, F] or
// undefined -> phi [rows, H, Fout]. fp32; x and phi have unit stride in the
// last dimension. When H_x < H, x has H_x heads and head h reads x head
// h / (H / H_x) (keys under GQA).
void FeatureMapForward(const Context& ctx, FeatureMapKind kind,
                       ConstTensorView x, ConstTensorView weight,
                       ConstTensorView bias, TensorView phi);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_FEATURE_MAP_FEATURE_MAP_H_
