// Collective: what ranks of a group do together. Model and optimizer code is
// written against it; dist/ brings MPI and NCCL.
#ifndef CARACAL_CORE_COLLECTIVE_COLLECTIVE_H_
#define CARACAL_CORE_COLLECTIVE_COLLECTIVE_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "core/collective/piece_exchange.h"
#include "kernels/common/tensor_view.h"

namespace caracal {

// One group of ranks, 0 .. size() - 1. Everything blocks (a group of NCCL puts
// it on its stream instead); every rank of the group makes the same calls in
// the same order with the same sizes, dtypes, counts and roots (Send and
// Receive apart: those pair up). Views are contiguous, in the memory of the
// group's device (the host's for MPI and threads), and have data unless their
// size is 0.
//
// Reductions take fp32 and bf16. Each element is summed over the ranks in
// rank order, in fp32, and rounded once to the dtype, by the one rank that owns
// it: the result is bit for bit the same on all ranks and from run to run. (Of
// three ranks or more NCCL chooses the order, and where it rounds.)
//
// Errors (a lost peer, a time-out) name the group, the rank and the peer; after
// one the group is unusable. Calls that can't be right whatever the world does
// (a strided view, counts that don't add up) are bugs and CHECK.
//
// Not thread-safe: one thread at a time. Several groups of the same ranks may
// be in use at once, each by a thread of its own.
class Collective {
 public:
  virtual ~Collective() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;

  // In place, elementwise over the group. A NaN of any rank gives NaN (but
  // NCCL's maximum may pass it over).
  virtual absl::Status AllReduceSum(TensorView data) = 0;
  virtual absl::Status AllReduceMax(TensorView data) = 0;

  // The sum over the ranks, of which rank r gets the r-th piece, counts[r]
  // elements long; the pieces lie one after another in `data` and cover it.
  // `out` (counts[rank()] elements) may be the rank's own piece of `data`, and
  // overlaps no other.
  virtual absl::Status ReduceScatterSum(ConstTensorView data,
                                        absl::Span<const int64_t> counts,
                                        TensorView out) = 0;

  // All ranks' pieces, counts[r] elements of rank r, one after another in
  // `all`. `mine` may be the rank's own piece of `all`, and overlaps no other.
  // Any dtype.
  virtual absl::Status AllGather(ConstTensorView mine,
                                 absl::Span<const int64_t> counts,
                                 TensorView all) = 0;

  // Rank `root`'s data to all. Any dtype.
  virtual absl::Status Broadcast(TensorView data, int root) = 0;

  // One message from this rank to rank `to`, another one; it must receive just
  // as many bytes. Messages of a pair arrive in the order sent. Send may wait
  // for the Receive: two ranks that both send first wait for ever. Any dtype.
  virtual absl::Status Send(ConstTensorView data, int to) = 0;
  virtual absl::Status Receive(TensorView data, int from) = 0;

  // `bytes` bytes of host memory from each rank, in rank order in `all`
  // (size() * bytes, overlapping no `mine`). For small facts.
  virtual absl::Status AllGatherBytes(const void* mine, size_t bytes,
                                      void* all) = 0;

  // Returns when all ranks have called.
  virtual absl::Status Barrier() = 0;

  // Bytes of data that this rank has sent in this group so far: what the
  // formulas of traffic.h add up to, over the calls made.
  virtual uint64_t traffic() const = 0;

  // Of a group whose devices reach each other's memory, on the stream of its
  // own operations; the group owns it. Null: there is none.
  virtual PieceExchange* exchange() { return nullptr; }
};

// The group of one process: nothing to do but copies from place to place. It
// has no peer to send to or to receive from.
class SingleProcessCollective : public Collective {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  absl::Status AllReduceSum(TensorView data) override;
  absl::Status AllReduceMax(TensorView data) override;
  absl::Status ReduceScatterSum(ConstTensorView data,
                                absl::Span<const int64_t> counts,
                                TensorView out) override;
  absl::Status AllGather(ConstTensorView mine, absl::Span<const int64_t> counts,
                         TensorView all) override;
  absl::Status Broadcast(TensorView data, int root) override;
  absl::Status Send(ConstTensorView data, int to) override;
  absl::Status Receive(TensorView data, int from) override;
  absl::Status AllGatherBytes(const void* mine, size_t bytes,
                              void* all) override;
  absl::Status Barrier() override;
  uint64_t traffic() const override { return 0; }
};

}  // namespace caracal

#endif  // CARACAL_CORE_COLLECTIVE_COLLECTIVE_H_
