#include "tests/gpu/through_host.h"

#include <cuda_runtime_api.h>

#include <memory>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/collective/checks.h"
#include "core/collective/piece_exchange.h"
#include "dist/nccl/nccl_queue.h"
#include "kernels/common/cuda_check.h"
#include "kernels/common/cuda_testing.h"

namespace caracal {
namespace {

// Of pageable memory the way to the device may outlast cudaMemcpy: streams that
// are not ordered behind it are to wait.
void FinishCopies() {
  CARACAL_CUDA_CHECK(cudaStreamSynchronize(cudaStreamLegacy));
}

// A view's elements in host memory.
class HostCopy {
 public:
  explicit HostCopy(ConstTensorView device)
      : bytes_(BytesOf(device)), memory_(bytes_ + 1) {
    CARACAL_CUDA_CHECK(cudaMemcpy(memory_.data(), device.data, bytes_,
                                  cudaMemcpyDeviceToHost));
    view_ = TensorView(memory_.data(), device.dtype, {device.size()});
  }
  TensorView view() const { return view_; }
  void To(TensorView device) const {
    CARACAL_CUDA_CHECK(cudaMemcpy(device.data, memory_.data(), bytes_,
                                  cudaMemcpyHostToDevice));
    FinishCopies();
  }

 private:
  uint64_t bytes_;
  std::vector<char> memory_;
  TensorView view_;
};

// Pieces wait on the host for the round's first Receive, in which all go.
class ExchangeThroughHost final : public PieceExchange {
 public:
  ExchangeThroughHost(Collective* host, cudaStream_t stream)
      : host_(host), stream_(stream), places_(host->size()) {}

  absl::Status Begin(uint64_t most_bytes) override {
    CARACAL_CHECK(!open_);
    open_ = true;
    pieces_.assign(places_.size(), {});
    most_ = most_bytes;
    return absl::OkStatus();
  }
  absl::Status Send(ConstTensorView piece, int to) override {
    CARACAL_CHECK(open_ && pieces_[to].empty());
    CARACAL_CHECK(BytesOf(piece) <= most_) << BytesOf(piece);
    CARACAL_CUDA_CHECK(cudaStreamSynchronize(stream_));
    pieces_[to].resize(most_ + 1);
    CARACAL_CUDA_CHECK(cudaMemcpy(pieces_[to].data(), piece.data,
                                  BytesOf(piece), cudaMemcpyDeviceToHost));
    traffic_ += BytesOf(piece);
    return absl::OkStatus();
  }
  absl::StatusOr<void*> Receive(int from) override {
    for (int r = 0; r < host_->size(); ++r) {
      if (r == host_->rank() || pieces_[r].empty()) continue;
      const std::vector<char> sent = std::move(pieces_[r]);
      pieces_[r].clear();
      std::vector<char> got(most_ + 1);
      const int64_t count = got.size();
      const TensorView mine(const_cast<char*>(sent.data()), DType::kU8,
                            {count});
      const TensorView theirs(got.data(), DType::kU8, {count});
      if (host_->rank() < r) RETURN_IF_ERROR(host_->Send(mine, r));
      RETURN_IF_ERROR(host_->Receive(theirs, r));
      if (host_->rank() > r) RETURN_IF_ERROR(host_->Send(mine, r));
      CARACAL_CUDA_CHECK(cudaStreamSynchronize(stream_));
      places_[r] = std::make_unique<testing::DeviceArray<char>>(got);
      FinishCopies();
    }
    return places_[from]->data();
  }
  absl::Status End() override {
    open_ = false;
    return absl::OkStatus();
  }
  uint64_t traffic() const override { return traffic_; }

 private:
  Collective* const host_;
  const cudaStream_t stream_;
  std::vector<std::unique_ptr<testing::DeviceArray<char>>> places_;
  std::vector<std::vector<char>> pieces_;
  uint64_t most_ = 0, traffic_ = 0;
  bool open_ = false;
};

class ThroughHost final : public Collective {
 public:
  ThroughHost(std::unique_ptr<Collective> host, std::shared_ptr<void> stream)
      : host_(std::move(host)),
        stream_(std::move(stream)),
        exchange_(host_.get(), static_cast<cudaStream_t>(stream_.get())) {}
  PieceExchange* exchange() override { return &exchange_; }
  int rank() const override { return host_->rank(); }
  int size() const override { return host_->size(); }
  uint64_t traffic() const override { return host_->traffic(); }

