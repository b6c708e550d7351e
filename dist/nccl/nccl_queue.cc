#include "dist/nccl/nccl_queue.h"

#include <utility>

#include "core/base/status.h"
#include "dist/nccl/nccl_api.h"

namespace caracal {

absl::StatusOr<std::unique_ptr<NcclQueue>> NcclQueue::Create(
    std::unique_ptr<Collective> group, std::shared_ptr<void> own,
    void* callers) {
  std::unique_ptr<NcclQueue> queue(new NcclQueue());
  queue->own_ = std::move(own);
  queue->group_ = std::move(group);
  queue->callers_ = static_cast<cudaStream_t>(callers);
  const cudaError_t error =
      cudaEventCreateWithFlags(&queue->event_, cudaEventDisableTiming);
  if (error != cudaSuccess) {
    return CudaStatus(error, "cudaEventCreateWithFlags",
                      "for a queue of collectives");
  }
  return queue;
}

NcclQueue::~NcclQueue() {
  if (event_ != nullptr) cudaEventDestroy(event_);
}

absl::Status NcclQueue::Order(cudaStream_t waits, cudaStream_t for_what) {
  // An event that is recorded again leaves those who wait for what it was.
  cudaError_t error = cudaEventRecord(event_, for_what);
  if (error == cudaSuccess) error = cudaStreamWaitEvent(waits, event_, 0);
  if (error == cudaSuccess) return absl::OkStatus();
  return CudaStatus(error, "cudaStreamWaitEvent", "in a queue of collectives");
}

void NcclQueue::Start(Operation operation) {
  if (!result_.ok()) return;
  result_ = Order(static_cast<cudaStream_t>(own_.get()), callers_);
  if (result_.ok()) result_ = operation(*group_);
}

absl::Status NcclQueue::Wait() {
  RETURN_IF_ERROR(result_);
  result_ = Order(callers_, static_cast<cudaStream_t>(own_.get()));
  return result_;
}

}  // namespace caracal
