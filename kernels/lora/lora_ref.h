// Scalar reference of LoRA: the specification of the fast versions.
#ifndef CARACAL_KERNELS_LORA_LORA_REF_H_
#define CARACAL_KERNELS_LORA_LORA_REF_H_

#include <cstdint>

#include "kernels/lora/lora_loops.h"

namespace caracal::kernels {

// T is float, double, or complex for gradient checks.
template <typename T>
void LoraProjectReference(const T* x, int64_t x_stride, const T* w,
                          int64_t w_stride, T scale, int64_t rows, int64_t rank,
                          int64_t n, bool accumulate, T* s, int64_t s_stride) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t k = 0; k < rank; ++k) {
      T sum = T(0);
      for (int64_t i = 0; i < n; ++i) {
        sum += x[r * x_stride + i] * w[k * w_stride + i];
      }
      T& out = s[r * s_stride + k];
      out = accumulate ? out + scale * sum : scale * sum;
    }
  }
}

template <typename T>
void LoraExpandReference(const T* s, int64_t s_stride, const T* w,
                         int64_t w_stride, T scale, int64_t rows, int64_t rank,
                         int64_t n, T* x, int64_t x_stride) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < n; ++i) {
      T sum = T(0);
      for (int64_t k = 0; k < rank; ++k) {
        sum += s[r * s_stride + k] * w[k * w_stride + i];
      }
      x[r * x_stride + i] += scale * sum;
    }
  }
}

template <typename T>
void LoraOuterReference(const T* s, int64_t s_stride, const T* x,
                        int64_t x_stride, int64_t rows, int64_t rank, int64_t n,
                        T* w, int64_t w_stride) {
  for (int64_t k = 0; k < rank; ++k) {
    for (int64_t i = 0; i < n; ++i) {
      T sum = T(0);
      for (int64_t r = 0; r < rows; ++r) {
        sum += s[r * s_stride + k] * x[r * x_stride + i];
      }
      w[k * w_stride + i] += sum;
    }
  }
}

extern const LoraLoops kLoraReference;

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_LORA_LORA_REF_H_
