#include "kernels/matmul/matmul.h"

#include <cblas.h>

#include "kernels/common/matrix_view.h"

namespace caracal::kernels {
namespace {

// Rows or columns of C a thread takes are multiples of this: a multiple of the
// library's register blocks.
constexpr int64_t kGrain = 48;

// Threads are ours: the library must not start its own inside each of them.
void LimitLibraryThreads() {
  static const bool done = [] {
    openblas_set_num_threads(1);
    return true;
  }();
  (void)done;
}

}  // namespace

void MatMul(const Context& ctx, Transpose ta, Transpose tb, float alpha,
            ConstTensorView a, ConstTensorView b, float beta, TensorView c) {
  LimitLibraryThreads();
  const auto cm = MatrixOf(c);
  const auto am = MatrixOf(a);
  const auto bm = MatrixOf(b);
  const bool a_transposed = ta == Transpose::kYes;
  const bool b_transposed = tb == Transpose::kYes;
  const int64_t m = cm.rows, n = cm.columns;
  const int64_t k = a_transposed ? am.rows : am.columns;
  CARACAL_CHECK_EQ(a_transposed ? am.columns : am.rows, m);
  CARACAL_CHECK_EQ(b_transposed ? bm.columns : bm.rows, k);
  CARACAL_CHECK_EQ(b_transposed ? bm.rows : bm.columns, n);
  if (m == 0 || n == 0) return;
  const auto tile = [&](int64_t row, int64_t rows, int64_t column,
                        int64_t columns) {
    cblas_sgemm(CblasRowMajor, a_transposed ? CblasTrans : CblasNoTrans,
                b_transposed ? CblasTrans : CblasNoTrans, rows, columns, k,
                alpha, a_transposed ? am.data + row : am.row(row), am.stride,
                b_transposed ? bm.row(column) : bm.data + column, bm.stride,
                beta, cm.row(row) + column, cm.stride);
  };
  if (m >= n) {
    ctx.pool->ParallelRanges(m, kGrain, [&](int64_t begin, int64_t end, int) {
      tile(begin, end - begin, 0, n);
    });
  } else {
    ctx.pool->ParallelRanges(n, kGrain, [&](int64_t begin, int64_t end, int) {
      tile(0, m, begin, end - begin);
    });
  }
}

}  // namespace caracal::kernels
