// What attention remembers of the past on a CUDA device, while decoding.
#ifndef CARACAL_CORE_MODEL_OPS_CUDA_DECODING_CACHE_H_
#define CARACAL_CORE_MODEL_OPS_CUDA_DECODING_CACHE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/device/device.h"
#include "core/model/mode_plan.h"
#include "core/model/ops/layer.h"
#include "kernels/common/context.h"
#include "kernels/common/tensor_view.h"

namespace caracal {

// One layer of N sequences, whose lengths are int32 [N] on the device. What the
// calls enqueue runs in order on the device's stream.
class CudaDecodingCache {
 public:
  virtual ~CudaDecodingCache() = default;

  // Takes in whole texts, forgetting what there was: qkv [rows, (H + 2 Hkv) D]
  // bf16, RoPE applied, sequence i at rows [offsets[i], offsets[i + 1]).
  virtual void Take(Execution& exec, const LayerContext& layer,
                    const TokenBatch& texts, TensorView qkv) = 0;
  // Attention of one token of each sequence, which it takes in: qkv
  // [N, (H + 2 Hkv) D] before RoPE -> y [N, H D].
  virtual void Attend(const Context& ctx, const LayerContext& layer,
                      const int32_t* length, TensorView qkv, TensorView y,
                      Workspace workspace) = 0;
  // Of Attend() on such rows.
  virtual size_t workspace_bytes(const LayerContext& layer,
                                 TensorView qkv) const = 0;

  // Tokens of a sequence that there is room for, at most those of the model.
  virtual int64_t capacity() const = 0;
  // Room for more; what is there stays. Addresses change. kResourceExhausted.
  virtual absl::Status Grow(Device& device, const std::vector<int64_t>& lengths,
                            int64_t capacity) = 0;

  virtual size_t bytes() const = 0;
  // That a step reads and writes, feature maps too.
  virtual double step_bytes(const LayerContext& layer,
                            const std::vector<int64_t>& lengths) const = 0;
};

// The cache of a layer that runs as the plan says. kUnimplemented where
// decoding has no kernel for it; kResourceExhausted.
absl::StatusOr<std::unique_ptr<CudaDecodingCache>> MakeDecodingCache(
    Device& device, const LayerContext& layer, const ModePlan& plan);

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_OPS_CUDA_DECODING_CACHE_H_
