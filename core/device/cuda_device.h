// Device over the CUDA runtime.
#ifndef CARACAL_CORE_DEVICE_CUDA_DEVICE_H_
#define CARACAL_CORE_DEVICE_CUDA_DEVICE_H_

#include <cuda_runtime_api.h>

#include <memory>
#include <string>
#include <vector>

#include "core/device/cuda_step_memory.h"
#include "core/device/device.h"

namespace caracal {

class CudaDevice final : public Device {
 public:
  // Device 0, made the calling thread's current one.
  static absl::StatusOr<std::unique_ptr<CudaDevice>> Open();
  ~CudaDevice() override;

  DeviceType type() const override { return DeviceType::kCuda; }
  const std::string& name() const override { return name_; }
  void* stream() const override { return stream_; }
  absl::StatusOr<Tensor> Allocate(
      DType dtype, std::initializer_list<int64_t> shape) override;
  Arena& arena() override { return *arena_; }
  bool ok() const override { return step_memory_->status().ok(); }
  void Upload(const void* host, size_t bytes, void* device) override;
  void UploadRows(const void* host, size_t bytes, int64_t rows, void* device,
                  size_t stride) override;
  void Copy(const void* from, size_t bytes, void* to) override;
  void SetZero(void* device, size_t bytes) override;
  void Download(const void* device, size_t bytes, void* host) override;
  absl::Status Wait() override;
  uint64_t peak_bytes() const override;
  uint64_t total_bytes() const override { return total_bytes_; }

 private:
  // Pinned memory that copies go through; a copy of more waits in between.
  static constexpr size_t kStagingBytes = size_t{16} << 20;

  struct Staging {
    std::byte* data = nullptr;
    size_t used = 0;
  };
  struct Pending {
    const std::byte* staged;
    void* host;
    size_t bytes;
  };

  CudaDevice() = default;
  absl::Status Prepare();
  // Remembers the first error.
  void Note(cudaError_t error, const char* what);
  // `bytes` of the staging area, at most kStagingBytes, free to be written.
  std::byte* Stage(Staging* staging, size_t bytes);
  // Waits, and hands over what was downloaded.
  void Settle();

  std::string name_;
  cudaStream_t stream_ = nullptr;
  std::unique_ptr<CudaStepMemory> step_memory_;
  std::unique_ptr<Arena> arena_;
  Staging up_, down_;
  std::vector<Pending> pending_;
  std::shared_ptr<uint64_t> tensor_bytes_ = std::make_shared<uint64_t>(0);
  uint64_t peak_tensor_bytes_ = 0, total_bytes_ = 0;
  absl::Status status_;
};

}  // namespace caracal

#endif  // CARACAL_CORE_DEVICE_CUDA_DEVICE_H_
