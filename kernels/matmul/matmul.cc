#include "kernels/matmul/matmul.h"

#include <cblas.h>

#include <algorithm>
#include <numeric>

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
// from both ends of a block. So that the number of threads changes no bit,
// columns are cut by the shape alone, and threads share out whole dozens of
// rows.
constexpr int64_t kRowGrain = 12;
constexpr int64_t kColumnGrain = 32;
// Rows up to which only columns are cut, and how many of them a strip has then
// at least; elsewhere, as many at least where there are more than two strips.
constexpr int64_t kFewRowsToCut = 96;
constexpr int64_t kNarrowStrip = 128;
constexpr int64_t kWideStrip = 4096;
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

// Begin of piece i of `parts` of `size`; what is left of a grain goes with the
// last.
int64_t Border(int64_t size, int64_t parts, int64_t grain, int64_t i) {
  return i == parts ? size : size / grain * i / parts * grain;
}

// How C is cut. A thread packs its rows of A and its columns of B, so that the
// longer side is cut first.
struct Cuts {
  int64_t strips = 1;  // of columns, each of at least a grain
  int64_t pieces = 1;  // of the rows of each strip
  int64_t row_grain = kRowGrain;
};

Cuts CutsOf(int64_t m, int64_t n, int64_t k, int64_t threads) {
  Cuts cuts;
  const int64_t work = m * n * k;
  if (work < kSerialWork) return cuts;
  if (m <= kFewRowsToCut) {
    while (n / (2 * cuts.strips) >= kNarrowStrip) cuts.strips *= 2;
    return cuts;
  }
  if (work <= kSmallWork) {
    cuts.row_grain = kFewRowsToCut;
    cuts.pieces = m / cuts.row_grain;
    return cuts;
  }
  // No tile is so small that the library takes its other path.
  if (n > m && m * (n / 2 - kColumnGrain) * k > kSmallWork) {
    cuts.strips = 2;
    while (cuts.strips < 8 && n / (2 * cuts.strips) >= kWideStrip) {
      cuts.strips *= 2;
    }
  }
  const int64_t narrowest =
      cuts.strips == 1 ? n : n / cuts.strips - kColumnGrain;
  cuts.row_grain = (kSmallWork / (narrowest * k) / kRowGrain + 1) * kRowGrain;
  const int64_t wanted = std::max(threads / std::gcd(threads, cuts.strips),
                                  (m + kMostRows - 1) / kMostRows);
  cuts.pieces =
      std::clamp<int64_t>(wanted, 1, std::max<int64_t>(1, m / cuts.row_grain));
  return cuts;
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
  const Cuts cuts = CutsOf(p.m, p.n, p.k, ctx.pool->threads());
  ctx.pool->ParallelFor(cuts.strips * cuts.pieces, [&](int64_t i, int) {
    const auto row = [&](int64_t piece) {
      return Border(p.m, cuts.pieces, cuts.row_grain, piece);
    };
    const auto column = [&](int64_t strip) {
      return Border(p.n, cuts.strips, kColumnGrain, strip);
    };
    const int64_t piece = i % cuts.pieces, strip = i / cuts.pieces;
    Tile(p, row(piece), row(piece + 1) - row(piece), column(strip),
         column(strip + 1) - column(strip));
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
