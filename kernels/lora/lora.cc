#include "kernels/lora/lora.h"

#include <algorithm>

#include "kernels/common/dispatch.h"
#include "kernels/common/matrix_view.h"
#include "kernels/lora/lora_ref.h"
#include "kernels/lora/lora_simd.h"

namespace caracal::kernels {
namespace {

// B lies as [out, R], but the loops want [R, n]: each thread turns strips of
// it on its stack, at most this many columns, and fewer for high ranks. The
// padding keeps rows from falling on the same sets of the cache.
constexpr int64_t kStripColumns = 512;
constexpr int64_t kStripPadding = 16;
constexpr int64_t kStripFloats = 64 * (kStripColumns + kStripPadding);
// Columns a thread takes are multiples of this.
constexpr int64_t kColumnGrain = 64;
// Rows summed before their sum joins the total, for da and db.
constexpr int64_t kRowBlock = 128;

using Matrix = MatrixView<float>;
using ConstMatrix = MatrixView<const float>;

const LoraLoops& Loops() {
  return ForCurrentIsa(kLoraReference, avx2::kLoraLoops, avx512::kLoraLoops);
}

void CheckRank(int64_t rank) {
  CARACAL_CHECK(rank >= 1 && rank <= kLoraMaxRank) << "rank " << rank;
}

// The transpose of some rows of B, [R, columns] with rows `stride` apart.
struct Strip {
  explicit Strip(int64_t rank)
      : columns(std::min(kStripColumns, kStripFloats / rank - kStripPadding)),
        stride(columns + kStripPadding) {}

  // Takes rows [begin, begin + n) of b.
  void Turn(const ConstMatrix& b, int64_t begin, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
      const float* row = b.row(begin + i);
      for (int64_t k = 0; k < b.columns; ++k) data[k * stride + i] = row[k];
    }
  }

  const int64_t columns;
  const int64_t stride;
  alignas(64) float data[kStripFloats];
};

// w [R, columns of x] += s^T x over all rows; columns [begin, end) only.
void OuterColumns(const LoraLoops& loops, const ConstMatrix& s,
                  const ConstMatrix& x, int64_t begin, int64_t end, float* w,
                  int64_t w_stride) {
  for (int64_t r = 0; r < x.rows; r += kRowBlock) {
    loops.outer(s.row(r), s.stride, x.row(r) + begin, x.stride,
                std::min(kRowBlock, x.rows - r), s.columns, end - begin, w,
                w_stride);
  }
}

}  // namespace

void LoraForward(const Context& ctx, ConstTensorView x, ConstTensorView a,
                 ConstTensorView b, float scale, TensorView xa, TensorView y) {
  const ConstMatrix in = MatrixOf(x);
  const ConstMatrix down = MatrixOf(a);
  const int64_t rows = in.rows, rank = down.rows;
  CheckRank(rank);
  CARACAL_CHECK_EQ(down.columns, in.columns);
  const Matrix out = MatrixOf(y);
  CARACAL_CHECK_EQ(out.rows, rows);
  const ConstMatrix up = MatrixOf(b, out.columns, rank);
  const Matrix s = MatrixOf(xa, rows, rank);
  const LoraLoops& loops = Loops();
  ctx.pool->ParallelRanges(rows, 4, [&](int64_t begin, int64_t end, int) {
    loops.project(in.row(begin), in.stride, down.data, down.stride, 1.0f,
                  end - begin, rank, in.columns, false, s.row(begin), s.stride);
    Strip strip(rank);
    for (int64_t c = 0; c < out.columns; c += strip.columns) {
      const int64_t n = std::min(strip.columns, out.columns - c);
      strip.Turn(up, c, n);
      loops.expand(s.row(begin), s.stride, strip.data, strip.stride, scale,
                   end - begin, rank, n, out.row(begin) + c, out.stride);
    }
  });
}

void LoraBackward(const Context& ctx, ConstTensorView dy, ConstTensorView x,
                  ConstTensorView xa, ConstTensorView a, ConstTensorView b,
                  float scale, TensorView dxa, TensorView da, TensorView db,
                  TensorView dx) {
  const ConstMatrix in = MatrixOf(x);
  const ConstMatrix down = MatrixOf(a);
  const int64_t rows = in.rows, rank = down.rows;
  CheckRank(rank);
  CARACAL_CHECK_EQ(down.columns, in.columns);
  const ConstMatrix dout = MatrixOf(dy);
  CARACAL_CHECK_EQ(dout.rows, rows);
  const ConstMatrix up = MatrixOf(b, dout.columns, rank);
  const ConstMatrix s = MatrixOf(xa, rows, rank);
  const Matrix ds = MatrixOf(dxa, rows, rank);
  const Matrix ddown = MatrixOf(da, rank, in.columns);
  const Matrix dup = MatrixOf(db, dout.columns, rank);
  const Matrix din = dx.defined() ? MatrixOf(dx, rows, in.columns) : Matrix{};
  const LoraLoops& loops = Loops();

  // Rows: dxa, and what it brings to dx.
  ctx.pool->ParallelRanges(rows, 4, [&](int64_t begin, int64_t end, int) {
    Strip strip(rank);
    for (int64_t c = 0; c < dout.columns; c += strip.columns) {
      const int64_t n = std::min(strip.columns, dout.columns - c);
      strip.Turn(up, c, n);
      loops.project(dout.row(begin) + c, dout.stride, strip.data, strip.stride,
                    scale, end - begin, rank, n, c > 0, ds.row(begin),
                    ds.stride);
    }
    if (din.data != nullptr) {
      loops.expand(ds.row(begin), ds.stride, down.data, down.stride, 1.0f,
                   end - begin, rank, in.columns, din.row(begin), din.stride);
    }
  });

  // Columns: each thread sums all rows for those it owns, in one order.
  const ConstMatrix ds_in{ds.data, ds.rows, ds.columns, ds.stride};
  ctx.pool->ParallelRanges(in.columns, kColumnGrain,
                           [&](int64_t begin, int64_t end, int) {
                             OuterColumns(loops, ds_in, in, begin, end,
                                          ddown.data + begin, ddown.stride);
                           });
  ctx.pool->ParallelRanges(
      dout.columns, kColumnGrain, [&](int64_t begin, int64_t end, int) {
        Strip strip(rank);
        for (int64_t c = begin; c < end; c += strip.columns) {
          const int64_t n = std::min(strip.columns, end - c);
          std::fill_n(strip.data, rank * strip.stride, 0.0f);
          OuterColumns(loops, s, dout, c, c + n, strip.data, strip.stride);
          for (int64_t i = 0; i < n; ++i) {
            float* out = dup.row(c + i);
            for (int64_t k = 0; k < rank; ++k) {
              out[k] += scale * strip.data[k * strip.stride + i];
            }
          }
        }
      });
}

}  // namespace caracal::kernels
