#include "kernels/lora/lora_simd.h"

#include "kernels/common/simd.h"

namespace caracal::kernels::CARACAL_SIMD_NS {
namespace {

using namespace ::caracal::CARACAL_SIMD_NS;  // NOLINT: Vec and its functions

constexpr int kLanes = Vec::kLanes;
// Register tiles: accumulators and operands fit the 32 (AVX-512) or 16 vector
// registers, with chains enough to keep two FMA units busy.
constexpr bool kWide = kLanes == 16;
constexpr int kProjectRows = kWide ? 4 : 3, kProjectRanks = 4;
constexpr int kExpandRows = 4, kExpandVectors = kWide ? 4 : 2;
constexpr int kOuterRanks = 4, kOuterVectors = kWide ? 4 : 3;

inline int LanesLeft(int64_t begin, int64_t end) {
  return end - begin < kLanes ? static_cast<int>(end - begin) : kLanes;
}

template <int kRows, int kRanks>
void ProjectTile(const float* x, int64_t x_stride, const float* w,
                 int64_t w_stride, float scale, int64_t n, bool accumulate,
                 float* s, int64_t s_stride) {
  Vec sum[kRows][kRanks];
  for (int r = 0; r < kRows; ++r) {
    for (int k = 0; k < kRanks; ++k) sum[r][k] = Zero();
  }
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    Vec factor[kRanks];
    for (int k = 0; k < kRanks; ++k) factor[k] = Load(w + k * w_stride + i);
    for (int r = 0; r < kRows; ++r) {
      const Vec value = Load(x + r * x_stride + i);
      for (int k = 0; k < kRanks; ++k) {
        sum[r][k] = Fma(value, factor[k], sum[r][k]);
      }
    }
  }
  if (i < n) {
    const int lanes = LanesLeft(i, n);
    for (int r = 0; r < kRows; ++r) {
      const Vec value = LoadN(x + r * x_stride + i, lanes);
      for (int k = 0; k < kRanks; ++k) {
        sum[r][k] = Fma(value, LoadN(w + k * w_stride + i, lanes), sum[r][k]);
      }
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int k = 0; k < kRanks; ++k) {
      float& out = s[r * s_stride + k];
      const float value = scale * ReduceAdd(sum[r][k]);
      out = accumulate ? out + value : value;
    }
  }
}

template <int kRows>
void ProjectRows(const float* x, int64_t x_stride, const float* w,
                 int64_t w_stride, float scale, int64_t rank, int64_t n,
                 bool accumulate, float* s, int64_t s_stride) {
  int64_t k = 0;
  for (; k + kProjectRanks <= rank; k += kProjectRanks) {
    ProjectTile<kRows, kProjectRanks>(x, x_stride, w + k * w_stride, w_stride,
                                      scale, n, accumulate, s + k, s_stride);
  }
  for (; k < rank; ++k) {
    ProjectTile<kRows, 1>(x, x_stride, w + k * w_stride, w_stride, scale, n,
                          accumulate, s + k, s_stride);
  }
}

void Project(const float* x, int64_t x_stride, const float* w, int64_t w_stride,
             float scale, int64_t rows, int64_t rank, int64_t n,
             bool accumulate, float* s, int64_t s_stride) {
  int64_t r = 0;
  for (; r + kProjectRows <= rows; r += kProjectRows) {
    ProjectRows<kProjectRows>(x + r * x_stride, x_stride, w, w_stride, scale,
                              rank, n, accumulate, s + r * s_stride, s_stride);
  }
  for (; r < rows; ++r) {
    ProjectRows<1>(x + r * x_stride, x_stride, w, w_stride, scale, rank, n,
                   accumulate, s + r * s_stride, s_stride);
  }
}

// x [kRows, kVectors] += scale s w; `lanes` counts in the last vector.
template <int kRows, int kVectors>
void ExpandTile(const float* s, int64_t s_stride, const float* w,
                int64_t w_stride, float scale, int64_t rank, int lanes,
                float* x, int64_t x_stride) {
  Vec sum[kRows][kVectors];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) sum[r][v] = Zero();
  }
  for (int64_t k = 0; k < rank; ++k) {
    Vec factor[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      const float* p = w + k * w_stride + v * kLanes;
      factor[v] = lanes == kLanes ? Load(p) : LoadN(p, lanes);
    }
    for (int r = 0; r < kRows; ++r) {
      const Vec value = Set(s[r * s_stride + k]);
      for (int v = 0; v < kVectors; ++v) {
        sum[r][v] = Fma(value, factor[v], sum[r][v]);
      }
    }
  }
  const Vec factor = Set(scale);
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      float* p = x + r * x_stride + v * kLanes;
      if (lanes == kLanes) {
        Store(p, Fma(factor, sum[r][v], Load(p)));
      } else {
        StoreN(p, Fma(factor, sum[r][v], LoadN(p, lanes)), lanes);
      }
    }
  }
}

