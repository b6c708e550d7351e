// Device over the CUDA runtime.
#ifndef CARACAL_CORE_DEVICE_CUDA_DEVICE_H_
#define CARACAL_CORE_DEVICE_CUDA_DEVICE_H_

#include <cuda_runtime_api.h>

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/device/cuda_step_memory.h"
#include "core/device/device.h"
#include "core/device/stall_watch.h"

namespace caracal {

class CudaDevice final : public Device {
 public:
  // Made the calling thread's current one.
  static absl::StatusOr<std::unique_ptr<CudaDevice>> Open(int index);
  ~CudaDevice() override;

  DeviceType type() const override { return DeviceType::kCuda; }
  const std::string& name() const override { return name_; }
  void* stream() const override { return stream_; }
  void* second_stream() const override { return second_stream_; }
  absl::StatusOr<Tensor> Allocate(
      DType dtype, std::initializer_list<int64_t> shape) override;
  Arena& arena() override { return *arena_; }
  absl::StatusOr<std::unique_ptr<Arena>> NewArena() override;
  bool ok() const override { return step_ledger_->status.ok() && !hung(); }
  void Upload(const void* host, size_t bytes, void* device) override;
  void UploadRows(const void* host, size_t bytes, int64_t rows, void* device,
                  size_t stride) override;
  void Copy(const void* from, size_t bytes, void* to) override;
  void CopyRows(const void* from, size_t from_stride, size_t bytes,
                int64_t rows, void* to, size_t to_stride) override;
  void SetZero(void* device, size_t bytes) override;
  void Mark(int point, void* stream) override;
  void Await(int point, void* stream) override;
  void CopyOn(void* stream, const void* from, size_t bytes, void* to) override;
  void SetZeroOn(void* stream, void* device, size_t bytes) override;
  void Download(const void* device, size_t bytes, void* host) override;
  absl::Status BeginRecording() override;
  void Fail(const absl::Status& error) override {
    if (status_.ok()) status_ = error;
  }
  absl::StatusOr<std::unique_ptr<DeviceGraph>> EndRecording() override;
  void BeginRange(const char* name) override;
  void EndRange() override;
  absl::Status Wait() override;
  int64_t waits() const override { return waits_; }
  void set_stall(absl::Duration limit,
                 std::function<void(const absl::Status&)> hung) override;
  void BeginPass() override {
    if (watch_.has_value()) watch_->Begin();
  }
  void EndPass() override {
    if (watch_.has_value()) watch_->End();
  }
  uint64_t peak_bytes() const override;
  uint64_t total_bytes() const override { return total_bytes_; }
  uint64_t free_bytes() const override;

 private:
  class Graph;

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
  absl::Status Prepare(int index);
  // Remembers the first error.
  void Note(cudaError_t error, const char* what);
  absl::Status RecordingFailed(cudaError_t error);
  // `bytes` of the staging area, at most kStagingBytes, free to be written.
  std::byte* Stage(Staging* staging, size_t bytes);
  bool hung() const { return step_ledger_->hung; }
  // Until the stream is done, or the limit of set_stall() is over.
  void AwaitStream();
  // Waits, and hands over what was downloaded.
  void Settle();

  std::string name_;
  absl::Duration stall_ = absl::InfiniteDuration();
  cudaStream_t stream_ = nullptr, second_stream_ = nullptr;
  std::array<cudaEvent_t, kPoints> points_ = {};
  cudaEvent_t joined_ = nullptr;  // the second stream, of a recording's end
  // While something is recorded: its number, the device's state before, and of
  // each point the recording that it was marked in last.
  bool recording_ = false;
  int64_t recordings_ = 0;
  absl::Status before_recording_;
  std::array<int64_t, kPoints> marked_in_ = {};
  const std::shared_ptr<CudaStepLedger> step_ledger_ =
      std::make_shared<CudaStepLedger>();
  std::unique_ptr<Arena> arena_;
  Staging up_, down_;
  std::vector<Pending> pending_;
  int64_t waits_ = 0;
  std::shared_ptr<uint64_t> tensor_bytes_ = std::make_shared<uint64_t>(0);
  uint64_t peak_tensor_bytes_ = 0, total_bytes_ = 0;
  absl::Status status_;
  std::optional<StallWatch> watch_;  // first to go
};

}  // namespace caracal

#endif  // CARACAL_CORE_DEVICE_CUDA_DEVICE_H_
