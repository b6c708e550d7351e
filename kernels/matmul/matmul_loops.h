// Inner loops for products the library is not made for: few rows on the left
// (decoding), bound by memory, where its packing of the right side would only
// add traffic; and small ones without transposes, for which OpenBLAS 0.3.21
// allocates memory on AVX-512 machines.
#ifndef CARACAL_KERNELS_MATMUL_MATMUL_LOOPS_H_
#define CARACAL_KERNELS_MATMUL_MATMUL_LOOPS_H_

#include <cstdint>

namespace caracal::kernels {

// Row-major, each matrix followed by its row stride. beta = 0 overwrites c.
struct MatMulLoops {
  // c[m, n] = alpha a[m, k] b[n, k]^T + beta c.
  void (*few_rows_transposed)(int64_t m, int64_t n, int64_t k, float alpha,
                              const float* a, int64_t a_stride, const float* b,
                              int64_t b_stride, float beta, float* c,
                              int64_t c_stride);
  // c[n] = alpha a[k] b[k, n] + beta c.
  void (*one_row)(int64_t n, int64_t k, float alpha, const float* a,
                  const float* b, int64_t b_stride, float beta, float* c);
  // c[m, n] = alpha a[m, k] b[k, n] + beta c.
  void (*small)(int64_t m, int64_t n, int64_t k, float alpha, const float* a,
                int64_t a_stride, const float* b, int64_t b_stride, float beta,
                float* c, int64_t c_stride);
};

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_MATMUL_MATMUL_LOOPS_H_
