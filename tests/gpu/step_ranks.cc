#include "tests/gpu/step_ranks.h"

#include "core/base/status.h"
#include "core/collective/traffic.h"
#include "kernels/common/cuda_check.h"

namespace caracal::kernels {
namespace {

constexpr int kOperations = 64;  // more than are waited for at a time
enum Kind : int { kGather, kReduce };

TensorView Flat(const TensorView& x) { return x.Reshaped({x.size()}); }

}  // namespace

Ranks::Ranks(const Place& place, Exchange exchange, Collective* control,
             size_t piece_bytes)
    : place_(place), operations_(kOperations) {
  int low = 0, high = 0;
  CARACAL_CUDA_CHECK(cudaDeviceGetStreamPriorityRange(&low, &high));
  CARACAL_CUDA_CHECK(
      cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking, low));
  for (cudaStream_t& beside : beside_) {
    CARACAL_CUDA_CHECK(
        cudaStreamCreateWithPriority(&beside, cudaStreamNonBlocking, high));
  }
  for (Operation& o : operations_) {
    for (cudaEvent_t* e : {&o.begin, &o.end}) {
      CARACAL_CUDA_CHECK(cudaEventCreateWithFlags(e, cudaEventDisableTiming));
    }
  }
  CARACAL_CHECK(place.tensor == 1 || place.data == 1);
  if (place.tensor * place.data == 1) return;
  auto group = NcclCollective::Create(control, beside_[0], "group of GPUs",
                                      absl::Seconds(60));
  CARACAL_CHECK_OK(group.status());
  group_ = *std::move(group);
  if (exchange == Exchange::kCopies && place.tensor > 1) {
    copies_ = std::make_unique<PeerCopies>(control, piece_bytes);
  }
}

Ranks::~Ranks() {
  copies_.reset();
  group_.reset();
  for (const Operation& o : operations_) {
    cudaEventDestroy(o.begin);
    cudaEventDestroy(o.end);
  }
  for (const cudaStream_t beside : beside_) cudaStreamDestroy(beside);
  cudaStreamDestroy(stream_);
}

template <typename Call>
int Ranks::Begin(int lane, const Call& call) {
  const int ticket = next_;
  next_ = (next_ + 1) % kOperations;
  Operation& o = operations_[ticket];
  o.received = nullptr;
  const cudaStream_t beside = beside_[copies_ != nullptr ? lane : 0];
  CARACAL_CUDA_CHECK(cudaEventRecord(o.begin, stream_));
  CARACAL_CUDA_CHECK(cudaStreamWaitEvent(beside, o.begin));
  CARACAL_CHECK_OK(call(beside, o));
  CARACAL_CUDA_CHECK(cudaEventRecord(o.end, beside));
  return ticket;
}

TensorView Ranks::Piece(const TensorView& whole, int rank) const {
  TensorView piece = Flat(whole);
  piece.shape[0] = EvenCount(whole.size(), place_.tensor, rank);
  piece.data = PeerCopies::Offset(
      whole.data,
      EvenBegin(whole.size(), place_.tensor, rank) * SizeOf(whole.dtype));
  return piece;
}

int Ranks::Gather(TensorView whole, int lane) {
  if (place_.tensor == 1) return -1;
  if (copies_ == nullptr) return GatherSmall(whole);
  return Begin(lane, [&](cudaStream_t stream, Operation&) {
    const TensorView mine = Piece(whole, place_.tensor_rank);
    const size_t bytes = mine.size() * SizeOf(mine.dtype);
    // There it lies in the same place.
    const size_t at =
        static_cast<char*>(mine.data) - static_cast<char*>(whole.data);
    void* const to = PeerCopies::Offset(copies_->PeerOf(whole.data), at);
    copies_->Exchange(mine.data, to, bytes, lane, kGather, stream);
    return absl::OkStatus();
  });
}

int Ranks::GatherSmall(TensorView whole) {
  if (place_.tensor == 1) return -1;
  return Begin(0, [&](cudaStream_t, Operation&) {
    return group_->AllGather(Piece(whole, place_.tensor_rank),
                             EvenCounts(whole.size(), place_.tensor),
                             Flat(whole));
  });
}

int Ranks::Reduce(TensorView whole, int lane) {
  if (place_.tensor == 1) return -1;
  return Begin(lane, [&](cudaStream_t stream, Operation& o) {
    const TensorView mine = Piece(whole, place_.tensor_rank);
    if (copies_ == nullptr) {
      return group_->ReduceScatterSum(
          Flat(whole), EvenCounts(whole.size(), place_.tensor), mine);
    }
    const TensorView theirs = Piece(whole, 1 - place_.tensor_rank);
    copies_->Exchange(theirs.data, copies_->PeerInbox(lane),
                      theirs.size() * SizeOf(theirs.dtype), lane, kReduce,
                      stream);
    o.received = copies_->inbox(lane);
    return absl::OkStatus();
  });
}

int Ranks::Sum(TensorView data) {
  if (group_ == nullptr || data.size() == 0) return -1;
  return Begin(0, [&](cudaStream_t, Operation&) {
    return group_->AllReduceSum(Flat(data));
  });
}

int Ranks::Max(TensorView data) {
  if (group_ == nullptr) return -1;
  return Begin(0, [&](cudaStream_t, Operation&) {
    return group_->AllReduceMax(Flat(data));
  });
}

void Ranks::Wait(int ticket) {
  if (ticket < 0) return;
  const Operation& o = operations_[ticket];
  CARACAL_CUDA_CHECK(cudaStreamWaitEvent(stream_, o.end));
}

ConstTensorView Ranks::WaitForRest(int ticket, TensorView piece) {
  Wait(ticket);
  if (ticket < 0 || operations_[ticket].received == nullptr) return {};
  return ConstTensorView(operations_[ticket].received, piece.dtype,
                         {piece.shape[0], piece.shape[1]});
}

void Ranks::WaitForAll() {
  if (group_ == nullptr) return;
  const auto nothing = [](cudaStream_t, Operation&) {
    return absl::OkStatus();
  };
  for (int lane = 0; lane < PeerCopies::kLanes; ++lane) {
    Wait(Begin(lane, nothing));
  }
}

void Ranks::Barrier() {
  CARACAL_CUDA_CHECK(cudaStreamSynchronize(stream_));
  if (group_ != nullptr) CARACAL_CHECK_OK(group_->Barrier());
}

}  // namespace caracal::kernels
