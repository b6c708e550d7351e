#include "jobs/bench/device_matrix_rate.h"

namespace caracal {

absl::StatusOr<double> DeviceMatrixRate(Device*, int64_t,
                                        absl::Span<const MatrixShape>) {
  return absl::UnimplementedError("this program was built without CUDA");
}

}  // namespace caracal
