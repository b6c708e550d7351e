#include "core/device/cuda_device.h"

#include <nvtx3/nvToolsExt.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/time/clock.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/device/open_cuda.h"

namespace caracal {
namespace {

// Kernels have machine code for Hopper and PTX for chips from here on.
constexpr int kLeastMajor = 8;

constexpr char kWhyHung[] =
    "; another rank does not send its part, or its GPU hangs";

std::string Describe(cudaError_t error) {
  return absl::StrCat(cudaGetErrorName(error), ": ", cudaGetErrorString(error));
}

absl::Status FindDevice(int index, cudaDeviceProp* properties) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaErrorInsufficientDriver) {
    int driver = 0;
    cudaDriverGetVersion(&driver);
    if (driver == 0) {
      return absl::NotFoundError(
          "device cuda: there is no NVIDIA driver here; choose the device cpu");
    }
    return absl::FailedPreconditionError(absl::StrCat(
        "device cuda: the driver is for CUDA ", driver / 1000, ".",
        driver % 1000 / 10, ", but this program needs ", CUDART_VERSION / 1000,
        ".", CUDART_VERSION % 1000 / 10, "; update the driver"));
  }
  if (error == cudaErrorNoDevice || (error == cudaSuccess && count == 0)) {
    return absl::NotFoundError(
        "device cuda: the driver shows no GPU (see nvidia-smi and "
        "CUDA_VISIBLE_DEVICES); choose the device cpu");
  }
  if (error == cudaSuccess && index >= count) {
    return absl::NotFoundError(absl::StrCat(
        "device cuda: GPU ", index, " is wanted, but the driver shows ", count,
        count == 1 ? " GPU" : " GPUs", " only (see CUDA_VISIBLE_DEVICES)"));
  }
  if (error == cudaSuccess &&
      cudaGetDeviceProperties(properties, index) == cudaSuccess) {
    if (properties->major >= kLeastMajor) return absl::OkStatus();
    return absl::FailedPreconditionError(absl::StrCat(
        "device cuda: ", properties->name, " has compute capability ",
        properties->major, ".", properties->minor, ", but ", kLeastMajor,
        ".0 is needed; choose the device cpu"));
  }
  return absl::FailedPreconditionError(
      absl::StrCat("device cuda: ", Describe(error)));
}

}  // namespace

absl::Status FindCuda(size_t* block_bytes) {
  cudaDeviceProp properties;
  RETURN_IF_ERROR(FindDevice(0, &properties));
  if (block_bytes != nullptr) *block_bytes = properties.sharedMemPerBlockOptin;
  return absl::OkStatus();
}

std::vector<std::string> CudaBusIds() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) count = 0;
  std::vector<std::string> ids(count);
  for (int i = 0; i < count; ++i) {
    char id[32] = "";
    if (cudaDeviceGetPCIBusId(id, sizeof(id), i) == cudaSuccess) ids[i] = id;
  }
  return ids;
}

absl::StatusOr<std::unique_ptr<Device>> OpenCuda(int index) {
  ASSIGN_OR_RETURN(std::unique_ptr<CudaDevice> device, CudaDevice::Open(index));
  return std::unique_ptr<Device>(std::move(device));
}

absl::StatusOr<std::unique_ptr<CudaDevice>> CudaDevice::Open(int index) {
  cudaDeviceProp properties;
  RETURN_IF_ERROR(FindDevice(index, &properties));
  std::unique_ptr<CudaDevice> device(new CudaDevice);
  device->name_ = properties.name;
  device->total_bytes_ = properties.totalGlobalMem;
  const absl::Status prepared = device->Prepare(index);
  if (!prepared.ok()) return Annotate(prepared, device->name_);
  return device;
}

