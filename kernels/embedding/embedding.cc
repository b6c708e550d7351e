#include "kernels/embedding/embedding.h"

#include <cstring>

#include "kernels/common/dispatch.h"
#include "kernels/common/matrix_view.h"
#include "kernels/embedding/embedding_ref.h"
#include "kernels/embedding/embedding_simd.h"

namespace caracal::kernels {
namespace {

// Columns a thread takes of the table's gradient: whole cache lines.
constexpr int64_t kColumnGrain = 64;

}  // namespace

void EmbeddingForward(const Context& ctx, ConstTensorView ids,
                      ConstTensorView table, int64_t vocab_begin,
                      TensorView out) {
  const auto rows_of_table = MatrixOf(table);
  const auto y = MatrixOf(out);
  CARACAL_CHECK_EQ(y.columns, rows_of_table.columns);
  const int32_t* id = VectorOf<int32_t>(ids, y.rows);
  const size_t bytes = y.columns * sizeof(float);
  ctx.pool->ParallelRanges(y.rows, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      const int64_t row = id[r] - vocab_begin;
      if (row >= 0 && row < rows_of_table.rows) {
        std::memcpy(y.row(r), rows_of_table.row(row), bytes);
      } else {
        std::memset(y.row(r), 0, bytes);
      }
    }
  });
}

void EmbeddingBackward(const Context& ctx, ConstTensorView ids,
                       ConstTensorView dout, int64_t vocab_begin,
                       TensorView dtable) {
  const auto dy = MatrixOf(dout);
  const auto table = MatrixOf(dtable);
  CARACAL_CHECK_EQ(dy.columns, table.columns);
  const int32_t* id = VectorOf<int32_t>(ids, dy.rows);
  const EmbeddingLoops& loops = ForCurrentIsa(
      kEmbeddingReference, avx2::kEmbeddingLoops, avx512::kEmbeddingLoops);
  // Each thread owns columns: no two write one element, and equal ids add up
  // in the order of rows.
  ctx.pool->ParallelRanges(
      dy.columns, kColumnGrain, [&](int64_t begin, int64_t end, int) {
        for (int64_t r = 0; r < dy.rows; ++r) {
          const int64_t row = id[r] - vocab_begin;
          if (row < 0 || row >= table.rows) continue;
          loops.add_row(dy.row(r) + begin, end - begin, table.row(row) + begin);
        }
      });
}

}  // namespace caracal::kernels
