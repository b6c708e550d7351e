// Collective over MPI, for tensors in host memory.
#ifndef CARACAL_DIST_MPI_MPI_COLLECTIVE_H_
#define CARACAL_DIST_MPI_MPI_COLLECTIVE_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "core/collective/collective.h"
#include "core/collective/reduce.h"
#include "dist/mpi/mpi_exchange.h"
#include "dist/mpi/mpi_group.h"

namespace caracal {

// One group of ranks, made by MpiRuntime. The algorithms are our own, of plain
// messages, so that the order of sums is fixed and the bytes sent are those of
// core/collective/traffic.h: pieces go straight to the rank that owns them,
// which sums them and gives them to all. Keeps its staging memory (two blocks a
// peer) from call to call.
//
// Errors:
//   kUnavailable       MPI lost a peer
//   kDeadlineExceeded  nothing came for the group's timeout
//   kInternal          the ranks are not in the same call
// Each names the call, the group, the rank and the peer. After one, every call
// returns it, and the memory given to the call that failed must stay until the
// process ends.
class MpiCollective : public Collective {
 public:
  // Takes the communicator, which returns its errors and is used by nobody
  // else; frees it. Destroyed before MPI ends, in the same order by all ranks.
  explicit MpiCollective(MpiGroup group);
  MpiCollective(const MpiCollective&) = delete;
  MpiCollective& operator=(const MpiCollective&) = delete;
  ~MpiCollective() override;

  int rank() const override { return group_.rank; }
  int size() const override { return group_.size; }
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
  uint64_t traffic() const override { return traffic_; }

 private:
  // Bytes of the ranks' pieces: rank r's are [begins_[r], begins_[r + 1]).
  void SetPieces(absl::Span<const int64_t> counts, DType dtype);
  void SetEvenPieces(int64_t n, DType dtype);
  int64_t PieceBytes(int rank) const {
    return begins_[rank + 1] - begins_[rank];
  }
  // Of round `round`'s block of something of `bytes` bytes: 0 when past it.
  int64_t BlockBytes(int64_t bytes, int64_t round) const;
  int64_t Rounds(int64_t bytes) const;
  int64_t RoundsOfPieces() const;

  // Rounds of messages, the next one begun before one is waited for.
  template <typename Begin, typename End>
  absl::Status InRounds(const char* operation, int64_t rounds, Begin begin,
                        End end);
  // The two halves of an all-reduce, over the pieces set.
  absl::Status ReducePieces(const char* operation, Reduction reduction,
                            DType dtype, const char* data, char* out);
  absl::Status GatherPieces(const char* operation, const char* mine, char* all);
  absl::Status AllReduce(const char* operation, Reduction reduction,
                         TensorView data);

  absl::Status StartSend(const char* operation, int64_t round, const char* data,
                         int64_t bytes, int to);
  absl::Status StartReceive(const char* operation, int64_t round, char* data,
                            int64_t bytes, int from);
  // Remembers an error for good.
  absl::Status Finish(const absl::Status& status);

  const MpiGroup group_;
  uint64_t traffic_ = 0;
  absl::Status broken_;
  MpiExchange exchanges_[2];  // of even and of odd rounds
  std::vector<int64_t> begins_;
  std::vector<char> staging_;  // [round % 2][rank] blocks
  std::vector<const void*> sources_;
};

}  // namespace caracal

#endif  // CARACAL_DIST_MPI_MPI_COLLECTIVE_H_
