#include "dist/nccl/peer_exchange.h"

#include <cuda.h>

#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/status.h"
#include "core/collective/agree.h"
#include "core/collective/checks.h"
#include "dist/nccl/nccl_api.h"
#include "kernels/common/cuda_driver.h"

namespace caracal {
namespace {

constexpr uint64_t kAlignment = 256;

// The driver's functions on words in a stream.
struct WordOperations {
  template <typename Function>
  static constexpr auto Find = kernels::FindDriverFunction<Function>;

  const decltype(&cuStreamWriteValue32) write =
      Find<decltype(write)>("cuStreamWriteValue32");
  const decltype(&cuStreamWaitValue32) wait =
      Find<decltype(wait)>("cuStreamWaitValue32");

  bool complete() const { return write != nullptr && wait != nullptr; }
};

const WordOperations& Words() {
  static const WordOperations words;
  return words;
}

// The runtime's codes have the driver's numbers.
cudaError_t ErrorOf(CUresult result) {
  return static_cast<cudaError_t>(result);
}

CUdeviceptr WordAt(const PeerMemory& memory, int owner, int word) {
  return reinterpret_cast<CUdeviceptr>(memory.of(owner)) +
         word * sizeof(uint32_t);
}

// Whether this rank can take part.
absl::Status CheckMeans() {
  const char* const value = std::getenv("NCCL_P2P_DISABLE");
  if (value != nullptr && absl::string_view(value) == "1") {
    return absl::UnavailableError("NCCL_P2P_DISABLE is 1");
  }
  if (!Words().complete()) {
    return absl::UnavailableError(
        "the CUDA driver lacks cuStreamWaitValue32; update it");
  }
  return absl::OkStatus();
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
  RETURN_IF_ERROR(AgreeOn(*control, CheckMeans()));
  std::unique_ptr<PeerExchange> exchange(
      new PeerExchange(control, stream, name, timeout));
  ASSIGN_OR_RETURN(
      exchange->rounds_,
      PeerMemory::Create(control, exchange->size_ * sizeof(uint32_t), name));
  RETURN_IF_ERROR(AgreeOn(*control, exchange->CreateLanes()));
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

absl::Status PeerExchange::Grow(uint64_t bytes) {
  // The stream has all that is on its way here, and End() had it wait for what
  // went from here; then nobody uses the memory that is left.
  RETURN_IF_ERROR(AwaitStream(stream_, timeout_, Where("Begin", rank_),
                              [] { return absl::OkStatus(); }));
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
