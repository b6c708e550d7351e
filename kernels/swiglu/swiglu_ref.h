// Scalar reference of SwiGLU: the specification of the fast versions.
#ifndef CARACAL_KERNELS_SWIGLU_SWIGLU_REF_H_
#define CARACAL_KERNELS_SWIGLU_SWIGLU_REF_H_

#include <cmath>
#include <cstdint>

#include "kernels/swiglu/swiglu_loops.h"

namespace caracal::kernels {

// T is float, double, or complex for gradient checks.
template <typename T>
void SwigluForwardReference(const T* gate, const T* up, int64_t n, T* out) {
  using std::exp;
  for (int64_t i = 0; i < n; ++i) {
    out[i] = gate[i] / (T(1) + exp(-gate[i])) * up[i];
  }
}

// silu'(g) = s (1 + g (1 - s)) with s = 1 / (1 + exp(-g)).
template <typename T>
void SwigluBackwardReference(const T* dout, const T* gate, const T* up,
                             int64_t n, T* dgate, T* dup) {
  using std::exp;
  for (int64_t i = 0; i < n; ++i) {
    const T g = gate[i];
    const T s = T(1) / (T(1) + exp(-g));
    const T d = dout[i];
    const T u = up[i];
    dgate[i] = d * u * (s * (T(1) + g * (T(1) - s)));
    dup[i] = d * (g * s);
  }
}

extern const SwigluLoops kSwigluReference;

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_SWIGLU_SWIGLU_REF_H_
