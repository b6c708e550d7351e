// Scalar reference of the feature maps: the specification. T is float, double
// or std::complex<double> (complex-step derivatives: branches look at the
// real part).
#ifndef CARACAL_KERNELS_FEATURE_MAP_FEATURE_MAP_REF_H_
#define CARACAL_KERNELS_FEATURE_MAP_FEATURE_MAP_REF_H_

#include <cmath>
#include <complex>
#include <cstdint>
#include <iterator>
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
void ClampFeatures(int64_t count, T* phi) {
  for (int64_t f = 0; f < count; ++f) {
    if (RealPart(phi[f]) < kFeatureFloor) phi[f] = T(kFeatureFloor);
  }
}

// What comes through the clamp, given the feature before it.
template <typename T>
T ThroughClamp(const T& feature, const T& gradient) {
  return RealPart(feature) >= kFeatureFloor ? gradient : T(0);
}

// cat[softmax(z), softmax(-z)], or the first of `kHalves` of them.
template <typename T, int kHalves>
void HedgehogForward(int64_t F, const T* z, T* phi) {
  Softmax(F, 1.0, z, phi);
  if (kHalves == 2) Softmax(F, -1.0, z, phi + F);
  ClampFeatures(kHalves * F, phi);
}

template <typename T, int kHalves>
void HedgehogBackward(int64_t F, const T* z, const T* dphi, T* dz) {
  std::vector<T> s(F);
  for (int64_t f = 0; f < F; ++f) dz[f] = T(0);
  for (int half = 0; half < kHalves; ++half) {
    const double sign = half == 0 ? 1.0 : -1.0;
    const T* ds = dphi + half * F;
    Softmax(F, sign, z, s.data());
    T dot = T(0);
    for (int64_t f = 0; f < F; ++f) dot += s[f] * ThroughClamp(s[f], ds[f]);
    for (int64_t f = 0; f < F; ++f) {
      dz[f] += T(sign) * s[f] * (ThroughClamp(s[f], ds[f]) - dot);
    }
  }
}

// exp(sign z - max(sign z)). The maximum's gradient is shared evenly by the
// elements that attain it.
template <typename T, int kHalves>
void ExpForward(int64_t F, const T* z, T* phi) {
  for (int half = 0; half < kHalves; ++half) {
    const double sign = half == 0 ? 1.0 : -1.0;
    int64_t top = 0;
    for (int64_t f = 1; f < F; ++f) {
      if (sign * RealPart(z[f]) > sign * RealPart(z[top])) top = f;
    }
    for (int64_t f = 0; f < F; ++f) {
      phi[half * F + f] = std::exp(T(sign) * (z[f] - z[top]));
    }
  }
  ClampFeatures(kHalves * F, phi);
}

template <typename T, int kHalves>
void ExpBackward(int64_t F, const T* z, const T* dphi, T* dz) {
  for (int64_t f = 0; f < F; ++f) dz[f] = T(0);
  for (int half = 0; half < kHalves; ++half) {
    const double sign = half == 0 ? 1.0 : -1.0;
    double top = sign * RealPart(z[0]);
    for (int64_t f = 1; f < F; ++f) {
      top = std::fmax(top, sign * RealPart(z[f]));
    }
    T dot = T(0);
    int64_t ties = 0;
    for (int64_t f = 0; f < F; ++f) {
      const T e = std::exp(T(sign) * z[f] - T(top));
      const T d = e * ThroughClamp(e, dphi[half * F + f]);
      dz[f] += T(sign) * d;
      dot += d;
      ties += sign * RealPart(z[f]) == top;
    }
    for (int64_t f = 0; f < F; ++f) {
      if (sign * RealPart(z[f]) == top) {
        dz[f] -= T(sign) * dot / T(static_cast<double>(ties));
      }
    }
  }
}

template <typename T>
void T2rForward(int64_t F, const T* z, T* phi) {
  for (int64_t f = 0; f < F; ++f) phi[f] = z[f];
  ClampFeatures(F, phi);
}

template <typename T>
void T2rBackward(int64_t F, const T* z, const T* dphi, T* dz) {
  for (int64_t f = 0; f < F; ++f) dz[f] = ThroughClamp(z[f], dphi[f]);
}

template <typename T>
T Elu1(const T& z) {
  return RealPart(z) > 0 ? T(1) + z : std::exp(z);
}

template <typename T>
void Elu1Forward(int64_t F, const T* z, T* phi) {
  for (int64_t f = 0; f < F; ++f) phi[f] = Elu1(z[f]);
  ClampFeatures(F, phi);
}

template <typename T>
void Elu1Backward(int64_t F, const T* z, const T* dphi, T* dz) {
  for (int64_t f = 0; f < F; ++f) {
    const T phi = Elu1(z[f]);
    const T slope = RealPart(z[f]) > 0 ? T(1) : phi;
    dz[f] = slope * ThroughClamp(phi, dphi[f]);
  }
}

// One softmax over cat[2z, -2z].
template <typename T>
void JointSoftmax(int64_t F, const T* z, T* phi) {
  std::vector<T> both(2 * F);
  for (int64_t f = 0; f < F; ++f) {
    both[f] = T(2) * z[f];
    both[F + f] = T(-2) * z[f];
  }
  Softmax(2 * F, 1.0, both.data(), phi);
}

template <typename T>
void HedgehogFlaForward(int64_t F, const T* z, T* phi) {
  JointSoftmax(F, z, phi);
  ClampFeatures(2 * F, phi);
}

template <typename T>
void HedgehogFlaBackward(int64_t F, const T* z, const T* dphi, T* dz) {
  std::vector<T> s(2 * F);
  JointSoftmax(F, z, s.data());
  T dot = T(0);
  for (int64_t f = 0; f < 2 * F; ++f) dot += s[f] * ThroughClamp(s[f], dphi[f]);
  for (int64_t f = 0; f < F; ++f) {
    dz[f] = T(2) * (s[f] * (ThroughClamp(s[f], dphi[f]) - dot) -
                    s[F + f] * (ThroughClamp(s[F + f], dphi[F + f]) - dot));
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
    {reference::HedgehogForward<T, 2>, reference::HedgehogBackward<T, 2>},
    {reference::IdentityForward<T>, reference::IdentityBackward<T>},
    {reference::ExpForward<T, 2>, reference::ExpBackward<T, 2>},
    {reference::T2rForward<T>, reference::T2rBackward<T>},
    {reference::Elu1Forward<T>, reference::Elu1Backward<T>},
    {reference::HedgehogFlaForward<T>, reference::HedgehogFlaBackward<T>},
    {reference::HedgehogForward<T, 1>, reference::HedgehogBackward<T, 1>},
    {reference::ExpForward<T, 1>, reference::ExpBackward<T, 1>},
};
static_assert(std::size(kFeatureMapReference<float>) == kFeatureMapKinds);

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