template <int kRows>
void ExpandRows(const float* s, int64_t s_stride, const float* w,
                int64_t w_stride, float scale, int64_t rank, int64_t n,
                float* x, int64_t x_stride) {
  int64_t i = 0;
  for (; i + kExpandVectors * kLanes <= n; i += kExpandVectors * kLanes) {
    ExpandTile<kRows, kExpandVectors>(s, s_stride, w + i, w_stride, scale, rank,
                                      kLanes, x + i, x_stride);
  }
  for (; i < n; i += kLanes) {
    ExpandTile<kRows, 1>(s, s_stride, w + i, w_stride, scale, rank,
                         LanesLeft(i, n), x + i, x_stride);
  }
}

void Expand(const float* s, int64_t s_stride, const float* w, int64_t w_stride,
            float scale, int64_t rows, int64_t rank, int64_t n, float* x,
            int64_t x_stride) {
  int64_t r = 0;
  for (; r + kExpandRows <= rows; r += kExpandRows) {
    ExpandRows<kExpandRows>(s + r * s_stride, s_stride, w, w_stride, scale,
                            rank, n, x + r * x_stride, x_stride);
  }
  for (; r < rows; ++r) {
    ExpandRows<1>(s + r * s_stride, s_stride, w, w_stride, scale, rank, n,
                  x + r * x_stride, x_stride);
  }
}

// w [kRanks, kVectors] += s^T x; `lanes` counts in the last vector.
template <int kRanks, int kVectors>
void OuterTile(const float* s, int64_t s_stride, const float* x,
               int64_t x_stride, int64_t rows, int lanes, float* w,
               int64_t w_stride) {
  Vec sum[kRanks][kVectors];
  for (int k = 0; k < kRanks; ++k) {
    for (int v = 0; v < kVectors; ++v) sum[k][v] = Zero();
  }
  for (int64_t r = 0; r < rows; ++r) {
    Vec value[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      const float* p = x + r * x_stride + v * kLanes;
      value[v] = lanes == kLanes ? Load(p) : LoadN(p, lanes);
    }
    for (int k = 0; k < kRanks; ++k) {
      const Vec factor = Set(s[r * s_stride + k]);
      for (int v = 0; v < kVectors; ++v) {
        sum[k][v] = Fma(factor, value[v], sum[k][v]);
      }
    }
  }
  for (int k = 0; k < kRanks; ++k) {
    for (int v = 0; v < kVectors; ++v) {
      float* p = w + k * w_stride + v * kLanes;
      if (lanes == kLanes) {
        Store(p, Load(p) + sum[k][v]);
      } else {
        StoreN(p, LoadN(p, lanes) + sum[k][v], lanes);
      }
    }
  }
}

template <int kRanks>
void OuterRanks(const float* s, int64_t s_stride, const float* x,
                int64_t x_stride, int64_t rows, int64_t n, float* w,
                int64_t w_stride) {
  int64_t i = 0;
  for (; i + kOuterVectors * kLanes <= n; i += kOuterVectors * kLanes) {
    OuterTile<kRanks, kOuterVectors>(s, s_stride, x + i, x_stride, rows, kLanes,
                                     w + i, w_stride);
  }
  for (; i < n; i += kLanes) {
    OuterTile<kRanks, 1>(s, s_stride, x + i, x_stride, rows, LanesLeft(i, n),
                         w + i, w_stride);
  }
}

void Outer(const float* s, int64_t s_stride, const float* x, int64_t x_stride,
           int64_t rows, int64_t rank, int64_t n, float* w, int64_t w_stride) {
  int64_t k = 0;
  for (; k + kOuterRanks <= rank; k += kOuterRanks) {
    OuterRanks<kOuterRanks>(s + k, s_stride, x, x_stride, rows, n,
                            w + k * w_stride, w_stride);
  }
  for (; k < rank; ++k) {
    OuterRanks<1>(s + k, s_stride, x, x_stride, rows, n, w + k * w_stride,
                  w_stride);
  }
}

}  // namespace

const LoraLoops kLoraLoops = {Project, Expand, Outer};

}  // namespace caracal::kernels::CARACAL_SIMD_NS
