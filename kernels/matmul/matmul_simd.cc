#include "kernels/matmul/matmul_simd.h"

#include "kernels/common/simd_loop.h"

namespace caracal::kernels::CARACAL_SIMD_NS {
namespace {

using namespace ::caracal::CARACAL_SIMD_NS;  // NOLINT: Vec and its functions

constexpr int kLanes = Vec::kLanes;

// kRows rows of a times kColumns rows of b, accumulators in registers.
template <int kRows, int kColumns>
void DotTile(int64_t k, float alpha, const float* a, int64_t a_stride,
             const float* b, int64_t b_stride, float beta, float* c,
             int64_t c_stride) {
  Vec sum[kRows][kColumns];
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kColumns; ++j) sum[i][j] = Zero();
  }
  int64_t p = 0;
  for (; p + kLanes <= k; p += kLanes) {
    Vec left[kRows];
    for (int i = 0; i < kRows; ++i) left[i] = Load(a + i * a_stride + p);
    for (int j = 0; j < kColumns; ++j) {
      const Vec right = Load(b + j * b_stride + p);
      for (int i = 0; i < kRows; ++i) {
        sum[i][j] = Fma(left[i], right, sum[i][j]);
      }
    }
  }
  if (p < k) {
    const int lanes = static_cast<int>(k - p);
    for (int j = 0; j < kColumns; ++j) {
      const Vec right = LoadN(b + j * b_stride + p, lanes);
      for (int i = 0; i < kRows; ++i) {
        sum[i][j] = Fma(LoadN(a + i * a_stride + p, lanes), right, sum[i][j]);
      }
    }
  }
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kColumns; ++j) {
      float& out = c[i * c_stride + j];
      const float product = alpha * ReduceAdd(sum[i][j]);
      out = beta == 0.0f ? product : product + beta * out;
    }
  }
}

template <int kColumns>
void DotColumns(int64_t m, int64_t k, float alpha, const float* a,
                int64_t a_stride, const float* b, int64_t b_stride, float beta,
                float* c, int64_t c_stride) {
  int64_t i = 0;
  for (; i + 2 <= m; i += 2) {
    DotTile<2, kColumns>(k, alpha, a + i * a_stride, a_stride, b, b_stride,
                         beta, c + i * c_stride, c_stride);
  }
  if (i < m) {
    DotTile<1, kColumns>(k, alpha, a + i * a_stride, a_stride, b, b_stride,
                         beta, c + i * c_stride, c_stride);
  }
}

// Each few rows of b serve all rows of a before the next: b comes from memory
// once.
void FewRowsTransposed(int64_t m, int64_t n, int64_t k, float alpha,
                       const float* a, int64_t a_stride, const float* b,
                       int64_t b_stride, float beta, float* c,
                       int64_t c_stride) {
  // As many streams as registers allow keep the memory busiest.
  constexpr int kColumns = kLanes == 16 ? 8 : 4;
  int64_t j = 0;
  for (; j + kColumns <= n; j += kColumns) {
    DotColumns<kColumns>(m, k, alpha, a, a_stride, b + j * b_stride, b_stride,
                         beta, c + j, c_stride);
  }
  for (; j < n; ++j) {
    DotColumns<1>(m, k, alpha, a, a_stride, b + j * b_stride, b_stride, beta,
                  c + j, c_stride);
  }
}

// c += the sum of kRows rows of b, each times its factor.
template <int kRows>
void AddRows(int64_t n, const float* factor, const float* b, int64_t b_stride,
             float* c) {
  Vec scale[kRows];
  for (int p = 0; p < kRows; ++p) scale[p] = Set(factor[p]);
  ForEachVector(n, [&](int64_t j, auto lanes) {
    Vec sum = lanes.Load(c + j);
    for (int p = 0; p < kRows; ++p) {
      sum = Fma(scale[p], lanes.Load(b + p * b_stride + j), sum);
    }
    lanes.Store(c + j, sum);
  });
}