absl::Status CudaDevice::Prepare(int index) {
  const auto check = [](cudaError_t error) {
    if (error == cudaSuccess) return absl::OkStatus();
    return error == cudaErrorMemoryAllocation
               ? absl::ResourceExhaustedError(Describe(error))
               : absl::UnavailableError(Describe(error));
  };
  RETURN_IF_ERROR(check(cudaSetDevice(index)));
  RETURN_IF_ERROR(
      check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)));
  int least = 0, greatest = 0;
  RETURN_IF_ERROR(check(cudaDeviceGetStreamPriorityRange(&least, &greatest)));
  RETURN_IF_ERROR(check(cudaStreamCreateWithPriority(
      &second_stream_, cudaStreamNonBlocking, greatest)));
  for (cudaEvent_t& point : points_) {
    RETURN_IF_ERROR(
        check(cudaEventCreateWithFlags(&point, cudaEventDisableTiming)));
  }
  RETURN_IF_ERROR(
      check(cudaEventCreateWithFlags(&joined_, cudaEventDisableTiming)));
  for (Staging* staging : {&up_, &down_}) {
    void* data = nullptr;
    RETURN_IF_ERROR(check(cudaMallocHost(&data, kStagingBytes)));
    staging->data = static_cast<std::byte*>(data);
  }
  ASSIGN_OR_RETURN(arena_, NewArena());
  pending_.reserve(1024);
  return absl::OkStatus();
}

CudaDevice::~CudaDevice() {
  if (hung()) return;  // The process ends soon, and the driver takes all back.
  for (const cudaStream_t stream : {second_stream_, stream_}) {
    if (stream == nullptr) continue;
    cudaStreamSynchronize(stream);
    cudaStreamDestroy(stream);
  }
  for (const cudaEvent_t point : points_) {
    if (point != nullptr) cudaEventDestroy(point);
  }
  if (joined_ != nullptr) cudaEventDestroy(joined_);
  arena_ = nullptr;
  cudaFreeHost(up_.data);
  cudaFreeHost(down_.data);
}

absl::StatusOr<std::unique_ptr<Arena>> CudaDevice::NewArena() {
  ASSIGN_OR_RETURN(std::unique_ptr<CudaStepMemory> memory,
                   CudaStepMemory::Open(step_ledger_));
  return std::make_unique<Arena>(std::move(memory));
}

absl::StatusOr<Tensor> CudaDevice::Allocate(
    DType dtype, std::initializer_list<int64_t> shape) {
  TensorView view(nullptr, dtype, shape);
  const size_t bytes = std::max<size_t>(view.size() * SizeOf(dtype), 1);
  const cudaError_t error = cudaMalloc(&view.data, bytes);
  if (error != cudaSuccess) {
    cudaGetLastError();  // Not to be found again by a kernel's launch.
    if (error != cudaErrorMemoryAllocation) {
      return absl::UnavailableError(
          absl::StrCat(name_, ": cudaMalloc failed: ", Describe(error)));
    }
    size_t free = 0, total = 0;
    cudaMemGetInfo(&free, &total);
    return absl::ResourceExhaustedError(absl::StrCat(
        name_, ": out of GPU memory: ", bytes >> 20, " MiB more are wanted, ",
        free >> 20, " of ", total >> 20, " MiB are free"));
  }
  *tensor_bytes_ += bytes;
  peak_tensor_bytes_ = std::max(peak_tensor_bytes_, *tensor_bytes_);
  return Tensor::Of(
      view, std::shared_ptr<void>(view.data, [bytes, all = tensor_bytes_,
                                              ledger = step_ledger_](void* p) {
        *all -= bytes;
        if (!ledger->hung) cudaFree(p);
      }));
}

void CudaDevice::Note(cudaError_t error, const char* what) {
  if (error == cudaSuccess || !status_.ok()) return;
  status_ = absl::UnavailableError(
      absl::StrCat(name_, ": ", what, " failed: ", Describe(error)));
}

std::byte* CudaDevice::Stage(Staging* staging, size_t bytes) {
  if (staging->used + bytes > kStagingBytes) Settle();
  std::byte* out = staging->data + staging->used;
  // What follows starts at a multiple of 64 bytes.
  staging->used += (bytes + 63) / 64 * 64;
  return out;
}

void CudaDevice::Upload(const void* host, size_t bytes, void* device) {
  if (!ok()) return;
  for (size_t at = 0; at < bytes; at += kStagingBytes) {
    const size_t n = std::min(kStagingBytes, bytes - at);
    std::byte* staged = Stage(&up_, n);
    std::memcpy(staged, static_cast<const std::byte*>(host) + at, n);
    Note(cudaMemcpyAsync(static_cast<std::byte*>(device) + at, staged, n,
                         cudaMemcpyHostToDevice, stream_),
         "a copy to the device");
  }
}

