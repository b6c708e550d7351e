// Collective: what ranks of a group do together. Model code is written
// against it for a shard {rank, size}; dist/ brings MPI and NCCL.
#ifndef CARACAL_CORE_COLLECTIVE_COLLECTIVE_H_
#define CARACAL_CORE_COLLECTIVE_COLLECTIVE_H_

#include "absl/status/status.h"
#include "kernels/common/tensor_view.h"

namespace caracal {

// One group of ranks. Every rank of the group must make the same calls in the
// same order. Views are contiguous fp32 of equal size on all ranks. Errors
// (a lost peer, a time-out) name the peer; after one the group is unusable.
// Not thread-safe.
class Collective {
 public:
  virtual ~Collective() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  // In place, elementwise over the group; every rank gets the result, bit for
  // bit the same on all of them.
  virtual absl::Status AllReduceSum(TensorView data) = 0;
  virtual absl::Status AllReduceMax(TensorView data) = 0;
  // Returns when all ranks have called.
  virtual absl::Status Barrier() = 0;
};

// The group of one process: nothing to do.
class SingleProcessCollective : public Collective {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  absl::Status AllReduceSum(TensorView) override { return absl::OkStatus(); }
  absl::Status AllReduceMax(TensorView) override { return absl::OkStatus(); }
  absl::Status Barrier() override { return absl::OkStatus(); }
};

}  // namespace caracal

#endif  // CARACAL_CORE_COLLECTIVE_COLLECTIVE_H_
