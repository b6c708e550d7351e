#include "kernels/matmul/matmul.h"

#include <cblas.h>

#include <algorithm>

#include "kernels/common/dispatch.h"
#include "kernels/common/matrix_view.h"
#include "kernels/matmul/blas_core.h"
#include "kernels/matmul/matmul_ref.h"
#include "kernels/matmul/matmul_simd.h"

namespace caracal::kernels {
namespace {

using Matrix = MatrixView<float>;
using ConstMatrix = MatrixView<const float>;

// What the library adds up for an element of C, and in which order, depends on
// where in the call the element lies: AVX2 kernels take twelve rows at a time,
// and another path for the rows that are left, and columns by their distance
// from both ends of a block. So that the number of threads changes no bit, they
// share out whole dozens of rows; columns are cut by the shape alone.
constexpr int64_t kRowGrain = 12;
constexpr int64_t kColumnGrain = 32;
// Rows up to which it is the columns that are shared out, and how many of them
// a piece has at least.
constexpr int64_t kStripRows = 96;
constexpr int64_t kStripColumns = 128;
// Rows of one call at most: more, and the library cuts them at its own borders.
constexpr int64_t kMostRows = 4096 * kRowGrain;
// Rows on the left up to which our own loops beat the library.
constexpr int64_t kFewRows = 4;
// Multiply-adds below which waking other threads costs more than it brings.
constexpr int64_t kSerialWork = 1 << 16;
// Multiply-adds up to which OpenBLAS takes its path for small products, which
// adds up in another order.
constexpr int64_t kSmallWork = 1000000;

// One product, transposition resolved.
struct Product {
  bool a_transposed, b_transposed;
  int64_t m, n, k;
  float alpha, beta;
  ConstMatrix a, b;
  Matrix c;
};

// Into how many pieces C falls, and where they begin; all columns or all rows
// belong to each. The borders of rows depend on the number of threads.
class Pieces {
 public:
  Pieces(int64_t m, int64_t n, int64_t k, int64_t threads)
      : by_columns_(m <= kStripRows), size_(by_columns_ ? n : m) {
    const int64_t work = m * n * k;
    if (work < kSerialWork) return;
    if (by_columns_) {
      grain_ = kColumnGrain;
      while (n / (2 * count_) >= kStripColumns) count_ *= 2;
      units_ = (n + grain_ - 1) / grain_;
    } else if (work <= kSmallWork) {
      grain_ = kStripRows;
      units_ = count_ = m / grain_;
    } else {
      // None so small that the library takes its other path.
      grain_ = (kSmallWork / (n * k) / kRowGrain + 1) * kRowGrain;
      units_ = std::max<int64_t>(1, m / grain_);
      count_ =
          std::min(units_, std::max(threads, (m + kMostRows - 1) / kMostRows));
    }
  }

  bool by_columns() const { return by_columns_; }
  int64_t count() const { return count_; }
  // Where piece i begins, and i - 1 ends. What is left of a grain goes with
  // the last.
  int64_t begin(int64_t i) const {
    return i == count_ ? size_ : units_ * i / count_ * grain_;
  }

 private:
  bool by_columns_;
  int64_t size_, grain_ = 1, units_ = 1, count_ = 1;
};

const MatMulLoops& Loops() {
  return ForCurrentIsa(kMatMulReference, avx2::kMatMulLoops,
                       avx512::kMatMulLoops);
}

// Rows [row, row + rows) and columns [column, column + columns) of C.
void Tile(const Product& p, int64_t row, int64_t rows, int64_t column,
          int64_t columns) {
  if (rows <= 0 || columns <= 0) return;
  if (!p.a_transposed && !p.b_transposed &&
      rows * columns * p.k <= kSmallWork) {
    Loops().small(rows, columns, p.k, p.alpha, p.a.row(row), p.a.stride,
                  p.b.data + column, p.b.stride, p.beta, p.c.row(row) + column,
                  p.c.stride);
    return;
  }
  const auto leading = [](int64_t stride) {
    return std::max<int64_t>(1, stride);
  };
  cblas_sgemm(
      CblasRowMajor, p.a_transposed ? CblasTrans : CblasNoTrans,
      p.b_transposed ? CblasTrans : CblasNoTrans, rows, columns, p.k, p.alpha,
      p.a_transposed ? p.a.data + row : p.a.row(row), leading(p.a.stride),
      p.b_transposed ? p.b.row(column) : p.b.data + column, leading(p.b.stride),
      p.beta, p.c.row(row) + column, leading(p.c.stride));
}

// Before main(), while there is one thread.
[[maybe_unused]] const char* const kBlasCore = ChooseBlasCore();

// Threads are ours: the library must not start its own inside each of them.
void LimitLibraryThreads() {
  static const bool done = [] {
    openblas_set_num_threads(1);
    return true;
  }();
  (void)done;
}

void TiledProduct(const Context& ctx, const Product& p) {
  LimitLibraryThreads();
  const Pieces pieces(p.m, p.n, p.k, ctx.pool->threads());
  ctx.pool->ParallelFor(pieces.count(), [&](int64_t i, int) {
    const int64_t begin = pieces.begin(i), size = pieces.begin(i + 1) - begin;
    if (pieces.by_columns()) {
      Tile(p, 0, p.m, begin, size);
    } else {
      Tile(p, begin, size, 0, p.n);
    }
  });
}

// True when our loops took the product.
bool FewRowsProduct(const Context& ctx, const Product& p) {
  const bool row_of_a = !p.a_transposed || (p.m == 1 && p.a.stride == 1);
  if (p.k == 0 || !row_of_a || p.m > (p.b_transposed ? kFewRows : 1)) {
    return false;
  }
  const MatMulLoops& loops = Loops();
  const int64_t grain = p.m * p.n * p.k < kSerialWork ? p.n : kColumnGrain;
  ctx.pool->ParallelRanges(p.n, grain, [&](int64_t begin, int64_t end, int) {
    if (p.b_transposed) {
      loops.few_rows_transposed(p.m, end - begin, p.k, p.alpha, p.a.data,
                                p.a.stride, p.b.row(begin), p.b.stride, p.beta,
                                p.c.data + begin, p.c.stride);
    } else {
      loops.one_row(end - begin, p.k, p.alpha, p.a.data, p.b.data + begin,
                    p.b.stride, p.beta, p.c.data + begin);
    }
  });
  return true;
}

}  // namespace

void MatMul(const Context& ctx, Transpose ta, Transpose tb, float alpha,
            ConstTensorView a, ConstTensorView b, float beta, TensorView c) {
  Product p;
  p.a_transposed = ta == Transpose::kYes;
  p.b_transposed = tb == Transpose::kYes;
  p.alpha = alpha;
  p.beta = beta;
  p.a = MatrixOf(a);
  p.b = MatrixOf(b);
  p.c = MatrixOf(c);
  p.m = p.c.rows;
  p.n = p.c.columns;
  p.k = p.a_transposed ? p.a.rows : p.a.columns;
  CARACAL_CHECK_EQ(p.a_transposed ? p.a.columns : p.a.rows, p.m);
  CARACAL_CHECK_EQ(p.b_transposed ? p.b.columns : p.b.rows, p.k);
  CARACAL_CHECK_EQ(p.b_transposed ? p.b.rows : p.b.columns, p.n);
  if (p.m == 0 || p.n == 0) return;
  if (!FewRowsProduct(ctx, p)) TiledProduct(ctx, p);
}

const char* MatMulLibraryCore() { return openblas_get_corename(); }

}  // namespace caracal::kernels
