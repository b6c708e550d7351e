// Scalar reference of RMSNorm: the specification of the fast versions.
#ifndef CARACAL_KERNELS_RMS_NORM_RMS_NORM_REF_H_
#define CARACAL_KERNELS_RMS_NORM_RMS_NORM_REF_H_

#include <cmath>
#include <cstdint>

#include "kernels/rms_norm/rms_norm_loops.h"

namespace caracal::kernels {

// One row. T is float, double, or complex for gradient checks. inv_rms may be
// null.
template <typename T>
void RmsNormForwardRowReference(const T* x, const T* weight, T eps,
                                int64_t columns, T* y, T* inv_rms) {
  using std::sqrt;
  T sum = T(0);
  for (int64_t c = 0; c < columns; ++c) sum += x[c] * x[c];
  const T inv = T(1) / sqrt(sum / T(columns) + eps);
  for (int64_t c = 0; c < columns; ++c) y[c] = x[c] * inv * weight[c];
  if (inv_rms != nullptr) *inv_rms = inv;
}

// dx of one row: inv (dy w) - x inv^3 mean(dy w x).
template <typename T>
void RmsNormBackwardRowReference(const T* dy, const T* x, const T* weight,
                                 T inv, int64_t columns, bool accumulate,
                                 T* dx) {
  T dot = T(0);
  for (int64_t c = 0; c < columns; ++c) dot += dy[c] * weight[c] * x[c];
  const T slope = inv * inv * inv * (dot / T(columns));
  for (int64_t c = 0; c < columns; ++c) {
    const T gradient = inv * (dy[c] * weight[c]) - slope * x[c];
    dx[c] = accumulate ? dx[c] + gradient : gradient;
  }
}

// dweight[c] += sum_r dy[r, c] x[r, c] inv_rms[r], in the order of rows.
template <typename T>
void RmsNormBackwardWeightReference(const T* dy, int64_t dy_stride, const T* x,
                                    int64_t x_stride, const T* inv_rms,
                                    int64_t rows, int64_t columns, T* dweight) {
  for (int64_t c = 0; c < columns; ++c) {
    T sum = T(0);
    for (int64_t r = 0; r < rows; ++r) {
      sum += dy[r * dy_stride + c] * x[r * x_stride + c] * inv_rms[r];
    }
    dweight[c] += sum;
  }
}

extern const RmsNormLoops kRmsNormReference;

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_RMS_NORM_RMS_NORM_REF_H_
