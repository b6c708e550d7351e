#include "tests/gpu/step_ranks.h"

#include "core/base/status.h"
#include "core/collective/traffic.h"
#include "kernels/common/cuda_check.h"

namespace caracal::kernels {
namespace {

constexpr int kEvents = 64;  // more than tickets in use at a time

TensorView Flat(const TensorView& x) { return x.Reshaped({x.size()}); }

}  // namespace

Ranks::Ranks(const Place& place, Collective* control) : place_(place) {
  int low = 0, high = 0;
  CARACAL_CUDA_CHECK(cudaDeviceGetStreamPriorityRange(&low, &high));
  CARACAL_CUDA_CHECK(
      cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking, low));
  CARACAL_CUDA_CHECK(
      cudaStreamCreateWithPriority(&beside_, cudaStreamNonBlocking, high));
  events_.resize(kEvents);
  for (cudaEvent_t& e : events_) {
    CARACAL_CUDA_CHECK(cudaEventCreateWithFlags(&e, cudaEventDisableTiming));
  }
  CARACAL_CHECK(place.tensor == 1 || place.data == 1);
  if (place.tensor * place.data == 1) return;
  auto group = NcclCollective::Create(control, beside_, "group of GPUs",
                                      absl::Seconds(60));
  CARACAL_CHECK_OK(group.status());
  group_ = *std::move(group);
}

Ranks::~Ranks() {
  group_.reset();
  for (cudaEvent_t e : events_) cudaEventDestroy(e);
  cudaStreamDestroy(beside_);
  cudaStreamDestroy(stream_);
}

template <typename Operation>
int Ranks::Begin(const Operation& operation) {
  const cudaEvent_t begin = events_[next_];
  next_ = (next_ + 1) % kEvents;
  CARACAL_CUDA_CHECK(cudaEventRecord(begin, stream_));
  CARACAL_CUDA_CHECK(cudaStreamWaitEvent(beside_, begin));
  CARACAL_CHECK_OK(operation());
  const int ticket = next_;
  next_ = (next_ + 1) % kEvents;
  CARACAL_CUDA_CHECK(cudaEventRecord(events_[ticket], beside_));
  return ticket;
}

int Ranks::Gather(TensorView whole) {
  if (place_.tensor == 1) return -1;
  const auto counts = EvenCounts(whole.size(), place_.tensor);
  TensorView mine = Flat(whole);
  mine.shape[0] = counts[place_.tensor_rank];
  mine.data = static_cast<char*>(whole.data) +
              EvenBegin(whole.size(), place_.tensor, place_.tensor_rank) *
                  SizeOf(whole.dtype);
  return Begin([&] { return group_->AllGather(mine, counts, Flat(whole)); });
}

int Ranks::Reduce(TensorView whole) {
  if (place_.tensor == 1) return -1;
  const auto counts = EvenCounts(whole.size(), place_.tensor);
  TensorView mine = Flat(whole);
  mine.shape[0] = counts[place_.tensor_rank];
  mine.data = static_cast<char*>(whole.data) +
              EvenBegin(whole.size(), place_.tensor, place_.tensor_rank) *
                  SizeOf(whole.dtype);
  return Begin(
      [&] { return group_->ReduceScatterSum(Flat(whole), counts, mine); });
}

int Ranks::Sum(TensorView data) {
  if (group_ == nullptr || data.size() == 0) return -1;
  return Begin([&] { return group_->AllReduceSum(Flat(data)); });
}

int Ranks::Max(TensorView data) {
  if (group_ == nullptr) return -1;
  return Begin([&] { return group_->AllReduceMax(Flat(data)); });
}

void Ranks::Wait(int ticket) {
  if (ticket < 0) return;
  CARACAL_CUDA_CHECK(cudaStreamWaitEvent(stream_, events_[ticket]));
}

void Ranks::WaitForAll() {
  if (group_ == nullptr) return;
  Wait(Begin([] { return absl::OkStatus(); }));
}

void Ranks::Barrier() {
  CARACAL_CUDA_CHECK(cudaStreamSynchronize(stream_));
  if (group_ != nullptr) CARACAL_CHECK_OK(group_->Barrier());
}

}  // namespace caracal::kernels
