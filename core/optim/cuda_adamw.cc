#include <limits>
#include <optional>
#include <utility>

#include "core/base/status.h"
#include "core/optim/device_adamw.h"
#include "core/tensor/tensor.h"
#include "kernels/adamw/adamw_cuda.h"

namespace caracal {
namespace {

// Elements that a tensor's room is a multiple of.
constexpr int64_t kGrain = 64;

int64_t RoomOf(const TensorView& view) {
  return (view.size() + kGrain - 1) / kGrain * kGrain;
}

class CudaAdamW final : public DeviceAdamW {
 public:
  CudaAdamW(Device* device, std::vector<Tensor> tensors)
      : device_(device), tensors_(std::move(tensors)) {}

  absl::Status Prepare() {
    int64_t total = 0;
    for (const Tensor& t : tensors_) total += RoomOf(t.value);
    const auto count = static_cast<int64_t>(tensors_.size());
    int64_t counted = 0;
    for (const Tensor& t : tensors_) counted += t.counts;
    const auto bytes = [](size_t n) { return static_cast<int64_t>(n); };
    ASSIGN_OR_RETURN(moments_, device_->Allocate(DType::kF32, {2 * total}));
    ASSIGN_OR_RETURN(
        table_memory_,
        device_->Allocate(DType::kU8,
                          {bytes(kernels::AdamWCudaTableBytes(count))}));
    ASSIGN_OR_RETURN(
        counted_memory_,
        device_->Allocate(DType::kU8,
                          {bytes(kernels::AdamWCudaTableBytes(counted))}));
    ASSIGN_OR_RETURN(
        workspace_,
        device_->Allocate(DType::kU8,
                          {bytes(kernels::SumOfSquaresCudaWorkspaceBytes())}));
    ASSIGN_OR_RETURN(sum_, device_->Allocate(DType::kI64, {1}));
    std::vector<kernels::AdamWCudaTensor> list, counting;
    float* at = moments_.f32();
    for (const Tensor& t : tensors_) {
      const auto flat = [&t](void* data) {
        return TensorView(data, DType::kF32, {t.value.size()});
      };
      first_.push_back(at);
      second_.push_back(at + total);
      list.push_back({flat(t.value.data), flat(t.grad.data), flat(at),
                      flat(at + total), TensorView()});
      if (t.counts) counting.push_back(list.back());
      at += RoomOf(t.value);
    }
    Context ctx;
    ctx.device = DeviceType::kCuda;
    ctx.stream = device_->stream();
    table_ = kernels::MakeAdamWCudaTable(ctx, list.data(), count,
                                         table_memory_.view().data);
    counted_ = kernels::MakeAdamWCudaTable(ctx, counting.data(), counted,
                                           counted_memory_.view().data);
    return absl::OkStatus();
  }

  void MomentsToDevice() override {
    for (size_t i = 0; i < tensors_.size(); ++i) {
      const size_t bytes = tensors_[i].first.size() * sizeof(float);
      device_->Upload(tensors_[i].first.data, bytes, first_[i]);
      device_->Upload(tensors_[i].second.data, bytes, second_[i]);
    }
  }
  absl::Status MomentsToHost() override {
    for (size_t i = 0; i < tensors_.size(); ++i) {
      const size_t bytes = tensors_[i].first.size() * sizeof(float);
      device_->Download(first_[i], bytes, tensors_[i].first.data);
      device_->Download(second_[i], bytes, tensors_[i].second.data);
    }
    return device_->Wait();
  }
  void BeginSumOfSquares(const Context& ctx) override {
    auto* sum = static_cast<double*>(sum_.view().data);
    kernels::SumOfSquaresCuda(ctx, counted_, kernels::AdamWCudaPart::kGrad, sum,
                              {workspace_.view().data, workspace_.bytes()});
    host_sum_ = std::numeric_limits<double>::quiet_NaN();  // if none comes
    device_->Download(sum, sizeof(host_sum_), &host_sum_);
    begun_ = device_->waits();
  }
  double SumOfSquares() override {
    CARACAL_CHECK(begun_.has_value()) << "a sum that nobody began";
    // Its error is the pass's, which has told it.
    if (device_->waits() == begun_) device_->Wait().IgnoreError();
    begun_.reset();
    return host_sum_;
  }
  void Step(const Context& ctx,
            const std::vector<kernels::AdamWConfig>& configs) override {
    kernels::AdamWCudaConfigure(ctx, table_, configs.data());
    kernels::AdamWStepCuda(ctx, table_, nullptr);
  }

 private:
  Device* device_;
  std::vector<Tensor> tensors_;
  std::vector<float*> first_, second_;
  caracal::Tensor moments_, table_memory_, counted_memory_, workspace_, sum_;
  kernels::AdamWCudaTable table_, counted_;
  double host_sum_ = 0;
  std::optional<int64_t> begun_;  // the device's waits by then
};

}  // namespace

absl::StatusOr<std::unique_ptr<DeviceAdamW>> MakeDeviceAdamW(
    Device* device, const std::vector<DeviceAdamW::Tensor>& tensors) {
  auto optimizer = std::make_unique<CudaAdamW>(device, tensors);
  RETURN_IF_ERROR(optimizer->Prepare());
  return std::unique_ptr<DeviceAdamW>(std::move(optimizer));
}

}  // namespace caracal
