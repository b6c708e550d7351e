// Small dense products inside one core's caches, for kernels that work in
// blocks (attention):
//     C [M, N] (+)= A [M, K] B [K, N]
// A is read by scalar broadcast, so either it or its transpose may be stored;
// rows of B and C are contiguous. Any M, N, K >= 0; no alignment needed.
// Included only by sources of a simd_library.
#ifndef CARACAL_KERNELS_COMMON_MICRO_GEMM_H_
#define CARACAL_KERNELS_COMMON_MICRO_GEMM_H_

#include <cstdint>

#include "kernels/common/simd.h"

namespace caracal::CARACAL_SIMD_NS {

// How A(m, k) lies in memory.
enum class Layout {
  kRows,     // a[m * lda + k]
  kColumns,  // a[k * lda + m]: the transpose is stored
};

// Whether a product replaces C or is added to it.
enum class Update { kAssign, kAdd };

// Rows of a register tile. 4 x 2 vectors of accumulators keep the FMA units of
// AVX2 and AVX-512 machines busy (8 chains, latency 4), and a small tile
// wastes little on the borders of triangular blocks.
inline constexpr int kTileRows = 4;

// One register tile: R rows, V vectors of columns, the last one of `tail`
// lanes when kTail.
template <Layout kA, Update kUpdate, int R, int V, bool kTail>
inline __attribute__((always_inline)) void GemmTile(int64_t K, const float* a,
                                                    int64_t lda, const float* b,
                                                    int64_t ldb, float* c,
                                                    int64_t ldc, int tail) {
  constexpr int L = Vec::kLanes;
  const auto load = [tail](const float* p, int v) {
    return kTail && v == V - 1 ? LoadN(p + v * L, tail) : Load(p + v * L);
  };
  Vec sum[R][V];
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      sum[r][v] = kUpdate == Update::kAdd ? load(c + r * ldc, v) : Zero();
    }
  }
  for (int64_t k = 0; k < K; ++k) {
    Vec right[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) right[v] = load(b, v);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      const Vec left = Set(kA == Layout::kColumns ? a[r] : a[r * lda]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sum[r][v] = Fma(left, right[v], sum[r][v]);
    }
    a += kA == Layout::kColumns ? lda : 1;
    b += ldb;
  }
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      float* out = c + r * ldc + v * L;
      if (kTail && v == V - 1) {
        StoreN(out, sum[r][v], tail);
      } else {
        Store(out, sum[r][v]);
      }
    }
  }
}

// All M rows of one panel of columns, so that the panel of B stays in L1.
template <Layout kA, Update kUpdate, int V, bool kTail>
void GemmPanel(int64_t M, int64_t K, const float* a, int64_t lda,
               const float* b, int64_t ldb, float* c, int64_t ldc, int tail) {
  const int64_t step = kA == Layout::kColumns ? 1 : lda;
  int64_t m = 0;
  for (; m + kTileRows <= M; m += kTileRows) {
    GemmTile<kA, kUpdate, kTileRows, V, kTail>(K, a + m * step, lda, b, ldb,
                                               c + m * ldc, ldc, tail);
  }
  for (; m < M; ++m) {
    GemmTile<kA, kUpdate, 1, V, kTail>(K, a + m * step, lda, b, ldb,
                                       c + m * ldc, ldc, tail);
  }
}

template <Layout kA, Update kUpdate>
void Gemm(int64_t M, int64_t N, int64_t K, const float* a, int64_t lda,
          const float* b, int64_t ldb, float* c, int64_t ldc) {
  constexpr int L = Vec::kLanes;
  int64_t n = 0;
  for (; n + 2 * L <= N; n += 2 * L) {
    GemmPanel<kA, kUpdate, 2, false>(M, K, a, lda, b + n, ldb, c + n, ldc, 0);
  }
  if (n + L <= N) {
    GemmPanel<kA, kUpdate, 1, false>(M, K, a, lda, b + n, ldb, c + n, ldc, 0);
    n += L;
  }
  if (n < N) {
    GemmPanel<kA, kUpdate, 1, true>(M, K, a, lda, b + n, ldb, c + n, ldc,
                                    static_cast<int>(N - n));
  }
}

// y [N] (+)= x [K] B [K, N]: one row, as wide as there are columns, so that
// enough independent sums are in flight.
template <Update kUpdate>
void RowTimesMatrix(int64_t N, int64_t K, const float* x, const float* b,
                    int64_t ldb, float* y) {
  constexpr int L = Vec::kLanes;
  constexpr auto kA = Layout::kRows;
  int64_t n = 0;
  for (; n + 4 * L <= N; n += 4 * L) {
    GemmTile<kA, kUpdate, 1, 4, false>(K, x, 0, b + n, ldb, y + n, 0, 0);
  }
  for (; n + L <= N; n += L) {
    GemmTile<kA, kUpdate, 1, 1, false>(K, x, 0, b + n, ldb, y + n, 0, 0);
  }
  if (n < N) {
    GemmTile<kA, kUpdate, 1, 1, true>(K, x, 0, b + n, ldb, y + n, 0,
                                      static_cast<int>(N - n));
  }
}

