#include "core/model/ops/make_cuda_ops.h"

namespace caracal {

absl::StatusOr<std::unique_ptr<ModelOps>> MakeCudaOps(Device*) {
  return absl::UnimplementedError("this program was built without CUDA");
}

}  // namespace caracal
