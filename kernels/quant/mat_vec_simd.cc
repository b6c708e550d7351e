#include "kernels/quant/mat_vec_simd.h"

#include "kernels/quant/decode_simd.h"

namespace caracal::CARACAL_SIMD_NS {
namespace {

// Pairs of a row of w and a row of x that one pass of the inner loop takes:
// their accumulators take half of the registers (32 with AVX-512, else 16).
constexpr int kPairs = Vec::kLanes == 16 ? 16 : 8;
constexpr int kMaxRows = 4;
// Rows that stay in the nearer caches while a batch larger than 4 passes.
constexpr int64_t kRowBlock = 32;

// What lies ahead is asked for at least this early; about the latency of
// memory times the rate of decoding.
constexpr int64_t kPrefetchBytes = 2048;

// sums[r * N + b] = w[r, :] . x[b, :] for R rows. Each sum is added up in one
// order, whatever R and N are, so results do not depend on how rows and
// batches are grouped.
template <typename D, int R, int N>
inline void DotRows(const uint8_t* w, int64_t row_bytes, int64_t columns,
                    const float* x, int64_t x_stride, float* sums) {
  Vec acc[R][N];
  for (int r = 0; r < R; ++r) {
    for (int b = 0; b < N; ++b) acc[r][b] = Zero();
  }
  const auto add_block = [&](const uint8_t* block, int64_t step,
                             const float* column, int64_t stride) {
#pragma GCC unroll 8
    for (int piece = 0; piece < D::kPieces; ++piece) {
      Vec values[R][D::kVecs];
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        D::Decode(block + r * step, piece, values[r]);
      }
#pragma GCC unroll 8
      for (int v = 0; v < D::kVecs; ++v) {
#pragma GCC unroll 8
        for (int b = 0; b < N; ++b) {
          const Vec xv = Load(column + b * stride + D::Offset(piece, v));
#pragma GCC unroll 8
          for (int r = 0; r < R; ++r) {
            acc[r][b] = Fma(values[r][v], xv, acc[r][b]);
          }
        }
      }
    }
  };
  const int64_t blocks = columns / D::kElements;
  // The next rows come from memory while these are used.
  const int64_t group_bytes = R * row_bytes;
  const uint8_t* ahead =
      w + (group_bytes < kPrefetchBytes ? 2 : 1) * group_bytes;
  for (int64_t i = 0; i < blocks; ++i) {
    for (int line = 0; line < R * D::kBytes; line += 64) {
      _mm_prefetch(ahead + i * R * D::kBytes + line, _MM_HINT_T0);
    }
    add_block(w + i * D::kBytes, row_bytes, x + i * D::kElements, x_stride);
  }
  // Plain floats may end inside a stretch: pad it with zeros.
  const int64_t rest = columns - blocks * D::kElements;
  if (rest > 0) {
    constexpr int kElementBytes = D::kBytes / D::kElements;
    uint8_t block[R * D::kBytes] = {};
    float padded[N * D::kElements] = {};
    for (int r = 0; r < R; ++r) {
      __builtin_memcpy(block + r * D::kBytes,
                       w + r * row_bytes + blocks * D::kBytes,
                       rest * kElementBytes);
    }
    for (int b = 0; b < N; ++b) {
      __builtin_memcpy(padded + b * D::kElements,
                       x + b * x_stride + blocks * D::kElements,
                       rest * sizeof(float));
    }
    add_block(block, D::kBytes, padded, D::kElements);
  }
  for (int r = 0; r < R; ++r) {
    for (int b = 0; b < N; ++b) {
      sums[r * N + b] = ReduceAdd(acc[r][b]);
    }
  }
}

template <typename D, int R, int N>
void DotAndStore(const MatVecTask& task, int64_t row, int64_t batch) {
  float sums[R * N];
  DotRows<D, R, N>(task.w.data + row * task.w.row_bytes, task.w.row_bytes,
                   task.w.columns, task.x + batch * task.x_stride,
                   task.x_stride, sums);
  for (int b = 0; b < N; ++b) {
    float* y = task.y + (batch + b) * task.y_stride + row;
    for (int r = 0; r < R; ++r) {
      y[r] =
          task.beta == 0 ? sums[r * N + b] : task.beta * y[r] + sums[r * N + b];
    }
  }
}

template <typename D, int N>
void SomeRows(const MatVecTask& task, int64_t row, int64_t row_end,
              int64_t batch) {
  constexpr int kRows = kPairs / N < kMaxRows ? kPairs / N : kMaxRows;
  for (; row + kRows <= row_end; row += kRows) {
    DotAndStore<D, kRows, N>(task, row, batch);
  }
  for (; row < row_end; ++row) DotAndStore<D, 1, N>(task, row, batch);
}

// All of a large batch sees some rows before the next rows are read.
template <typename D>
void AllBatches(const MatVecTask& task, int64_t row_begin, int64_t row_end) {
  const int64_t step = task.batch <= 4 ? row_end - row_begin : kRowBlock;
  for (int64_t row = row_begin; row < row_end; row += step) {
    const int64_t end = row + step < row_end ? row + step : row_end;
    int64_t b = 0;
    for (; b + 4 <= task.batch; b += 4) SomeRows<D, 4>(task, row, end, b);
    if (b + 2 <= task.batch) {
      SomeRows<D, 2>(task, row, end, b);
      b += 2;
    }
    if (b < task.batch) SomeRows<D, 1>(task, row, end, b);
  }
}

}  // namespace

void MatVecRows(const MatVecTask& task, int64_t row_begin, int64_t row_end) {
  switch (task.w.encoding) {
    case Encoding::kF32:
      return AllBatches<DecodeF32>(task, row_begin, row_end);
    case Encoding::kF16:
      return AllBatches<DecodeF16>(task, row_begin, row_end);
    case Encoding::kBF16:
      return AllBatches<DecodeBF16>(task, row_begin, row_end);
    case Encoding::kQ8_0:
      return AllBatches<DecodeQ8_0>(task, row_begin, row_end);
    case Encoding::kQ4_0:
      return AllBatches<DecodeQ4_0>(task, row_begin, row_end);
    case Encoding::kQ4_1:
      return AllBatches<DecodeQ4_1>(task, row_begin, row_end);
    case Encoding::kQ6_K:
      return AllBatches<DecodeQ6_K>(task, row_begin, row_end);
  }
}

}  // namespace caracal::CARACAL_SIMD_NS