void CudaDevice::UploadRows(const void* host, size_t bytes, int64_t rows,
                            void* device, size_t stride) {
  CARACAL_CHECK(bytes > 0 && bytes <= kStagingBytes) << bytes;
  if (!ok()) return;
  const auto most = static_cast<int64_t>(kStagingBytes / bytes);
  for (int64_t row = 0; row < rows; row += most) {
    const int64_t n = std::min(most, rows - row);
    std::byte* staged = Stage(&up_, n * bytes);
    std::memcpy(staged, static_cast<const std::byte*>(host) + row * bytes,
                n * bytes);
    Note(cudaMemcpy2DAsync(static_cast<std::byte*>(device) + row * stride,
                           stride, staged, bytes, bytes, n,
                           cudaMemcpyHostToDevice, stream_),
         "a copy to the device");
  }
}

void CudaDevice::Copy(const void* from, size_t bytes, void* to) {
  if (!ok()) return;
  Note(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream_),
       "a copy on the device");
}

void CudaDevice::CopyRows(const void* from, size_t from_stride, size_t bytes,
                          int64_t rows, void* to, size_t to_stride) {
  if (!ok() || rows == 0) return;
  Note(cudaMemcpy2DAsync(to, to_stride, from, from_stride, bytes, rows,
                         cudaMemcpyDeviceToDevice, stream_),
       "a copy on the device");
}

void CudaDevice::SetZero(void* device, size_t bytes) {
  if (!ok()) return;
  Note(cudaMemsetAsync(device, 0, bytes, stream_), "zeroing memory");
}

void CudaDevice::Mark(int point, void* stream) {
  marked_in_.at(point) = recordings_;
  Note(cudaEventRecord(points_.at(point), static_cast<cudaStream_t>(stream)),
       "cudaEventRecord");
}

void CudaDevice::Await(int point, void* stream) {
  if (recording_ && marked_in_.at(point) != recordings_) {
    if (stream == stream_) return;
    Mark(point, stream_);
  }
  Note(cudaStreamWaitEvent(static_cast<cudaStream_t>(stream), points_.at(point),
                           0),
       "cudaStreamWaitEvent");
}

void CudaDevice::CopyOn(void* stream, const void* from, size_t bytes,
                        void* to) {
  if (!ok()) return;
  Note(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice,
                       static_cast<cudaStream_t>(stream)),
       "a copy on the device");
}

void CudaDevice::SetZeroOn(void* stream, void* device, size_t bytes) {
  if (!ok()) return;
  Note(cudaMemsetAsync(device, 0, bytes, static_cast<cudaStream_t>(stream)),
       "zeroing memory");
}

void CudaDevice::Download(const void* device, size_t bytes, void* host) {
  if (!ok()) return;
  for (size_t at = 0; at < bytes; at += kStagingBytes) {
    const size_t n = std::min(kStagingBytes, bytes - at);
    std::byte* staged = Stage(&down_, n);
    Note(cudaMemcpyAsync(staged, static_cast<const std::byte*>(device) + at, n,
                         cudaMemcpyDeviceToHost, stream_),
         "a copy from the device");
    pending_.push_back({staged, static_cast<std::byte*>(host) + at, n});
  }
}

class CudaDevice::Graph final : public DeviceGraph {
 public:
  Graph(CudaDevice* device, cudaGraphExec_t graph)
      : device_(device), graph_(graph) {}
  ~Graph() override {
    if (!device_->hung()) cudaGraphExecDestroy(graph_);
  }
  void Launch() override {
    if (!device_->ok()) return;
    device_->Note(cudaGraphLaunch(graph_, device_->stream_),
                  "launching a graph");
  }

 private:
  CudaDevice* device_;
  cudaGraphExec_t graph_;
};

absl::Status CudaDevice::RecordingFailed(cudaError_t error) {
  cudaGetLastError();  // Not to be found again by a kernel's launch.
  return absl::UnavailableError(
      absl::StrCat(name_, ": recording a graph failed: ", Describe(error)));
}

