#include "dist/nccl/peer_exchange.h"

#include <cuda.h>

#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/collective/checks.h"
#include "dist/nccl/nccl_api.h"

namespace caracal {
namespace {

constexpr absl::Duration kNap = absl::Microseconds(20);
constexpr uint64_t kAlignment = 256;

// The driver's functions on words in a stream, found through the runtime.
struct WordOperations {
  decltype(&cuStreamWriteValue32) write = nullptr;
  decltype(&cuStreamWaitValue32) wait = nullptr;

  WordOperations() {
    Find("cuStreamWriteValue32", &write);
    Find("cuStreamWaitValue32", &wait);
  }
  bool complete() const { return write != nullptr && wait != nullptr; }

 private:
  template <typename Function>
  void Find(const char* name, Function* function) {
    void* found = nullptr;
    cudaDriverEntryPointQueryResult result;
    if (cudaGetDriverEntryPointByVersion(name, &found, 12000, cudaEnableDefault,
                                         &result) == cudaSuccess &&
        result == cudaDriverEntryPointSuccess) {
      *function = reinterpret_cast<Function>(found);
    }
  }
};

const WordOperations& Words() {
  static const WordOperations words;
  return words;
}

// As far as this macro-free file needs the driver's errors.
cudaError_t ErrorOf(CUresult result) {
  return result == CUDA_SUCCESS ? cudaSuccess
                                : static_cast<cudaError_t>(result);
}

CUdeviceptr WordAt(const PeerMemory& memory, int owner, int word) {
  return reinterpret_cast<CUdeviceptr>(memory.of(owner)) +
         word * sizeof(uint32_t);
}

bool SwitchedOff() {
  const char* const value = std::getenv("NCCL_P2P_DISABLE");
  return value != nullptr && absl::string_view(value) == "1";
}

}  // namespace

PeerExchange::PeerExchange(Collective* control, void* stream,
                           const std::string& name, absl::Duration timeout)
    : control_(control),
      stream_(static_cast<cudaStream_t>(stream)),
      name_(name),
      timeout_(timeout),
      rank_(control->rank()),
      size_(control->size()),
      lanes_(size_) {}

absl::StatusOr<std::unique_ptr<PeerExchange>> PeerExchange::Create(
    Collective* control, void* stream, const std::string& name,
    absl::Duration timeout) {
  // All ranks or none.
  const char mine = !SwitchedOff() && Words().complete();
  std::vector<char> all(control->size());
  RETURN_IF_ERROR(control->AllGatherBytes(&mine, 1, all.data()));
  for (const char rank : all) {
    if (!rank) return nullptr;
  }
  std::unique_ptr<PeerExchange> exchange(
      new PeerExchange(control, stream, name, timeout));
  absl::StatusOr<std::unique_ptr<PeerMemory>> rounds =
      PeerMemory::Create(control, exchange->size_ * sizeof(uint32_t), name);
  if (absl::IsUnavailable(rounds.status())) return nullptr;
  RETURN_IF_ERROR(rounds.status());
  exchange->rounds_ = *std::move(rounds);
  RETURN_IF_ERROR(exchange->CreateLanes());
  return exchange;
}

absl::Status PeerExchange::CreateLanes() {
  RETURN_IF_ERROR(
      Check(cudaStreamCreateWithFlags(&rescue_, cudaStreamNonBlocking),
            "cudaStreamCreateWithFlags", "Create", rank_));
  for (int r = 0; r < size_; ++r) {
    if (r == rank_) continue;
    Lane& lane = lanes_[r];
    RETURN_IF_ERROR(
        Check(cudaStreamCreateWithFlags(&lane.copies, cudaStreamNonBlocking),
              "cudaStreamCreateWithFlags", "Create", r));
    for (cudaEvent_t* event : {&lane.made, &lane.gone}) {
      RETURN_IF_ERROR(
          Check(cudaEventCreateWithFlags(event, cudaEventDisableTiming),
                "cudaEventCreateWithFlags", "Create", r));
    }
  }
  return absl::OkStatus();
}

PeerExchange::~PeerExchange() {
  // A stream that waits for a rank that is gone would be waited for below. In
  // rounds that all ranks have ended this changes nothing.
  if (rescue_ != nullptr && rounds_ != nullptr) {
    for (int r = 0; r < size_; ++r) {
      Words().write(rescue_, WordAt(*rounds_, rank_, r), round_,
                    CU_STREAM_WRITE_VALUE_DEFAULT);
    }
    cudaStreamSynchronize(rescue_);
  }
  for (const Lane& lane : lanes_) {
    if (lane.copies != nullptr) cudaStreamSynchronize(lane.copies);
    if (lane.made != nullptr) cudaEventDestroy(lane.made);
    if (lane.gone != nullptr) cudaEventDestroy(lane.gone);
    if (lane.copies != nullptr) cudaStreamDestroy(lane.copies);
  }
  if (rescue_ != nullptr) cudaStreamDestroy(rescue_);
}

std::string PeerExchange::Where(const char* operation, int peer) const {
  return absl::StrCat(
      "in ", operation, " on rank ", rank_, " of ", size_, " of the ", name_,
      peer == rank_ ? "" : absl::StrCat(" (with rank ", peer, ")"));
}

absl::Status PeerExchange::Check(cudaError_t code, const char* call,
                                 const char* operation, int peer) {
  if (code != cudaSuccess && broken_.ok()) {
    broken_ = CudaStatus(code, call, Where(operation, peer));
  }
  return broken_;
}

void* PeerExchange::Place(int owner, int sender) const {
  const uint64_t place = uint64_t{round_ % 2} * size_ + sender;
  return static_cast<char*>(inbox_->of(owner)) + place * place_bytes_;
}

absl::Status PeerExchange::AwaitStream() {
  const absl::Duration begin = Clock::Real()->Now();
  while (true) {
    const cudaError_t state = cudaStreamQuery(stream_);
    if (state == cudaSuccess) return absl::OkStatus();
    if (state != cudaErrorNotReady) {
      return Check(state, "cudaStreamQuery", "Begin", rank_);
    }
    const absl::Duration waited = Clock::Real()->Now() - begin;
    if (waited >= timeout_) {
      return absl::DeadlineExceededError(absl::StrCat(
          "the stream is not done after ", absl::FormatDuration(waited), " ",
          Where("Begin", rank_)));
    }
    absl::SleepFor(kNap);
  }
}

absl::Status PeerExchange::Grow(uint64_t bytes) {
  // The stream has all that is on its way here, and End() had it wait for what
  // went from here; then nobody uses the memory that is left.
  RETURN_IF_ERROR(AwaitStream());
  if (inbox_ != nullptr) inbox_->Leave();
  const uint64_t place = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  ASSIGN_OR_RETURN(std::unique_ptr<PeerMemory> inbox,
                   PeerMemory::Create(control_, 2 * size_ * place, name_));
  inbox_ = std::move(inbox);
  place_bytes_ = place;
  return absl::OkStatus();
}

absl::Status PeerExchange::Begin(uint64_t most_bytes) {
  RETURN_IF_ERROR(broken_);
  if (most_bytes > place_bytes_) {
    if (const absl::Status grown = Grow(most_bytes); !grown.ok()) {
      return broken_ = grown;
    }
  }
  ++round_;
  return absl::OkStatus();
}

absl::Status PeerExchange::Send(ConstTensorView piece, int to) {
  CheckView(piece);
  RETURN_IF_ERROR(broken_);
  const uint64_t bytes = BytesOf(piece);
  CARACAL_CHECK(bytes <= place_bytes_) << bytes << " bytes";
  const Lane& lane = lanes_[to];
  const char* const operation = "Send";
  RETURN_IF_ERROR(Check(cudaEventRecord(lane.made, stream_), "cudaEventRecord",
                        operation, to));
  RETURN_IF_ERROR(Check(cudaStreamWaitEvent(lane.copies, lane.made, 0),
                        "cudaStreamWaitEvent", operation, to));
  if (bytes > 0) {
    RETURN_IF_ERROR(Check(cudaMemcpyAsync(Place(to, rank_), piece.data, bytes,
                                          cudaMemcpyDefault, lane.copies),
                          "cudaMemcpyAsync", operation, to));
  }
  RETURN_IF_ERROR(
      Check(ErrorOf(Words().write(lane.copies, WordAt(*rounds_, to, rank_),
                                  round_, CU_STREAM_WRITE_VALUE_DEFAULT)),
            "cuStreamWriteValue32", operation, to));
  RETURN_IF_ERROR(Check(cudaEventRecord(lane.gone, lane.copies),
                        "cudaEventRecord", operation, to));
  traffic_ += bytes;
  return absl::OkStatus();
}

absl::StatusOr<void*> PeerExchange::Receive(int from) {
  RETURN_IF_ERROR(broken_);
  // Later rounds count, too: the difference is taken modulo 2^32.
  RETURN_IF_ERROR(
      Check(ErrorOf(Words().wait(stream_, WordAt(*rounds_, rank_, from), round_,
                                 CU_STREAM_WAIT_VALUE_GEQ)),
            "cuStreamWaitValue32", "Receive", from));
  return Place(rank_, from);
}

absl::Status PeerExchange::End() {
  RETURN_IF_ERROR(broken_);
  for (int r = 0; r < size_; ++r) {
    if (r == rank_) continue;
    RETURN_IF_ERROR(Check(cudaStreamWaitEvent(stream_, lanes_[r].gone, 0),
                          "cudaStreamWaitEvent", "End", r));
  }
  return absl::OkStatus();
}

}  // namespace caracal