// out[i] = x [K] . rows [i * stride ...], i < count.
inline void DotRows(int64_t count, int64_t K, const float* x, const float* rows,
                    int64_t stride, float* out) {
  constexpr int L = Vec::kLanes;
  const int tail = static_cast<int>(K % L);
  const int64_t whole = K - tail;
  for (int64_t i = 0; i < count; ++i, rows += stride) {
    Vec sum[2] = {Zero(), Zero()};
    int64_t k = 0;
    for (; k + 2 * L <= whole; k += 2 * L) {
      sum[0] = Fma(Load(x + k), Load(rows + k), sum[0]);
      sum[1] = Fma(Load(x + k + L), Load(rows + k + L), sum[1]);
    }
    if (k < whole) sum[0] = Fma(Load(x + k), Load(rows + k), sum[0]);
    if (tail > 0) {
      sum[1] = Fma(LoadN(x + whole, tail), LoadN(rows + whole, tail), sum[1]);
    }
    out[i] = ReduceAdd(sum[0] + sum[1]);
  }
}

#if defined(__AVX512F__)

// dst[c * ldd + r] = src[r * lds + c] of a 16 x 16 block.
inline void TransposeSquare(const float* src, int64_t lds, float* dst,
                            int64_t ldd) {
  __m512 a[16], b[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) a[i] = _mm512_loadu_ps(src + i * lds);
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    a[i] = _mm512_shuffle_ps(b[i], b[i + 2], 0x44);
    a[i + 1] = _mm512_shuffle_ps(b[i], b[i + 2], 0xee);
    a[i + 2] = _mm512_shuffle_ps(b[i + 1], b[i + 3], 0x44);
    a[i + 3] = _mm512_shuffle_ps(b[i + 1], b[i + 3], 0xee);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m512 t0 = _mm512_shuffle_f32x4(a[i], a[i + 4], 0x88);
    const __m512 t1 = _mm512_shuffle_f32x4(a[i], a[i + 4], 0xdd);
    const __m512 t2 = _mm512_shuffle_f32x4(a[i + 8], a[i + 12], 0x88);
    const __m512 t3 = _mm512_shuffle_f32x4(a[i + 8], a[i + 12], 0xdd);
    _mm512_storeu_ps(dst + i * ldd, _mm512_shuffle_f32x4(t0, t2, 0x88));
    _mm512_storeu_ps(dst + (i + 8) * ldd, _mm512_shuffle_f32x4(t0, t2, 0xdd));
    _mm512_storeu_ps(dst + (i + 4) * ldd, _mm512_shuffle_f32x4(t1, t3, 0x88));
    _mm512_storeu_ps(dst + (i + 12) * ldd, _mm512_shuffle_f32x4(t1, t3, 0xdd));
  }
}

#else

// dst[c * ldd + r] = src[r * lds + c] of an 8 x 8 block.
inline void TransposeSquare(const float* src, int64_t lds, float* dst,
                            int64_t ldd) {
  __m256 a[8], b[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) a[i] = _mm256_loadu_ps(src + i * lds);
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
    b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {
    a[i] = _mm256_shuffle_ps(b[i], b[i + 2], 0x44);
    a[i + 1] = _mm256_shuffle_ps(b[i], b[i + 2], 0xee);
    a[i + 2] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0x44);
    a[i + 3] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0xee);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    _mm256_storeu_ps(dst + i * ldd,
                     _mm256_permute2f128_ps(a[i], a[i + 4], 0x20));
    _mm256_storeu_ps(dst + (i + 4) * ldd,
                     _mm256_permute2f128_ps(a[i], a[i + 4], 0x31));
  }
}

#endif

// dst [cols, rows] (row stride ldd) = transpose of src [rows, cols].
inline void Transpose(int64_t rows, int64_t cols, const float* src, int64_t lds,
                      float* dst, int64_t ldd) {
  constexpr int L = Vec::kLanes;
  const int64_t whole_rows = rows - rows % L;
  const int64_t whole_cols = cols - cols % L;
  for (int64_t r = 0; r < whole_rows; r += L) {
    for (int64_t c = 0; c < whole_cols; c += L) {
      TransposeSquare(src + r * lds + c, lds, dst + c * ldd + r, ldd);
    }
  }
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t begin = r < whole_rows ? whole_cols : 0;
    for (int64_t c = begin; c < cols; ++c) dst[c * ldd + r] = src[r * lds + c];
  }
}

}  // namespace caracal::CARACAL_SIMD_NS

#endif  // CARACAL_KERNELS_COMMON_MICRO_GEMM_H_
