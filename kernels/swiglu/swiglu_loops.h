// The inner loops of SwiGLU, one set an instruction set.
#ifndef CARACAL_KERNELS_SWIGLU_SWIGLU_LOOPS_H_
#define CARACAL_KERNELS_SWIGLU_SWIGLU_LOOPS_H_

#include <cstdint>

namespace caracal::kernels {

// Elementwise over n values; outputs may be any of the inputs.
struct SwigluLoops {
  void (*forward)(const float* gate, const float* up, int64_t n, float* out);
  void (*backward)(const float* dout, const float* gate, const float* up,
                   int64_t n, float* dgate, float* dup);
};

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_SWIGLU_SWIGLU_LOOPS_H_
