#include "kernels/matmul/matmul_ref.h"

namespace caracal::kernels {
namespace {

void FewRowsTransposed(int64_t m, int64_t n, int64_t k, float alpha,
                       const float* a, int64_t a_stride, const float* b,
                       int64_t b_stride, float beta, float* c,
                       int64_t c_stride) {
  MatMulReference<float>(m, n, k, alpha, a, a_stride, 1, b, 1, b_stride, beta,
                         c, c_stride);
}

void OneRow(int64_t n, int64_t k, float alpha, const float* a, const float* b,
            int64_t b_stride, float beta, float* c) {
  MatMulReference<float>(1, n, k, alpha, a, k, 1, b, b_stride, 1, beta, c, n);
}

void Small(int64_t m, int64_t n, int64_t k, float alpha, const float* a,
           int64_t a_stride, const float* b, int64_t b_stride, float beta,
           float* c, int64_t c_stride) {
  MatMulReference<float>(m, n, k, alpha, a, a_stride, 1, b, b_stride, 1, beta,
                         c, c_stride);
}

}  // namespace

const MatMulLoops kMatMulReference = {FewRowsTransposed, OneRow, Small};

}  // namespace caracal::kernels
