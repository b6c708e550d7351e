// The inner loops of LoRA: products with one short dimension R, the rank.
#ifndef CARACAL_KERNELS_LORA_LORA_LOOPS_H_
#define CARACAL_KERNELS_LORA_LORA_LOOPS_H_

#include <cstdint>

namespace caracal::kernels {

// x [rows, n] are activations, s [rows, R] their projections, w [R, n] an
// adapter's matrix; row-major, each pointer followed by its row stride. A
// row of s or x, a column of w: its arithmetic never depends on how many
// others are in the call.
struct LoraLoops {
  // s = scale x w^T, or s += with accumulate.
  void (*project)(const float* x, int64_t x_stride, const float* w,
                  int64_t w_stride, float scale, int64_t rows, int64_t rank,
                  int64_t n, bool accumulate, float* s, int64_t s_stride);
  // x += scale s w.
  void (*expand)(const float* s, int64_t s_stride, const float* w,
                 int64_t w_stride, float scale, int64_t rows, int64_t rank,
                 int64_t n, float* x, int64_t x_stride);
  // w += s^T x.
  void (*outer)(const float* s, int64_t s_stride, const float* x,
                int64_t x_stride, int64_t rows, int64_t rank, int64_t n,
                float* w, int64_t w_stride);
};

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_LORA_LORA_LOOPS_H_
