#include <algorithm>
#include <vector>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/tensor/tensor.h"
#include "jobs/bench/device_matrix_rate.h"
#include "kernels/matmul/matmul_cuda.h"

namespace caracal {
namespace {

constexpr int kRuns = 8, kProductsPerRun = 4;

absl::StatusOr<Tensor> RandomMatrix(Device* device, int64_t rows,
                                    int64_t columns) {
  ASSIGN_OR_RETURN(Tensor matrix,
                   device->Allocate(DType::kBF16, {rows, columns}));
  std::vector<uint16_t> row(columns);
  uint64_t state = 1;
  for (int64_t r = 0; r < rows; ++r) {
    for (uint16_t& x : row) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      x = Bf16FromFloat(static_cast<float>(state >> 40) * 0x1p-23f - 1);
    }
    device->Upload(row.data(), columns * sizeof(uint16_t),
                   static_cast<uint16_t*>(matrix.view().data) + r * columns);
  }
  return matrix;
}

}  // namespace

absl::StatusOr<double> DeviceMatrixRate(Device* device, int64_t rows,
                                        absl::Span<const MatrixShape> shapes) {
  Context ctx;
  ctx.device = device->type();
  ctx.stream = device->stream();
  kernels::MatMulCudaPlans plans;
  ASSIGN_OR_RETURN(
      const Tensor scratch,
      device->Allocate(DType::kU8, {static_cast<int64_t>(
                                       kernels::kMatMulCudaWorkspaceBytes)}));
  double flops = 0, seconds = 0;
  for (const auto& [out, in] : shapes) {
    ASSIGN_OR_RETURN(const Tensor x, RandomMatrix(device, rows, in));
    ASSIGN_OR_RETURN(const Tensor w, RandomMatrix(device, out, in));
    ASSIGN_OR_RETURN(const Tensor y,
                     device->Allocate(DType::kBF16, {rows, out}));
    absl::Duration best = absl::InfiniteDuration();
    for (int run = 0; run < kRuns; ++run) {
      RETURN_IF_ERROR(device->Wait());
      const absl::Duration start = Clock::Real()->Now();
      for (int i = 0; i < kProductsPerRun; ++i) {
        kernels::MatMulCuda(ctx, plans, kernels::Transpose::kNo,
                            kernels::Transpose::kYes, 1, x, w, 0, y,
                            {scratch.view().data, scratch.bytes()});
      }
      RETURN_IF_ERROR(device->Wait());
      best = std::min(best, Clock::Real()->Now() - start);
    }
    flops += 2.0 * static_cast<double>(rows * out * in);
    seconds += absl::ToDoubleSeconds(best) / kProductsPerRun;
  }
  return flops / seconds;
}

}  // namespace caracal
