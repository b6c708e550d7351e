#include "core/model/shared_gradients.h"

#include <cstring>

namespace caracal {
namespace {

int64_t WholeSize(const Parameter& p) {
  int64_t size = 1;
  for (int i = 0; i < p.value.rank; ++i) size *= p.slice.whole[i];
  return size;
}

// Where a part begins in the whole tensor: parts are blocks of rows.
int64_t BeginOf(const Parameter& p) {
  int64_t row = 1;
  for (int i = 1; i < p.value.rank; ++i) {
    CARACAL_CHECK_EQ(p.value.shape[i], p.slice.whole[i]) << p.name;
    row *= p.slice.whole[i];
  }
  return p.slice.begin[0] * row;
}

}  // namespace

SharedGradients::SharedGradients(std::vector<const Parameter*> parameters,
                                 Device* device)
    : device_(device) {
  int64_t total = 0;
  for (const Parameter* p : parameters) {
    if (!p->slice.shared) continue;
    shared_.push_back(p);
    total += WholeSize(*p);
  }
  if (total == 0) return;
  if (device == nullptr) {
    buffer_ = Tensor::Zeros(DType::kF32, {total});
    return;
  }
  absl::StatusOr<Tensor> buffer = device->Allocate(DType::kF32, {total});
  status_ = buffer.status();
  if (buffer.ok()) buffer_ = *std::move(buffer);
}

void SharedGradients::SetZero(void* stream) {
  if (device_ == nullptr) {
    std::memset(buffer_.f32(), 0, buffer_.bytes());
  } else {
    device_->SetZeroOn(stream, buffer_.f32(), buffer_.bytes());
  }
}

void SharedGradients::Copy(const TensorView& from, float* to, void* stream) {
  const size_t bytes = from.size() * sizeof(float);
  if (device_ == nullptr) {
    std::memcpy(to, from.data, bytes);
  } else {
    device_->CopyOn(stream, from.data, bytes, to);
  }
}

absl::Status SharedGradients::Sum(Collective& group, void* stream) {
  if (shared_.empty() || group.size() == 1) return absl::OkStatus();
  if (!status_.ok()) return status_;
  SetZero(stream);
  float* place = buffer_.f32();
  for (const Parameter* p : shared_) {
    Copy(p->step_grad, place + BeginOf(*p), stream);
    place += WholeSize(*p);
  }
  const absl::Status status = group.AllReduceSum(buffer_);
  if (!status.ok()) return status;
  place = buffer_.f32();
  for (const Parameter* p : shared_) {
    Copy(TensorView(place + BeginOf(*p), {p->step_grad.size()}),
         p->step_grad.f32(), stream);
    place += WholeSize(*p);
  }
  return absl::OkStatus();
}

}  // namespace caracal
