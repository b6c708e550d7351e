// RMSNorm on a CUDA device: the contract of rms_norm.h, with these
// differences.
//  - x, y, delta, dy, dx are bf16; weight, inv_rms, dweight are fp32. Sums and
//    products are fp32, rounded once to bf16.
//  - bf16 views start at a multiple of 16 bytes, their row strides are
//    multiples of 8 elements, and so is C, which is at most kRmsNormMaxColumns.
//  - All views are device memory. No call waits for the device or allocates.
//  - Same inputs, same bits: no atomics, fixed order of sums.
#ifndef CARACAL_KERNELS_RMS_NORM_RMS_NORM_CUDA_H_
#define CARACAL_KERNELS_RMS_NORM_RMS_NORM_CUDA_H_

#include "kernels/rms_norm/rms_norm.h"

namespace caracal::kernels {

inline constexpr int64_t kRmsNormMaxColumns = 16384;

void RmsNormForwardCuda(const Context& ctx, ConstTensorView x,
                        ConstTensorView weight, float eps, TensorView y,
                        TensorView inv_rms);

// The residual stream's step: sum = x + delta, rounded to bf16, and y is the
// norm of that. All [rows, C]; sum may be x (or delta), y may be delta.
// `more`, where defined, is added to delta in fp32: of a product split over two
// ranks, the other one's part.
void RmsNormAddForwardCuda(const Context& ctx, ConstTensorView x,
                           ConstTensorView delta, ConstTensorView weight,
                           float eps, TensorView sum, TensorView y,
                           TensorView inv_rms, ConstTensorView more = {});

// Nothing when dweight is undefined.
size_t RmsNormBackwardCudaWorkspaceBytes(ConstTensorView x, TensorView dweight);

// `more` likewise belongs to dy.
void RmsNormBackwardCuda(const Context& ctx, ConstTensorView dy,
                         ConstTensorView x, ConstTensorView weight,
                         ConstTensorView inv_rms, bool accumulate_dx,
                         TensorView dx, TensorView dweight, Workspace workspace,
                         ConstTensorView more = {});

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_RMS_NORM_RMS_NORM_CUDA_H_
