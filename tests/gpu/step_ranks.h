// One rank of a step benchmark: its stream, and beside it a stream on which
// collective operations run under the work that does not need them.
#ifndef CARACAL_TESTS_GPU_STEP_RANKS_H_
#define CARACAL_TESTS_GPU_STEP_RANKS_H_

#include <cuda_runtime_api.h>

#include <memory>
#include <vector>

#include "core/collective/collective.h"
#include "dist/nccl/nccl_collective.h"
#include "kernels/common/context.h"
#include "tests/gpu/step_parts.h"

namespace caracal::kernels {

// Operations begin when all work given to the stream so far is done, and return
// a ticket: work given after Wait(ticket) sees their results. With one rank
// they do nothing. Not thread-safe.
class Ranks {
 public:
  // On the device that is current. `control` is the group of all ranks.
  Ranks(const Place& place, Collective* control);
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;
  ~Ranks();

  const Place& place() const { return place_; }
  cudaStream_t stream() const { return stream_; }
  Context context() const { return {DeviceType::kCuda, nullptr, stream_}; }

  // Contiguous `whole`, cut evenly among the tensor ranks: each one's piece to
  // all; the sum of all to each one's piece.
  int Gather(TensorView whole);
  int Reduce(TensorView whole);
  // Over all ranks, tensor or data.
  int Sum(TensorView data);
  int Max(TensorView data);
  void Wait(int ticket);
  // For the last of all operations.
  void WaitForAll();

  // Until all ranks' work is done.
  void Barrier();

 private:
  template <typename Operation>
  int Begin(const Operation& operation);

  const Place place_;
  cudaStream_t stream_ = nullptr, beside_ = nullptr;
  std::unique_ptr<NcclCollective> group_;  // null: one rank
  std::vector<cudaEvent_t> events_;
  int next_ = 0;
};

}  // namespace caracal::kernels

#endif  // CARACAL_TESTS_GPU_STEP_RANKS_H_
