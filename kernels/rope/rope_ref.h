// Scalar reference of RoPE: the specification of the fast versions.
#ifndef CARACAL_KERNELS_ROPE_ROPE_REF_H_
#define CARACAL_KERNELS_ROPE_ROPE_REF_H_

#include <cstdint>

#include "kernels/rope/rope_loops.h"

namespace caracal::kernels {

template <typename T>
void RopeRotateReference(T* x, int64_t head_stride, int64_t heads, int64_t half,
                         const T* cos, const T* sin, bool inverse) {
  for (int64_t h = 0; h < heads; ++h) {
    T* first = x + h * head_stride;
    T* second = first + half;
    for (int64_t i = 0; i < half; ++i) {
      const T s = inverse ? -sin[i] : sin[i];
      const T a = first[i];
      const T b = second[i];
      first[i] = a * cos[i] - b * s;
      second[i] = b * cos[i] + a * s;
    }
  }
}

extern const RopeLoops kRopeReference;

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_ROPE_ROPE_REF_H_
