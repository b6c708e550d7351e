// PieceExchange by the copy engines of GPUs of one host, which take no
// multiprocessor from the products beside them.
#ifndef CARACAL_DIST_NCCL_PEER_EXCHANGE_H_
#define CARACAL_DIST_NCCL_PEER_EXCHANGE_H_

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/collective/collective.h"
#include "core/collective/piece_exchange.h"
#include "dist/nccl/peer_memory.h"

namespace caracal {

// Each rank has an inbox in its GPU's memory, which the others write their
// pieces into, and behind each the round's number, which the stream waits for.
// An inbox has two places for each sender, used in turn: who sends the piece of
// a round has had every rank's piece of the round before, which that one sent
// behind its use of what came in the round before that.
class PeerExchange final : public PieceExchange {
 public:
  // Every rank of `control`, which outlives the exchange, calls on the thread
  // whose current CUDA device is its own, as at each later call; `stream` is a
  // cudaStream_t of it. `name` and `timeout`, of Begin's waiting, are as
  // NcclCollective's. kUnavailable, on all ranks, where some can't reach
  // another's memory (PeerMemory), where a driver is too old, and with NCCL's
  // own switch, NCCL_P2P_DISABLE=1.
  static absl::StatusOr<std::unique_ptr<PeerExchange>> Create(
      Collective* control, void* stream, const std::string& name,
      absl::Duration timeout);
  PeerExchange(const PeerExchange&) = delete;
  PeerExchange& operator=(const PeerExchange&) = delete;
  // Ends what the stream still waits for.
  ~PeerExchange() override;

  absl::Status Begin(uint64_t most_bytes) override;
  absl::Status Send(ConstTensorView piece, int to) override;
  absl::StatusOr<void*> Receive(int from) override;
  absl::Status End() override;
  uint64_t traffic() const override { return traffic_; }

 private:
  // A stream for the copies to a rank.
  struct Lane {
    cudaStream_t copies = nullptr;
    cudaEvent_t made = nullptr;  // what is sent
    cudaEvent_t gone = nullptr;  // and has been
  };

  PeerExchange(Collective* control, void* stream, const std::string& name,
               absl::Duration timeout);
  absl::Status CreateLanes();
  // Room for pieces of so many bytes.
  absl::Status Grow(uint64_t bytes);
  std::string Where(const char* operation, int peer) const;
  // Remembers the first error for good.
  absl::Status Check(cudaError_t code, const char* call, const char* operation,
                     int peer);
  // Of rank `owner`'s inbox the place of `sender` in this round.
  void* Place(int owner, int sender) const;

  Collective* const control_;
  const cudaStream_t stream_;
  const std::string name_;
  const absl::Duration timeout_;
  const int rank_, size_;
  std::vector<Lane> lanes_;  // [size]; this rank's is empty
  cudaStream_t rescue_ = nullptr;
  std::unique_ptr<PeerMemory> rounds_;  // uint32_t [size], by sender
  std::unique_ptr<PeerMemory> inbox_;   // [2, size, place_bytes_]
  uint64_t place_bytes_ = 0;
  uint32_t round_ = 0;
  uint64_t traffic_ = 0;
  absl::Status broken_;
};

}  // namespace caracal

#endif  // CARACAL_DIST_NCCL_PEER_EXCHANGE_H_
