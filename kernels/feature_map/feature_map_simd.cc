// The table of vectorised feature maps, and the operation on its own.
#include "kernels/feature_map/feature_map_simd.h"

#include "kernels/feature_map/feature_map_block.h"

namespace caracal::kernels::CARACAL_SIMD_NS {
namespace {

using namespace ::caracal::CARACAL_SIMD_NS;  // NOLINT: Vec and products

// Both softmaxes of one vector of samples.
void HedgehogColumn(int64_t F, const float* z, float* phi) {
  Vec top = Load(z), bottom = top;
  Vec top2 = top, bottom2 = top;
  int64_t f = 1;
  for (; f + 2 <= F; f += 2) {
    const Vec a = Load(z + f * kBlock), b = Load(z + (f + 1) * kBlock);
    top = Max(a, top);
    bottom = Min(a, bottom);
    top2 = Max(b, top2);
    bottom2 = Min(b, bottom2);
  }
  for (; f < F; ++f) {
    const Vec a = Load(z + f * kBlock);
    top = Max(a, top);
    bottom = Min(a, bottom);
  }
  top = Max(top, top2);
  bottom = Min(bottom, bottom2);
  Vec sum = Zero(), sum_minus = Zero();
  for (f = 0; f < F; ++f) {
    const Vec a = Load(z + f * kBlock);
    const Vec plus = Exp(a - top), minus = Exp(bottom - a);
    Store(phi + f * kBlock, plus);
    Store(phi + (F + f) * kBlock, minus);
    sum = sum + plus;
    sum_minus = sum_minus + minus;
  }
  const Vec floor = Set(kFeatureFloor);
  const Vec scale = Set(1.0f) / sum, scale_minus = Set(1.0f) / sum_minus;
  for (f = 0; f < F; ++f) {
    float* plus = phi + f * kBlock;
    float* minus = phi + (F + f) * kBlock;
    Store(plus, Max(floor, Load(plus) * scale));
    Store(minus, Max(floor, Load(minus) * scale_minus));
  }
}

void HedgehogForward(int64_t F, int lanes, const float* z, float* phi) {
  for (int l = 0; l < lanes; l += Vec::kLanes)
    HedgehogColumn(F, z + l, phi + l);
}

// phi, or 0 where the clamp was active: there the softmax is below the floor,
// too small for its own factor to matter, and its gradient is cut.
Vec Unclamped(const float* phi) {
  const Vec p = Load(phi);
  return SelectOrZero(Greater(p, Set(kFeatureFloor)), p);
}

void HedgehogBackward(int64_t F, int lanes, const float* phi, float* dphi) {
  for (int l = 0; l < lanes; l += Vec::kLanes) {
    const float* plus = phi + l;
    const float* minus = plus + F * kBlock;
    float* dplus = dphi + l;
    const float* dminus = dplus + F * kBlock;
    Vec dot = Zero(), dot_minus = Zero();
    for (int64_t f = 0; f < F; ++f) {
      const int64_t at = f * kBlock;
      dot = Fma(Unclamped(plus + at), Load(dplus + at), dot);
      dot_minus = Fma(Unclamped(minus + at), Load(dminus + at), dot_minus);
    }
    for (int64_t f = 0; f < F; ++f) {
      const int64_t at = f * kBlock;
      const Vec up = Unclamped(plus + at) * (Load(dplus + at) - dot);
      const Vec down = Unclamped(minus + at) * (Load(dminus + at) - dot_minus);
      Store(dplus + at, up - down);
    }
  }
}

void IdentityForward(int64_t F, int lanes, const float* z, float* phi) {
  if (z == phi) return;
  for (int64_t f = 0; f < F; ++f) {
    for (int l = 0; l < lanes; l += Vec::kLanes) {
      Store(phi + f * kBlock + l, Load(z + f * kBlock + l));
    }
  }
}

void IdentityBackward(int64_t, int, const float*, float*) {}

// Indexed by FeatureMapKind.
constexpr FeatureMapBlock kMaps[] = {
    {HedgehogForward, HedgehogBackward},
    {IdentityForward, IdentityBackward},
};

}  // namespace

const FeatureMapBlock& FeatureMapBlockOf(FeatureMapKind kind) {
  return kMaps[static_cast<int>(kind)];
}

void FeatureMapForwardRows(FeatureMapKind kind, const FeatureMapArgs& args,
                           int64_t begin, int64_t end) {
  alignas(64) float xt[kMaxHeadDimension * kBlock];
  alignas(64) float phi[kMaxFeatureOutputs * kBlock];
  const FeatureMapBlock& map = FeatureMapBlockOf(kind);
  for (int64_t r = begin; r < end; r += kBlock) {
    const int64_t rows = end - r < kBlock ? end - r : kBlock;
    const int lanes =
        static_cast<int>((rows + Vec::kLanes - 1) / Vec::kLanes * Vec::kLanes);
    for (int64_t d = 0; d < args.D; ++d) {
      for (int64_t l = rows; l < lanes; ++l) xt[d * kBlock + l] = 0;
    }
    Transpose(rows, args.D, args.x + r * args.x_stride, args.x_stride, xt,
              kBlock);
    FeaturesOf(map, args.D, args.F, lanes, xt, args.weight, args.bias, phi);
    Transpose(args.Fout, rows, phi, kBlock, args.phi + r * args.phi_stride,
              args.phi_stride);
  }
}

}  // namespace caracal::kernels::CARACAL_SIMD_NS
