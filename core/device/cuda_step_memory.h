// Step memory of a CUDA device: addresses for all of its memory, backed piece
// by piece as an arena grows. Nothing is moved or given back before the end.
#ifndef CARACAL_CORE_DEVICE_CUDA_STEP_MEMORY_H_
#define CARACAL_CORE_DEVICE_CUDA_STEP_MEMORY_H_

#include <cuda.h>

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/tensor/arena.h"

namespace caracal {

// What the step memories of one device take together.
struct CudaStepLedger {
  size_t backed_bytes = 0, peak_bytes = 0;
  absl::Status status;  // kResourceExhausted once memory ran out
  // The device has work that may never end: nothing is called any more that
  // waits for it, as giving memory back does.
  bool hung = false;
};

class CudaStepMemory final : public ArenaMemory {
 public:
  // Of the current device. kResourceExhausted where not even the first piece is
  // to be had; kFailedPrecondition where the driver can't map memory.
  static absl::StatusOr<std::unique_ptr<CudaStepMemory>> Open(
      std::shared_ptr<CudaStepLedger> ledger);
  ~CudaStepMemory() override;

  std::byte* base() const override {
    return reinterpret_cast<std::byte*>(base_);
  }
  size_t reserved() const override { return reserved_; }
  // When the device has no more, the ledger says so, and nothing is behind the
  // addresses from then on.
  size_t Back(size_t bytes) override;

 private:
  static constexpr size_t kPieceBytes = size_t{64} << 20;
  // Left to the driver: the code of kernels is loaded as they are first called.
  static constexpr size_t kReserveBytes = size_t{192} << 20;

  explicit CudaStepMemory(std::shared_ptr<CudaStepLedger> ledger)
      : ledger_(std::move(ledger)) {}
  absl::Status AddPiece();

  const std::shared_ptr<CudaStepLedger> ledger_;

  CUdeviceptr base_ = 0;
  size_t reserved_ = 0, mapped_ = 0;
  int device_ = 0;
  std::vector<CUmemGenericAllocationHandle> pieces_;
};

}  // namespace caracal

#endif  // CARACAL_CORE_DEVICE_CUDA_STEP_MEMORY_H_
