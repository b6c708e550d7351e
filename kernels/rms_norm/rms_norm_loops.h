// The inner loops of RMSNorm, one set an instruction set.
#ifndef CARACAL_KERNELS_RMS_NORM_RMS_NORM_LOOPS_H_
#define CARACAL_KERNELS_RMS_NORM_RMS_NORM_LOOPS_H_

#include <cstdint>

namespace caracal::kernels {

struct RmsNormLoops {
  // One row; y may be x; inv_rms may be null.
  void (*forward)(const float* x, const float* weight, float eps,
                  int64_t columns, float* y, float* inv_rms);
  // dx of one row; dx may be dy.
  void (*backward)(const float* dy, const float* x, const float* weight,
                   float inv_rms, int64_t columns, bool accumulate, float* dx);
  // dweight [columns] += over all rows.
  void (*backward_weight)(const float* dy, int64_t dy_stride, const float* x,
                          int64_t x_stride, const float* inv_rms, int64_t rows,
                          int64_t columns, float* dweight);
};

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_RMS_NORM_RMS_NORM_LOOPS_H_
