// The model's operations on a CUDA device, in builds with and without CUDA.
#ifndef CARACAL_CORE_MODEL_OPS_MAKE_CUDA_OPS_H_
#define CARACAL_CORE_MODEL_OPS_MAKE_CUDA_OPS_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/device/device.h"
#include "core/model/ops/model_ops.h"

namespace caracal {

// On a device that OpenCuda() gave, which it borrows. kResourceExhausted.
absl::StatusOr<std::unique_ptr<ModelOps>> MakeCudaOps(Device* device);

// Whether those can run such a model: kUnimplemented naming what they can't.
// hidden and MLP sizes and the head dimension are multiples of 16, the last at
// most 256, hidden at most kRmsNormMaxColumns.
absl::Status CheckCudaModel(const ModelConfig& model);

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_OPS_MAKE_CUDA_OPS_H_
