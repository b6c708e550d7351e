// Scalar reference of the feature maps: the specification. T is float, double
// or std::complex<double> (complex-step derivatives: branches look at the
// real part).
#ifndef CARACAL_KERNELS_FEATURE_MAP_FEATURE_MAP_REF_H_
#define CARACAL_KERNELS_FEATURE_MAP_FEATURE_MAP_REF_H_

#include <cmath>
#include <complex>
#include <cstdint>
#include <vector>

#include "kernels/feature_map/feature_map.h"
#include "kernels/feature_map/feature_map_args.h"

namespace caracal::kernels {

inline double RealPart(double x) { return x; }
inline double RealPart(std::complex<double> x) { return x.real(); }

// phi of z [F], and dz from dphi.
template <typename T>
struct FeatureMapReference {
  void (*forward)(int64_t F, const T* z, T* phi);
  void (*backward)(int64_t F, const T* z, const T* dphi, T* dz);
};

namespace reference {

// out = softmax(sign * z) before the clamp.
template <typename T>
void Softmax(int64_t F, double sign, const T* z, T* out) {
  double top = sign * RealPart(z[0]);
  for (int64_t f = 1; f < F; ++f) {
    top = std::fmax(top, sign * RealPart(z[f]));
  }
  T sum = T(0);
  for (int64_t f = 0; f < F; ++f) {
    out[f] = std::exp(T(sign) * z[f] - T(top));
    sum += out[f];
  }
  for (int64_t f = 0; f < F; ++f) out[f] /= sum;
}

template <typename T>
void HedgehogForward(int64_t F, const T* z, T* phi) {
  Softmax(F, 1.0, z, phi);
  Softmax(F, -1.0, z, phi + F);
  for (int64_t f = 0; f < 2 * F; ++f) {
    if (RealPart(phi[f]) < kFeatureFloor) phi[f] = T(kFeatureFloor);
  }
}

template <typename T>
void HedgehogBackward(int64_t F, const T* z, const T* dphi, T* dz) {
  std::vector<T> s(F);
  for (int64_t f = 0; f < F; ++f) dz[f] = T(0);
  for (int half = 0; half < 2; ++half) {
    const double sign = half == 0 ? 1.0 : -1.0;
    const T* ds = dphi + half * F;
    Softmax(F, sign, z, s.data());
    // The clamp passes no gradient where it is active.
    T dot = T(0);
    for (int64_t f = 0; f < F; ++f) {
      if (RealPart(s[f]) >= kFeatureFloor) dot += s[f] * ds[f];
    }
    for (int64_t f = 0; f < F; ++f) {
      const T through = RealPart(s[f]) >= kFeatureFloor ? ds[f] : T(0);
      dz[f] += T(sign) * s[f] * (through - dot);
    }
  }
}

template <typename T>
void IdentityForward(int64_t F, const T* z, T* phi) {
  for (int64_t f = 0; f < F; ++f) phi[f] = z[f];
}

template <typename T>
void IdentityBackward(int64_t F, const T*, const T* dphi, T* dz) {
  for (int64_t f = 0; f < F; ++f) dz[f] = dphi[f];
}

}  // namespace reference

// Indexed by FeatureMapKind.
template <typename T>
inline constexpr FeatureMapReference<T> kFeatureMapReference[] = {
    {reference::HedgehogForward<T>, reference::HedgehogBackward<T>},
    {reference::IdentityForward<T>, reference::IdentityBackward<T>},
};

// z [F] = x [D] W [D, F] (+ b).
template <typename T>
void FeatureProjection(int64_t D, int64_t F, const T* x, const T* weight,
                       const T* bias, T* z) {
  for (int64_t f = 0; f < F; ++f) {
    z[f] = bias == nullptr ? T(0) : bias[f];
    for (int64_t d = 0; d < D; ++d) z[f] += x[d] * weight[d * F + f];
  }
}

// Rows [begin, end) of one head.
void FeatureMapForwardReference(FeatureMapKind kind, const FeatureMapArgs& args,
                                int64_t begin, int64_t end);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_FEATURE_MAP_FEATURE_MAP_REF_H_
