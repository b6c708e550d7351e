// CollectiveQueue on a stream of a GPU.
#ifndef CARACAL_DIST_NCCL_NCCL_QUEUE_H_
#define CARACAL_DIST_NCCL_NCCL_QUEUE_H_

#include <cuda_runtime_api.h>

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/collective/collective_queue.h"

namespace caracal {

// Operations run at once, on the calling thread, and put their work on the
// queue's stream: behind what the caller's stream has by then, beside what it
// gets later. Nothing waits on the host.
class NcclQueue final : public CollectiveQueue {
 public:
  // `own`: a cudaStream_t of the current device, on which the group is (a group
  // of one rank may be the host's); `callers` outlives the queue.
  static absl::StatusOr<std::unique_ptr<NcclQueue>> Create(
      std::unique_ptr<Collective> group, std::shared_ptr<void> own,
      void* callers);
  NcclQueue(const NcclQueue&) = delete;
  NcclQueue& operator=(const NcclQueue&) = delete;
  ~NcclQueue() override;

  void Start(Operation operation) override;
  absl::Status Wait() override;
  const Collective& collective() const override { return *group_; }
  void* stream() const override { return own_.get(); }

 private:
  NcclQueue() = default;
  // What `waits` gets from now on waits for what `for_what` has.
  absl::Status Order(cudaStream_t waits, cudaStream_t for_what);

  std::shared_ptr<void> own_;
  std::unique_ptr<Collective> group_;
  cudaStream_t callers_ = nullptr;
  cudaEvent_t event_ = nullptr;
  absl::Status result_;
};

}  // namespace caracal

#endif  // CARACAL_DIST_NCCL_NCCL_QUEUE_H_
