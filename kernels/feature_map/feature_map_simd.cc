// The table of vectorised feature maps, and the operation on its own.
#include "kernels/feature_map/feature_map_simd.h"

#include "kernels/feature_map/feature_map_block.h"

namespace caracal::kernels::CARACAL_SIMD_NS {
namespace {

using namespace ::caracal::CARACAL_SIMD_NS;  // NOLINT: Vec and products

// One vector of samples after another.
template <void (*kColumn)(int64_t, const float*, float*)>
void ForwardColumns(int64_t F, int lanes, const float* z, float* phi) {
  for (int l = 0; l < lanes; l += Vec::kLanes) kColumn(F, z + l, phi + l);
}
template <void (*kColumn)(int64_t, const float*, float*)>
void BackwardColumns(int64_t F, int lanes, const float* phi, float* dphi) {
  for (int l = 0; l < lanes; l += Vec::kLanes) kColumn(F, phi + l, dphi + l);
}

struct Extremes {
  Vec top, bottom;
};
Extremes ExtremesOf(int64_t F, const float* z) {
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
  return {Max(top, top2), Min(bottom, bottom2)};
}

// phi *= scale, clamped.
void ScaleFeatures(int64_t count, Vec scale, float* phi) {
  const Vec floor = Set(kFeatureFloor);
  for (int64_t f = 0; f < count; ++f) {
    Store(phi + f * kBlock, Max(floor, Load(phi + f * kBlock) * scale));
  }
}

// A clamped feature f, or 0 where the clamp was active: there it is too small
// for its own factor to matter, and its gradient is cut.
Vec Unclamped(const float* phi) {
  const Vec p = Load(phi);
  return SelectOrZero(Greater(p, Set(kFeatureFloor)), p);
}

// exp(z - top) and, of two halves, exp(bottom - z) below it; z may be phi's
// first F rows. Returns the sums of both.
template <int kHalves>
void Exponentials(int64_t F, const float* z, Extremes extremes, float* phi,
                  Vec& sum, Vec& sum_minus) {
  sum = sum_minus = Zero();
  for (int64_t f = 0; f < F; ++f) {
    const Vec a = Load(z + f * kBlock);
    const Vec plus = Exp(a - extremes.top);
    Store(phi + f * kBlock, plus);
    sum = sum + plus;
    if (kHalves == 1) continue;
    const Vec minus = Exp(extremes.bottom - a);
    Store(phi + (F + f) * kBlock, minus);
    sum_minus = sum_minus + minus;
  }
}

template <int kHalves>
void HedgehogColumn(int64_t F, const float* z, float* phi) {
  Vec sum, sum_minus;
  Exponentials<kHalves>(F, z, ExtremesOf(F, z), phi, sum, sum_minus);
  ScaleFeatures(F, Set(1.0f) / sum, phi);
  if (kHalves == 2) ScaleFeatures(F, Set(1.0f) / sum_minus, phi + F * kBlock);
}

// sum_f phi_f dphi_f over `count` features.
Vec FeatureDot(int64_t count, const float* phi, const float* dphi) {
  Vec dot = Zero();
  for (int64_t f = 0; f < count; ++f) {
    dot = Fma(Unclamped(phi + f * kBlock), Load(dphi + f * kBlock), dot);
  }
  return dot;
}

// dz = scale (s+ (ds+ - dot+) - s- (ds- - dot-)), the softmax's derivative.
template <int kHalves>
void SoftmaxGradient(int64_t F, const float* phi, Vec dot, Vec dot_minus,
                     Vec scale, float* dphi) {
  const float* const minus = phi + F * kBlock;
  const float* const dminus = dphi + F * kBlock;
  for (int64_t f = 0; f < F; ++f) {
    const int64_t at = f * kBlock;
    Vec dz = Unclamped(phi + at) * (Load(dphi + at) - dot);
    if (kHalves == 2) {
      dz = dz - Unclamped(minus + at) * (Load(dminus + at) - dot_minus);
    }
    Store(dphi + at, scale * dz);
  }
}

template <int kHalves>
void HedgehogGradientColumn(int64_t F, const float* phi, float* dphi) {
  const Vec dot = FeatureDot(F, phi, dphi);
  const Vec dot_minus = kHalves == 2
                            ? FeatureDot(F, phi + F * kBlock, dphi + F * kBlock)
                            : Zero();
  SoftmaxGradient<kHalves>(F, phi, dot, dot_minus, Set(1.0f), dphi);
}

void HedgehogFlaColumn(int64_t F, const float* z, float* phi) {
  // exp(2z - 2a) and exp(-2z - 2a) with a = max |z|.
  const Extremes extremes = ExtremesOf(F, z);
  const Vec top = Max(extremes.top, Zero() - extremes.bottom);
  const Vec two = Set(2.0f);
  Vec sum = Zero();
  for (int64_t f = 0; f < F; ++f) {
    const Vec a = Load(z + f * kBlock);
    const Vec plus = Exp(two * (a - top)),
              minus = Exp(two * (Zero() - a - top));
    Store(phi + f * kBlock, plus);
    Store(phi + (F + f) * kBlock, minus);
    sum = sum + plus + minus;
  }
  ScaleFeatures(2 * F, Set(1.0f) / sum, phi);
}

void HedgehogFlaGradientColumn(int64_t F, const float* phi, float* dphi) {
  const Vec dot = FeatureDot(2 * F, phi, dphi);
  SoftmaxGradient<2>(F, phi, dot, dot, Set(2.0f), dphi);
}

template <int kHalves>
void ExpColumn(int64_t F, const float* z, float* phi) {
  Vec sum, sum_minus;
  Exponentials<kHalves>(F, z, ExtremesOf(F, z), phi, sum, sum_minus);
  ScaleFeatures(kHalves * F, Set(1.0f), phi);
}

// The extremes are where a feature is 1; they share their gradient evenly.
Vec ExtremeGradient(int64_t F, const float* phi, const float* dphi) {
  const Vec one = Set(1.0f);
  Vec count = Zero();
  for (int64_t f = 0; f < F; ++f) {
    count = count + SelectOrZero(Equal(Load(phi + f * kBlock), one), one);
  }
  return FeatureDot(F, phi, dphi) / count;
}

template <int kHalves>
void ExpGradientColumn(int64_t F, const float* phi, float* dphi) {
  const float* const minus = phi + F * kBlock;
  const float* const dminus = dphi + F * kBlock;
  const Vec one = Set(1.0f);
  const Vec top = ExtremeGradient(F, phi, dphi);
  const Vec bottom = kHalves == 2 ? ExtremeGradient(F, minus, dminus) : Zero();
  for (int64_t f = 0; f < F; ++f) {
    const int64_t at = f * kBlock;
    Vec dz = Unclamped(phi + at) * Load(dphi + at) -
             SelectOrZero(Equal(Load(phi + at), one), top);
    if (kHalves == 2) {
      dz = dz - Unclamped(minus + at) * Load(dminus + at) +
           SelectOrZero(Equal(Load(minus + at), one), bottom);
    }
    Store(dphi + at, dz);
  }
}

void T2rColumn(int64_t F, const float* z, float* phi) {
  const Vec floor = Set(kFeatureFloor);
  for (int64_t f = 0; f < F; ++f) {
    Store(phi + f * kBlock, Max(floor, Load(z + f * kBlock)));
  }
}

void T2rGradientColumn(int64_t F, const float* phi, float* dphi) {
  const Vec floor = Set(kFeatureFloor);
  for (int64_t f = 0; f < F; ++f) {
    const int64_t at = f * kBlock;
    Store(dphi + at,
          SelectOrZero(Greater(Load(phi + at), floor), Load(dphi + at)));
  }
}

void Elu1Column(int64_t F, const float* z, float* phi) {
  const Vec floor = Set(kFeatureFloor), one = Set(1.0f);
  for (int64_t f = 0; f < F; ++f) {
    const Vec a = Load(z + f * kBlock);
    const Vec below = Exp(Min(a, Zero()));
    Store(phi + f * kBlock,
          Max(floor, Select(Greater(a, Zero()), a + one, below)));
  }
}

// The slope is 1 above 0, where phi > 1, and phi below.
void Elu1GradientColumn(int64_t F, const float* phi, float* dphi) {
  const Vec one = Set(1.0f);
  for (int64_t f = 0; f < F; ++f) {
    const int64_t at = f * kBlock;
    Store(dphi + at, Min(Unclamped(phi + at), one) * Load(dphi + at));
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
    {ForwardColumns<HedgehogColumn<2>>,
     BackwardColumns<HedgehogGradientColumn<2>>},
    {IdentityForward, IdentityBackward},
    {ForwardColumns<ExpColumn<2>>, BackwardColumns<ExpGradientColumn<2>>},
    {ForwardColumns<T2rColumn>, BackwardColumns<T2rGradientColumn>},
    {ForwardColumns<Elu1Column>, BackwardColumns<Elu1GradientColumn>},
    {ForwardColumns<HedgehogFlaColumn>,
     BackwardColumns<HedgehogFlaGradientColumn>},
    {ForwardColumns<HedgehogColumn<1>>,
     BackwardColumns<HedgehogGradientColumn<1>>},
    {ForwardColumns<ExpColumn<1>>, BackwardColumns<ExpGradientColumn<1>>},
};
static_assert(sizeof(kMaps) / sizeof(kMaps[0]) == kFeatureMapKinds);

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
