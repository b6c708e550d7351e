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

// Borders between threads are multiples of the library's register blocks;
// 576 and 960 columns still split into equal halves.
constexpr int64_t kRowGrain = 16;
constexpr int64_t kColumnGrain = 32;
// Rows on the left up to which our own loops beat the library.
constexpr int64_t kFewRows = 4;
// Multiply-adds below which waking other threads costs more than it brings.
constexpr int64_t kSerialWork = 1 << 16;
// Multiply-adds up to which OpenBLAS takes its path for small products.
constexpr int64_t kSmallWork = 1000000;

// One product, transposition resolved.
struct Product {
  bool a_transposed, b_transposed;
  int64_t m, n, k;
  float alpha, beta;
  ConstMatrix a, b;
  Matrix c;
};

// How many pieces the rows and the columns of C fall into.
struct Grid {
  int64_t rows = 1;
  int64_t columns = 1;
};

// The threads as a grid over C with the least to pack for each: a thread packs
// its rows of A and its columns of B. Depends on shape and threads only.
Grid GridOf(int64_t m, int64_t n, int64_t threads) {
  Grid best;
  double best_cost = -1;
  for (int64_t rows = threads; rows >= 1; --rows) {
    if (threads % rows != 0) continue;
    const int64_t columns = threads / rows;
    // The longest side a thread gets, in whole grains.
    const auto piece = [](int64_t size, int64_t parts, int64_t grain) {
      const int64_t units = (size + grain - 1) / grain;
      return static_cast<double>((units + parts - 1) / parts * grain);
    };
    const double height = piece(m, rows, kRowGrain);
    const double width = piece(n, columns, kColumnGrain);
    // Work first (idle threads), then packing, which costs about as much as
    // some 32 multiply-adds an element.
    const double cost = height * width + 32 * (height + width);
    if (best_cost < 0 || cost < best_cost) {
      best = {rows, columns};
      best_cost = cost;
    }
  }
  return best;
}

// Begin of piece i of `parts` of `size`.
int64_t Border(int64_t size, int64_t parts, int64_t grain, int64_t i) {
  const int64_t units = (size + grain - 1) / grain;
  return std::min(size, units * i / parts * grain);
}

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
  const int64_t threads =
      p.m * p.n * p.k < kSerialWork ? 1 : ctx.pool->threads();
  const Grid grid = GridOf(p.m, p.n, threads);
  ctx.pool->ParallelFor(grid.rows * grid.columns, [&](int64_t i, int) {
    const int64_t r = i % grid.rows, c = i / grid.rows;
    const int64_t row = Border(p.m, grid.rows, kRowGrain, r);
    const int64_t column = Border(p.n, grid.columns, kColumnGrain, c);
    Tile(p, row, Border(p.m, grid.rows, kRowGrain, r + 1) - row, column,
         Border(p.n, grid.columns, kColumnGrain, c + 1) - column);
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
