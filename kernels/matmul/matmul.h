// Matrix products, the bulk of every step. fp32; OpenBLAS, one thread of it
// inside each thread of our pool; loops of our own for few rows (decoding).
//     C = alpha op(A) op(B) + beta C
#ifndef CARACAL_KERNELS_MATMUL_MATMUL_H_
#define CARACAL_KERNELS_MATMUL_MATMUL_H_

#include <cstdint>

#include "kernels/common/context.h"
#include "kernels/common/tensor_view.h"

namespace caracal::kernels {

enum class Transpose : uint8_t { kNo, kYes };

// op(A) [M, K], op(B) [K, N], c [M, N]: row-major matrices, any row stride >=
// columns, adjacent columns. `a` is stored [M, K] or, with ta = kYes, [K, M];
// `b` is stored [K, N] or, with tb = kYes, [N, K]. c overlaps neither. beta = 0
// overwrites c, whatever it held (NaN too). K = 0 leaves beta C.
// No heap allocation once OpenBLAS has its buffers (first call a thread). The
// number of threads changes no bit.
void MatMul(const Context& ctx, Transpose ta, Transpose tb, float alpha,
            ConstTensorView a, ConstTensorView b, float beta, TensorView c);

// The micro-architecture OpenBLAS chose its kernels for ("Cooperlake",
// "Haswell", ...): benchmarks print it, for a wrong guess costs a factor.
const char* MatMulLibraryCore();

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_MATMUL_MATMUL_H_
