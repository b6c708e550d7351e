// Vectorised loops for products with few rows.
#ifndef CARACAL_KERNELS_MATMUL_MATMUL_SIMD_H_
#define CARACAL_KERNELS_MATMUL_MATMUL_SIMD_H_

#include "kernels/matmul/matmul_loops.h"

namespace caracal::kernels {
namespace avx2 {
extern const MatMulLoops kMatMulLoops;
}
namespace avx512 {
extern const MatMulLoops kMatMulLoops;
}
}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_MATMUL_MATMUL_SIMD_H_