  absl::Status AllReduceSum(TensorView data) override {
    Wait();
    const HostCopy copy(data);
    return Back(host_->AllReduceSum(copy.view()), copy, data);
  }
  absl::Status AllReduceMax(TensorView data) override {
    Wait();
    const HostCopy copy(data);
    return Back(host_->AllReduceMax(copy.view()), copy, data);
  }
  absl::Status ReduceScatterSum(ConstTensorView data,
                                absl::Span<const int64_t> counts,
                                TensorView out) override {
    Wait();
    const HostCopy copy(data), mine(out);
    return Back(host_->ReduceScatterSum(copy.view(), counts, mine.view()), mine,
                out);
  }
  absl::Status AllGather(ConstTensorView mine, absl::Span<const int64_t> counts,
                         TensorView all) override {
    Wait();
    const HostCopy copy(all), own(mine);
    return Back(host_->AllGather(own.view(), counts, copy.view()), copy, all);
  }
  absl::Status Broadcast(TensorView data, int root) override {
    Wait();
    const HostCopy copy(data);
    return Back(host_->Broadcast(copy.view(), root), copy, data);
  }
  absl::Status Send(ConstTensorView data, int to) override {
    Wait();
    return host_->Send(HostCopy(data).view(), to);
  }
  absl::Status Receive(TensorView data, int from) override {
    const HostCopy copy(data);
    return Back(host_->Receive(copy.view(), from), copy, data);
  }
  absl::Status AllGatherBytes(const void* mine, size_t bytes,
                              void* all) override {
    return host_->AllGatherBytes(mine, bytes, all);
  }
  absl::Status Barrier() override {
    Wait();
    return host_->Barrier();
  }

 private:
  void Wait() {
    CARACAL_CUDA_CHECK(
        cudaStreamSynchronize(static_cast<cudaStream_t>(stream_.get())));
  }
  static absl::Status Back(const absl::Status& status, const HostCopy& copy,
                           TensorView device) {
    if (status.ok()) copy.To(device);
    return status;
  }

  const std::unique_ptr<Collective> host_;
  const std::shared_ptr<void> stream_;
  ExchangeThroughHost exchange_;
};

std::shared_ptr<void> NewStream() {
  cudaStream_t stream = nullptr;
  CARACAL_CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return std::shared_ptr<void>(
      stream, [](void* s) { cudaStreamDestroy(static_cast<cudaStream_t>(s)); });
}

}  // namespace

absl::StatusOr<AxisGroups> OnSharedDevice(AxisGroups host, Device* device) {
  const auto place = [](const std::shared_ptr<void>& stream,
                        std::unique_ptr<Collective>* group) {
    if ((*group)->size() == 1) return;  // remains the host's, as there
    *group = std::make_unique<ThroughHost>(std::move(*group), stream);
  };
  const std::shared_ptr<void> callers(device->stream(), [](void*) {});
  const std::shared_ptr<void> own = NewStream();
  place(callers, &host.data);
  place(callers, &host.tensor);
  place(own, &host.data_behind);
  place(own, &host.tensor_behind);
  ASSIGN_OR_RETURN(host.behind, NcclQueue::Create(std::move(host.data_behind),
                                                  own, device->stream()));
  if (host.shape.layer == 1) return host;
  const auto place_links =
      [&](std::unique_ptr<Collective>& group,
          std::unique_ptr<CollectiveQueue>* queue) -> absl::Status {
    const std::shared_ptr<void> stream = NewStream();
    place(stream, &group);
    ASSIGN_OR_RETURN(
        *queue, NcclQueue::Create(std::move(group), stream, device->stream()));
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(place_links(host.layer, &host.even_links));
  RETURN_IF_ERROR(place_links(host.layer_behind, &host.odd_links));
  return host;
}

}  // namespace caracal
