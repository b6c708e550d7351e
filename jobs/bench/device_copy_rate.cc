#include "jobs/bench/device_copy_rate.h"

#include <algorithm>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/tensor/tensor.h"

namespace caracal {
namespace {

constexpr int64_t kBytes = int64_t{1} << 30;
// A run is a few copies, so that waiting for it takes no part of it.
constexpr int kRuns = 8, kCopiesPerRun = 8;

}  // namespace

absl::StatusOr<double> DeviceCopyRate(Device* device) {
  ASSIGN_OR_RETURN(const Tensor from, device->Allocate(DType::kU8, {kBytes}));
  ASSIGN_OR_RETURN(const Tensor to, device->Allocate(DType::kU8, {kBytes}));
  device->SetZero(from.view().data, from.bytes());
  absl::Duration best = absl::InfiniteDuration();
  for (int run = 0; run < kRuns; ++run) {
    RETURN_IF_ERROR(device->Wait());
    const absl::Duration start = Clock::Real()->Now();
    for (int i = 0; i < kCopiesPerRun; ++i) {
      device->Copy(from.view().data, from.bytes(), to.view().data);
    }
    RETURN_IF_ERROR(device->Wait());
    best = std::min(best, Clock::Real()->Now() - start);
  }
  return 2.0 * static_cast<double>(kBytes) * kCopiesPerRun /
         absl::ToDoubleSeconds(best);
}

}  // namespace caracal
