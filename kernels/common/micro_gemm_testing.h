// micro_gemm.h's functions as a table, one an instruction set, for its test.
#ifndef CARACAL_KERNELS_COMMON_MICRO_GEMM_TESTING_H_
#define CARACAL_KERNELS_COMMON_MICRO_GEMM_TESTING_H_

#include <cstdint>

namespace caracal {

struct MicroGemmFunctions {
  // [A stored by columns][C added to](M, N, K, a, lda, b, ldb, c, ldc)
  void (*gemm[2][2])(int64_t, int64_t, int64_t, const float*, int64_t,
                     const float*, int64_t, float*, int64_t);
  // [y added to](N, K, x, b, ldb, y)
  void (*row_times_matrix[2])(int64_t, int64_t, const float*, const float*,
                              int64_t, float*);
  // (count, K, x, rows, stride, out)
  void (*dot_rows)(int64_t, int64_t, const float*, const float*, int64_t,
                   float*);
  // (rows, cols, src, lds, dst, ldd)
  void (*transpose)(int64_t, int64_t, const float*, int64_t, float*, int64_t);
};

namespace avx2 {
extern const MicroGemmFunctions kMicroGemmFunctions;
}
namespace avx512 {
extern const MicroGemmFunctions kMicroGemmFunctions;
}

}  // namespace caracal

#endif  // CARACAL_KERNELS_COMMON_MICRO_GEMM_TESTING_H_
