// One rank of a step benchmark: its stream, and beside it streams on which
// exchanges with other ranks run under the work that does not need them.
#ifndef CARACAL_TESTS_GPU_STEP_RANKS_H_
#define CARACAL_TESTS_GPU_STEP_RANKS_H_

#include <cuda_runtime_api.h>

#include <memory>
#include <vector>

#include "core/collective/collective.h"
#include "dist/nccl/nccl_collective.h"
#include "kernels/common/context.h"
#include "tests/gpu/peer_copies.h"
#include "tests/gpu/step_parts.h"

namespace caracal::kernels {

enum class Exchange {
  kNccl,
  kCopies,  // Gather and Reduce by peer_copies.h
};

// Operations begin when all work given to the stream so far is done, and return
// a ticket: work given after Wait(ticket) sees their results. With one rank
// they do nothing. Not thread-safe.
class Ranks {
 public:
  // On the device that is current. `control` is the group of all ranks; a piece
  // of Reduce's takes `piece_bytes` at most.
  Ranks(const Place& place, Exchange exchange, Collective* control,
        size_t piece_bytes);
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;
  ~Ranks();

  const Place& place() const { return place_; }
  cudaStream_t stream() const { return stream_; }
  Context context() const { return {DeviceType::kCuda, nullptr, stream_}; }

  // Contiguous `whole`, cut evenly among the tensor ranks: each one's piece to
  // all; the sum of all to each one's piece. On a lane (0, 1) they alternate.
  int Gather(TensorView whole, int lane);
  int Reduce(TensorView whole, int lane);
  // Few bytes: gathered, and summed over all ranks, tensor or data.
  int GatherSmall(TensorView whole);
  int Sum(TensorView data);
  int Max(TensorView data);
  void Wait(int ticket);
  // After Reduce a part of the sum may be left to do: returns what is to be
  // added to this rank's piece [rows, columns], or an undefined view.
  ConstTensorView WaitForRest(int ticket, TensorView piece);
  // For the last of all operations.
  void WaitForAll();

  // Until all ranks' work is done.
  void Barrier();

 private:
  // What a ticket stands for: an event, and what came for a sum.
  struct Operation {
    cudaEvent_t begin = nullptr, end = nullptr;
    void* received = nullptr;
  };
  template <typename Call>
  int Begin(int lane, const Call& call);
  TensorView Piece(const TensorView& whole, int rank) const;

  const Place place_;
  cudaStream_t stream_ = nullptr;
  cudaStream_t beside_[PeerCopies::kLanes] = {};
  std::unique_ptr<NcclCollective> group_;  // null: one rank
  std::unique_ptr<PeerCopies> copies_;
  std::vector<Operation> operations_;
  int next_ = 0;
};

}  // namespace caracal::kernels

#endif  // CARACAL_TESTS_GPU_STEP_RANKS_H_
