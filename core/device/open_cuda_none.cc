#include "core/device/open_cuda.h"

namespace caracal {

absl::Status FindCuda(size_t*) {
  return absl::UnimplementedError(
      "this program was built without CUDA; build it with --config=cuda, or "
      "choose the device cpu");
}

absl::StatusOr<std::unique_ptr<Device>> OpenCuda(int) { return FindCuda(); }

std::vector<std::string> CudaBusIds() { return {}; }

}  // namespace caracal