// Rows of b stream through; c stays in the nearest cache that holds it.
void OneRow(int64_t n, int64_t k, float alpha, const float* a, const float* b,
            int64_t b_stride, float beta, float* c) {
  for (int64_t j = 0; j < n; ++j) c[j] = beta == 0.0f ? 0.0f : beta * c[j];
  constexpr int kRows = 8;
  float factor[kRows];
  int64_t p = 0;
  for (; p + kRows <= k; p += kRows) {
    for (int i = 0; i < kRows; ++i) factor[i] = alpha * a[p + i];
    AddRows<kRows>(n, factor, b + p * b_stride, b_stride, c);
  }
  for (; p < k; ++p) {
    factor[0] = alpha * a[p];
    AddRows<1>(n, factor, b + p * b_stride, b_stride, c);
  }
}

// c [kRows, kVectors] of one register tile; `lanes` counts in each vector.
template <int kRows, int kVectors>
void SmallTile(int64_t k, float alpha, const float* a, int64_t a_stride,
               const float* b, int64_t b_stride, int lanes, float beta,
               float* c, int64_t c_stride) {
  Vec sum[kRows][kVectors];
  for (int i = 0; i < kRows; ++i) {
    for (int v = 0; v < kVectors; ++v) sum[i][v] = Zero();
  }
  for (int64_t p = 0; p < k; ++p) {
    Vec right[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      const float* at = b + p * b_stride + v * kLanes;
      right[v] = lanes == kLanes ? Load(at) : LoadN(at, lanes);
    }
    for (int i = 0; i < kRows; ++i) {
      const Vec left = Set(a[i * a_stride + p]);
      for (int v = 0; v < kVectors; ++v) {
        sum[i][v] = Fma(left, right[v], sum[i][v]);
      }
    }
  }
  for (int i = 0; i < kRows; ++i) {
    for (int v = 0; v < kVectors; ++v) {
      float* at = c + i * c_stride + v * kLanes;
      Vec out = Set(alpha) * sum[i][v];
      if (lanes == kLanes) {
        if (beta != 0.0f) out = Fma(Set(beta), Load(at), out);
        Store(at, out);
      } else {
        if (beta != 0.0f) out = Fma(Set(beta), LoadN(at, lanes), out);
        StoreN(at, out, lanes);
      }
    }
  }
}

template <int kRows>
void SmallRows(int64_t n, int64_t k, float alpha, const float* a,
               int64_t a_stride, const float* b, int64_t b_stride, float beta,
               float* c, int64_t c_stride) {
  constexpr int kVectors = 2;
  int64_t j = 0;
  for (; j + kVectors * kLanes <= n; j += kVectors * kLanes) {
    SmallTile<kRows, kVectors>(k, alpha, a, a_stride, b + j, b_stride, kLanes,
                               beta, c + j, c_stride);
  }
  for (; j < n; j += kLanes) {
    const int lanes = n - j < kLanes ? static_cast<int>(n - j) : kLanes;
    SmallTile<kRows, 1>(k, alpha, a, a_stride, b + j, b_stride, lanes, beta,
                        c + j, c_stride);
  }
}

void Small(int64_t m, int64_t n, int64_t k, float alpha, const float* a,
           int64_t a_stride, const float* b, int64_t b_stride, float beta,
           float* c, int64_t c_stride) {
  constexpr int kRows = 4;
  int64_t i = 0;
  for (; i + kRows <= m; i += kRows) {
    SmallRows<kRows>(n, k, alpha, a + i * a_stride, a_stride, b, b_stride, beta,
                     c + i * c_stride, c_stride);
  }
  for (; i < m; ++i) {
    SmallRows<1>(n, k, alpha, a + i * a_stride, a_stride, b, b_stride, beta,
                 c + i * c_stride, c_stride);
  }
}

}  // namespace

const MatMulLoops kMatMulLoops = {FewRowsTransposed, OneRow, Small};

}  // namespace caracal::kernels::CARACAL_SIMD_NS
