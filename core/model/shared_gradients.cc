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

SharedGradients::SharedGradients(std::vector<const Parameter*> parameters) {
  int64_t total = 0;
  for (const Parameter* p : parameters) {
    if (!p->slice.shared) continue;
    shared_.push_back(p);
    total += WholeSize(*p);
  }
  if (total > 0) buffer_ = Tensor::Zeros(DType::kF32, {total});
}

absl::Status SharedGradients::Sum(Collective& group) {
  if (shared_.empty() || group.size() == 1) return absl::OkStatus();
  std::memset(buffer_.f32(), 0, buffer_.bytes());
  float* place = buffer_.f32();
  for (const Parameter* p : shared_) {
    std::memcpy(place + BeginOf(*p), p->grad.data,
                p->grad.size() * sizeof(float));
    place += WholeSize(*p);
  }
  const absl::Status status = group.AllReduceSum(buffer_);
  if (!status.ok()) return status;
  place = buffer_.f32();
  for (const Parameter* p : shared_) {
    std::memcpy(p->grad.data, place + BeginOf(*p),
                p->grad.size() * sizeof(float));
    place += WholeSize(*p);
  }
  return absl::OkStatus();
}

}  // namespace caracal
