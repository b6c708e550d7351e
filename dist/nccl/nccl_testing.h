// For tests of NcclCollective: takes host views to the device and back.
#ifndef CARACAL_DIST_NCCL_NCCL_TESTING_H_
#define CARACAL_DIST_NCCL_NCCL_TESTING_H_

#include <cuda_runtime_api.h>

#include "core/base/status.h"
#include "core/collective/checks.h"
#include "dist/nccl/nccl_collective.h"
#include "kernels/common/cuda_check.h"

namespace caracal {

// A copy of a host view in the device's memory.
class DeviceCopy {
 public:
  explicit DeviceCopy(ConstTensorView host) : bytes_(BytesOf(host)) {
    CARACAL_CUDA_CHECK(cudaMalloc(&data_, bytes_ + 1));
    CARACAL_CUDA_CHECK(
        cudaMemcpy(data_, host.data, bytes_, cudaMemcpyHostToDevice));
    view_ = TensorView(data_, host.dtype, {host.size()});
  }
  DeviceCopy(const DeviceCopy&) = delete;
  DeviceCopy& operator=(const DeviceCopy&) = delete;
  ~DeviceCopy() { cudaFree(data_); }
  TensorView view() const { return view_; }
  // `count` elements from `begin` on.
  TensorView Part(int64_t begin, int64_t count) const {
    return TensorView(static_cast<char*>(data_) + begin * SizeOf(view_.dtype),
                      view_.dtype, {count});
  }
  void To(TensorView host) const {
    CARACAL_CUDA_CHECK(
        cudaMemcpy(host.data, data_, bytes_, cudaMemcpyDeviceToHost));
  }

 private:
  uint64_t bytes_;
  void* data_ = nullptr;
  TensorView view_;
};

// Takes host views to the device and back, so that what is checked of all
// groups can be checked of this one.
class ThroughDevice : public Collective {
 public:
  explicit ThroughDevice(NcclCollective* group) : group_(group) {}
  int rank() const override { return group_->rank(); }
  int size() const override { return group_->size(); }
  uint64_t traffic() const override { return group_->traffic(); }

  absl::Status AllReduceSum(TensorView data) override {
    const DeviceCopy copy(data);
    return Back(group_->AllReduceSum(copy.view()), copy, data);
  }
  absl::Status AllReduceMax(TensorView data) override {
    const DeviceCopy copy(data);
    return Back(group_->AllReduceMax(copy.view()), copy, data);
  }
  absl::Status ReduceScatterSum(ConstTensorView data,
                                absl::Span<const int64_t> counts,
                                TensorView out) override {
    const int64_t begin = CheckPieces(data, counts, out, rank(), size());
    const char* const place =
        static_cast<const char*>(data.data) + begin * SizeOf(data.dtype);
    const DeviceCopy copy(data);
    if (place == out.data) {  // in place there too
      return Back(
          group_->ReduceScatterSum(copy.view(), counts,
                                   copy.Part(begin, out.size())),
          copy,
          TensorView(const_cast<void*>(data.data), data.dtype, {data.size()}));
    }
    const DeviceCopy copy_of_out(out);
    return Back(
        group_->ReduceScatterSum(copy.view(), counts, copy_of_out.view()),
        copy_of_out, out);
  }
  absl::Status AllGather(ConstTensorView mine, absl::Span<const int64_t> counts,
                         TensorView all) override {
    const int64_t begin = CheckPieces(all, counts, mine, rank(), size());
    const char* const place =
        static_cast<const char*>(all.data) + begin * SizeOf(all.dtype);
    const DeviceCopy copy(all), copy_of_mine(mine);
    return Back(
        group_->AllGather(place == mine.data ? copy.Part(begin, mine.size())
                                             : copy_of_mine.view(),
                          counts, copy.view()),
        copy, all);
  }
  absl::Status Broadcast(TensorView data, int root) override {
    const DeviceCopy copy(data);
    return Back(group_->Broadcast(copy.view(), root), copy, data);
  }
  absl::Status Send(ConstTensorView data, int to) override {
    const DeviceCopy copy(data);
    RETURN_IF_ERROR(group_->Send(copy.view(), to));
    return group_->Synchronize();
  }
  absl::Status Receive(TensorView data, int from) override {
    const DeviceCopy copy(data);
    return Back(group_->Receive(copy.view(), from), copy, data);
  }
  absl::Status AllGatherBytes(const void* mine, size_t bytes,
                              void* all) override {
    return group_->AllGatherBytes(mine, bytes, all);
  }
  absl::Status Barrier() override { return group_->Barrier(); }

 private:
  absl::Status Back(const absl::Status& status, const DeviceCopy& copy,
                    TensorView host) {
    RETURN_IF_ERROR(status);
    RETURN_IF_ERROR(group_->Synchronize());
    copy.To(host);
    return absl::OkStatus();
  }

  NcclCollective* const group_;
};

}  // namespace caracal

#endif  // CARACAL_DIST_NCCL_NCCL_TESTING_H_
