// Collective over NCCL, for tensors in the memory of GPUs.
#ifndef CARACAL_DIST_NCCL_NCCL_COLLECTIVE_H_
#define CARACAL_DIST_NCCL_NCCL_COLLECTIVE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/collective/collective.h"
#include "core/collective/piece_exchange.h"

namespace caracal {

// One group of ranks, each with a GPU of its own.
//
// Operations on tensors return when they are on the stream: what is put there
// later sees their results, the host does after Synchronize. What concerns the
// host (AllGatherBytes, and Barrier's meeting) goes over the group's control
// group, of the same ranks in the same order.
//
// Sums are made by NCCL: the same bits on all ranks, and from run to run on one
// machine with one version of it, but of three ranks or more in an order of its
// choice, and bf16 is rounded at each step on the way. NCCL does not tell what
// it sends: traffic() adds up core/collective/traffic.h, which its rings for
// equal pieces send; of uneven ones they may send more.
//
// NCCL connects the peers in Create and at the first operation of a kind: then
// the host waits for them, without a limit.
//
// Errors are kUnavailable (a lost peer, a failed device or link), kInternal (a
// call that can't be right) and Synchronize's kDeadlineExceeded, each with the
// call, the group and the rank. After one, every call returns it.
class NcclCollective : public Collective {
 public:
  static constexpr int kAnyBlocks = 0;  // as many as NCCL likes
  // Every rank of `control`, which outlives the group, calls on the thread
  // whose current CUDA device is its own; `stream` is a cudaStream_t of it. At
  // each later call that device is current again. `timeout` is Synchronize's.
  // `most_blocks`: of the device's multiprocessors, for one operation.
  static absl::StatusOr<std::unique_ptr<NcclCollective>> Create(
      Collective* control, void* stream, const std::string& name,
      absl::Duration timeout = absl::InfiniteDuration(),
      int most_blocks = kAnyBlocks);
  // The same, of a group that keeps its control group and its stream.
  static absl::StatusOr<std::unique_ptr<NcclCollective>> Create(
      std::unique_ptr<Collective> control, std::shared_ptr<void> stream,
      const std::string& name,
      absl::Duration timeout = absl::InfiniteDuration(),
      int most_blocks = kAnyBlocks);
  NcclCollective(const NcclCollective&) = delete;
  NcclCollective& operator=(const NcclCollective&) = delete;
  ~NcclCollective() override;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  absl::Status AllReduceSum(TensorView data) override;
  absl::Status AllReduceMax(TensorView data) override;
  absl::Status ReduceScatterSum(ConstTensorView data,
                                absl::Span<const int64_t> counts,
                                TensorView out) override;
  absl::Status AllGather(ConstTensorView mine, absl::Span<const int64_t> counts,
                         TensorView all) override;
  absl::Status Broadcast(TensorView data, int root) override;
  absl::Status Send(ConstTensorView data, int to) override;
  absl::Status Receive(TensorView data, int from) override;
  absl::Status AllGatherBytes(const void* mine, size_t bytes,
                              void* all) override;
  // Synchronize, then the control group's barrier.
  absl::Status Barrier() override;
  uint64_t traffic() const override {
    return traffic_ + (exchange_ == nullptr ? 0 : exchange_->traffic());
  }
  // None at first.
  PieceExchange* exchange() override { return exchange_.get(); }
  void set_exchange(std::unique_ptr<PieceExchange> exchange) {
    exchange_ = std::move(exchange);
  }

  // The host's.
  Collective* control() { return control_; }

  // Until all that was put on the stream is done. Looks for the errors of peers
  // meanwhile; kDeadlineExceeded after the timeout, and the group is aborted.
  absl::Status Synchronize();

 private:
  struct Communicator;  // NCCL's and CUDA's handles

  NcclCollective();
  std::string Where(const char* operation) const;
  absl::Status AllReduce(const char* operation, bool sum, TensorView data);
  // Remembers an error for good; aborts the communicator.
  absl::Status Finish(const absl::Status& status);

  std::shared_ptr<void> kept_stream_;
  std::unique_ptr<Collective> kept_control_;
  std::unique_ptr<Communicator> comm_;
  Collective* control_ = nullptr;
  std::string name_;
  absl::Duration timeout_;
  int rank_ = 0;
  int size_ = 1;
  uint64_t traffic_ = 0;
  absl::Status broken_;
  std::unique_ptr<PieceExchange> exchange_;  // first to go
};

}  // namespace caracal

#endif  // CARACAL_DIST_NCCL_NCCL_COLLECTIVE_H_
