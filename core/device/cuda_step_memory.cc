#include "core/device/cuda_step_memory.h"

#include <cuda_runtime_api.h>

#include <algorithm>

#include "core/base/status.h"
#include "kernels/common/cuda_driver.h"

namespace caracal {
namespace {

struct Driver {
  decltype(&cuMemAddressReserve) address_reserve = nullptr;
  decltype(&cuMemAddressFree) address_free = nullptr;
  decltype(&cuMemCreate) create = nullptr;
  decltype(&cuMemRelease) release = nullptr;
  decltype(&cuMemMap) map = nullptr;
  decltype(&cuMemUnmap) unmap = nullptr;
  decltype(&cuMemSetAccess) set_access = nullptr;
  bool complete = true;

  Driver() {
    Find("cuMemAddressReserve", &address_reserve);
    Find("cuMemAddressFree", &address_free);
    Find("cuMemCreate", &create);
    Find("cuMemRelease", &release);
    Find("cuMemMap", &map);
    Find("cuMemUnmap", &unmap);
    Find("cuMemSetAccess", &set_access);
  }

 private:
  template <typename Function>
  void Find(const char* name, Function* function) {
    *function = kernels::FindDriverFunction<Function>(name);
    complete = complete && *function != nullptr;
  }
};

const Driver& TheDriver() {
  static const Driver driver;
  return driver;
}

CUmemAllocationProp PropertiesOf(int device) {
  CUmemAllocationProp properties = {};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  properties.location.id = device;
  return properties;
}

}  // namespace

absl::StatusOr<std::unique_ptr<CudaStepMemory>> CudaStepMemory::Open(
    std::shared_ptr<CudaStepLedger> ledger) {
  const Driver& driver = TheDriver();
  std::unique_ptr<CudaStepMemory> memory(new CudaStepMemory(std::move(ledger)));
  size_t free = 0, total = 0;
  if (cudaGetDevice(&memory->device_) != cudaSuccess ||
      cudaMemGetInfo(&free, &total) != cudaSuccess || !driver.complete) {
    return absl::FailedPreconditionError(
        "the CUDA driver can't map memory; update it, or choose the device "
        "cpu");
  }
  memory->reserved_ = (total + kPieceBytes - 1) / kPieceBytes * kPieceBytes;
  if (driver.address_reserve(&memory->base_, memory->reserved_, kPieceBytes, 0,
                             0) != CUDA_SUCCESS) {
    memory->base_ = 0;
    return absl::FailedPreconditionError(
        "the CUDA driver gave no addresses for step memory");
  }
  memory->Back(kPieceBytes);
  RETURN_IF_ERROR(memory->ledger_->status);
  return memory;
}

CudaStepMemory::~CudaStepMemory() {
  const Driver& driver = TheDriver();
  if (base_ == 0 || ledger_->hung) return;
  for (size_t at = 0; at < mapped_; at += kPieceBytes) {
    driver.unmap(base_ + at, kPieceBytes);
  }
  for (const CUmemGenericAllocationHandle piece : pieces_) {
    driver.release(piece);
  }
  driver.address_free(base_, reserved_);
  ledger_->backed_bytes -= mapped_;
}

absl::Status CudaStepMemory::AddPiece() {
  const Driver& driver = TheDriver();
  size_t free = 0, total = 0;
  cudaMemGetInfo(&free, &total);
  const CUmemAllocationProp properties = PropertiesOf(device_);
  CUmemGenericAllocationHandle piece = 0;
  if (free < kPieceBytes + kReserveBytes ||
      driver.create(&piece, kPieceBytes, &properties, 0) != CUDA_SUCCESS) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "out of GPU memory: a step needs more than ",
        ledger_->backed_bytes >> 20, " MiB beside the weights, of ",
        total >> 20, " MiB in all; try a smaller budget.micro_batch"));
  }
  pieces_.push_back(piece);
  CUmemAccessDesc access = {};
  access.location = properties.location;
  access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  const CUdeviceptr at = base_ + mapped_;
  if (driver.map(at, kPieceBytes, 0, piece, 0) != CUDA_SUCCESS) {
    return absl::ResourceExhaustedError("GPU memory could not be mapped");
  }
  mapped_ += kPieceBytes;
  ledger_->backed_bytes += kPieceBytes;
  ledger_->peak_bytes = std::max(ledger_->peak_bytes, ledger_->backed_bytes);
  if (driver.set_access(at, kPieceBytes, &access, 1) != CUDA_SUCCESS) {
    return absl::ResourceExhaustedError("mapped GPU memory is not accessible");
  }
  return absl::OkStatus();
}

size_t CudaStepMemory::Back(size_t bytes) {
  absl::Status& status = ledger_->status;
  while (status.ok() && mapped_ < bytes) status = AddPiece();
  return status.ok() ? mapped_ : reserved_;
}

}  // namespace caracal
