// AdamW on a CUDA device over all tensors in one launch, and the sum of
// squares and clip of their gradients; arithmetic and rounding are those of
// adamw.h. Nothing here waits for the device or allocates, or depends on
// scheduling: no atomics, fixed order of sums.
//
// What changes from step to step lies in device memory: a CUDA graph that
// holds the launches stays valid, and AdamWCudaConfigure goes outside it.
#ifndef CARACAL_KERNELS_ADAMW_ADAMW_CUDA_H_
#define CARACAL_KERNELS_ADAMW_ADAMW_CUDA_H_

#include <cstdint>

#include "kernels/adamw/adamw.h"
#include "kernels/common/context.h"
#include "kernels/common/tensor_view.h"

namespace caracal::kernels {

// All flat fp32 [n] in device memory; param, m and v are updated. copy, bf16
// [n] or undefined, becomes the rounded parameter. Quicker where all start at
// multiples of 16 bytes.
struct AdamWCudaTensor {
  TensorView param;
  ConstTensorView grad;
  TensorView m, v;
  TensorView copy;
};

// A list of tensors in device memory. Owns nothing; cheap to copy.
struct AdamWCudaTable {
  void* data = nullptr;
  int64_t tensors = 0;
  int64_t pieces = 0;  // blocks of a step
};

size_t AdamWCudaTableBytes(int64_t tensors);

// Writes the list to `memory` (device, AdamWCudaTableBytes, 16-byte aligned),
// which the caller keeps as long as the table is used.
AdamWCudaTable MakeAdamWCudaTable(const Context& ctx,
                                  const AdamWCudaTensor* tensors, int64_t count,
                                  void* memory);

// Before each step: configs[i] (host memory, may change after the call) is
// that of tensor i.
void AdamWCudaConfigure(const Context& ctx, const AdamWCudaTable& table,
                        const AdamWConfig* configs);

enum class AdamWCudaPart : uint8_t { kParam, kGrad };

// *sum (device memory) = the sum of squares over all tensors, in fp64: not
// finite just when an element is not.
size_t SumOfSquaresCudaWorkspaceBytes();
void SumOfSquaresCuda(const Context& ctx, const AdamWCudaTable& table,
                      AdamWCudaPart part, double* sum, Workspace workspace);

// In device memory.
struct AdamWCudaClip {
  float factor;    // of the gradient
  int32_t finite;  // 0: no parameter is touched
};

// From sums of squares (sums[count], added in this order: those of shards,
// say): the factor min(1, max_norm / (norm + 1e-6)), or 1 for max_norm = 0.
void ClipCuda(const Context& ctx, const double* sums, int count,
              double max_norm, AdamWCudaClip* clip);

// One step of all tensors with the configs written last; clip->factor joins
// each config's grad_scale. clip may be null: factor 1, finite.
void AdamWStepCuda(const Context& ctx, const AdamWCudaTable& table,
                   const AdamWCudaClip* clip);

// y += x, both bf16 or both fp32, contiguous, of equal size, starting at
// multiples of 16 bytes; a bf16 sum is rounded once.
void AccumulateCuda(const Context& ctx, ConstTensorView x, TensorView y);

// out = terms[0] + terms[1] + ..., of 2 to kMostTerms bf16 vectors as long as
// out, contiguous, starting at multiples of 16 bytes: in fp32, in their order,
// rounded once. out may be one of them.
inline constexpr int kMostTerms = 9;
void SumCuda(const Context& ctx, const ConstTensorView* terms, int count,
             TensorView out);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_ADAMW_ADAMW_CUDA_H_