absl::Status CudaDevice::BeginRecording() {
  // Other threads may meanwhile do what they like.
  const cudaError_t error =
      cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal);
  if (error != cudaSuccess) return RecordingFailed(error);
  before_recording_ = status_;
  recording_ = true;
  ++recordings_;
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<DeviceGraph>> CudaDevice::EndRecording() {
  recording_ = false;
  cudaGraph_t recorded = nullptr;
  cudaGraphExec_t graph = nullptr;
  cudaStreamCaptureStatus beside = cudaStreamCaptureStatusNone;
  cudaError_t error = cudaStreamIsCapturing(second_stream_, &beside);
  if (error == cudaSuccess && beside == cudaStreamCaptureStatusActive) {
    error = cudaEventRecord(joined_, second_stream_);
    if (error == cudaSuccess) error = cudaStreamWaitEvent(stream_, joined_, 0);
  }
  // In any case, or the stream would go on recording.
  const cudaError_t ended = cudaStreamEndCapture(stream_, &recorded);
  if (error == cudaSuccess) error = ended;
  // Work of the second stream keeps its priority.
  if (error == cudaSuccess) {
    error = cudaGraphInstantiate(&graph, recorded,
                                 cudaGraphInstantiateFlagUseNodePriority);
  }
  // Now, not at the first launch: its memory may not be there.
  if (error == cudaSuccess) error = cudaGraphUpload(graph, stream_);
  if (recorded != nullptr) cudaGraphDestroy(recorded);
  if (error != cudaSuccess) {
    if (graph != nullptr) cudaGraphExecDestroy(graph);
    // Calls of the recording may have failed; none ran.
    status_ = before_recording_;
    return RecordingFailed(error);
  }
  return std::make_unique<Graph>(this, graph);
}

void CudaDevice::BeginRange(const char* name) { nvtxRangePushA(name); }
void CudaDevice::EndRange() { nvtxRangePop(); }

void CudaDevice::set_stall(absl::Duration limit,
                           std::function<void(const absl::Status&)> hung) {
  stall_ = limit;
  watch_.reset();
  if (hung == nullptr || limit == absl::InfiniteDuration()) return;
  watch_.emplace(2 * limit, [this, limit, hung = std::move(hung)] {
    hung(absl::DeadlineExceededError(absl::StrCat(
        name_, ": a pass is not over after ", absl::FormatDuration(2 * limit),
        ", and its launches are blocked", kWhyHung)));
  });
}

void CudaDevice::AwaitStream() {
  if (hung()) return;  // Once was long enough.
  if (stall_ == absl::InfiniteDuration()) {
    Note(cudaStreamSynchronize(stream_), "the work of a step");
    return;
  }
  constexpr absl::Duration kNap = absl::Microseconds(20);
  const absl::Duration limit = Clock::Real()->Now() + stall_;
  cudaError_t state = cudaStreamQuery(stream_);
  while (state == cudaErrorNotReady && Clock::Real()->Now() < limit) {
    absl::SleepFor(kNap);
    state = cudaStreamQuery(stream_);
  }
  if (state != cudaErrorNotReady) {
    Note(state, "the work of a step");
  } else {
    step_ledger_->hung = true;
    Fail(absl::DeadlineExceededError(
        absl::StrCat(name_, ": the work of a step is not done after ",
                     absl::FormatDuration(stall_), kWhyHung)));
  }
}

void CudaDevice::Settle() {
  ++waits_;
  AwaitStream();
  for (const Pending& p : pending_) std::memcpy(p.host, p.staged, p.bytes);
  pending_.clear();
  up_.used = down_.used = 0;
}

absl::Status CudaDevice::Wait() {
  Settle();
  RETURN_IF_ERROR(step_ledger_->status);
  return status_;
}

uint64_t CudaDevice::free_bytes() const {
  size_t free = 0, total = 0;
  return cudaMemGetInfo(&free, &total) == cudaSuccess ? free : 0;
}

uint64_t CudaDevice::peak_bytes() const {
  return peak_tensor_bytes_ + step_ledger_->peak_bytes;
}

}  // namespace caracal
