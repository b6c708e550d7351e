// The inner loop of RoPE, one an instruction set.
#ifndef CARACAL_KERNELS_ROPE_ROPE_LOOPS_H_
#define CARACAL_KERNELS_ROPE_ROPE_LOOPS_H_

#include <cstdint>

namespace caracal::kernels {

struct RopeLoops {
  // Rotates the heads of one row, each of 2 `half` elements, by angles whose
  // cosines and sines are given [half]; backwards with `inverse`.
  void (*rotate)(float* x, int64_t head_stride, int64_t heads, int64_t half,
                 const float* cos, const float* sin, bool inverse);
};

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_ROPE_ROPE_LOOPS_H_
