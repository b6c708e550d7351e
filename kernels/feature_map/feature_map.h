// Feature maps of linear attention: phi(x) of one head's queries or keys, from
// z = x W (+ b), clamped elementwise to >= 1e-12 (but for the identity):
//     hedgehog       cat[softmax(z), softmax(-z)]              Fout = 2F
//     exp            cat[exp(z - max z), exp(-z + min z)]      Fout = 2F
//     t2r            relu(z)                                   Fout = F
//     elu1           1 + elu(z)                                Fout = F
//     hedgehog_fla   softmax(cat[2z, -2z]), one softmax        Fout = 2F
// and the first halves of hedgehog and exp alone. Sources: Hedgehog (arXiv
// 2402.04347), T2R (2103.13076), Katharopoulos et al. (2006.16236), LoLCATs
// (2410.10254), the layer of flash-linear-attention.
// A new map is a row in each of three tables: its width (feature_map.cc), its
// specification (feature_map_ref.h) and its vectorised block functions
// (feature_map_simd.cc), through which the attention kernels call too; and a
// case in each of two functions for GPUs (feature_map_cuda.h).
#ifndef CARACAL_KERNELS_FEATURE_MAP_FEATURE_MAP_H_
#define CARACAL_KERNELS_FEATURE_MAP_FEATURE_MAP_H_

#include <cstdint>

#include "kernels/common/context.h"
#include "kernels/common/tensor_view.h"

namespace caracal::kernels {

enum class FeatureMapKind : uint8_t {
  kHedgehog,
  kIdentity,  // Fout = F, no clamp: tests only
  kExp,
  kT2r,
  kElu1,
  kHedgehogFla,
  kHedgehogHalf,  // softmax(z), Fout = F
  kExpHalf,       // exp(z - max z), Fout = F
};
inline constexpr int kFeatureMapKinds = 8;

// phi is clamped to at least this (but for kIdentity).
inline constexpr float kFeatureFloor = 1e-12f;

// Output dimension Fout for F columns of W.
int64_t FeatureMapOutputs(FeatureMapKind kind, int64_t features);

// x [rows, H, D] (strided rows and heads), weight [H, D, F] or [1, D, F] (one
// map for all heads of phi), bias [H, F], [1, F] or undefined -> phi [rows, H,
// Fout]. fp32; x and phi have unit stride in the last dimension. When H_x < H,
// x has H_x heads and head h reads x head h / (H / H_x) (keys under GQA).
void FeatureMapForward(const Context& ctx, FeatureMapKind kind,
                       ConstTensorView x, ConstTensorView weight,
                       ConstTensorView bias, TensorView phi);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_FEATURE_MAP_FEATURE_MAP_H_
