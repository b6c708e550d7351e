// Gradients of a step over all ranks, reduced while backward goes on; and after
// the optimizer each rank's updates for all.
#ifndef CARACAL_DIST_GRADIENTS_GRADIENT_SYNC_H_
#define CARACAL_DIST_GRADIENTS_GRADIENT_SYNC_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "core/model/parameters.h"
#include "core/model/shared_gradients.h"
#include "dist/gang/gang.h"
#include "dist/gradients/gradient_buckets.h"

namespace caracal {

// For the parameters that are trained when it is made. A bucket is summed over
// the tensor-parallel group (of what several of its ranks hold) and then
// scattered over the data-parallel group: the sums arrive at the rank that
// updates them (its parts()), and only there. Optimizer state is needed for
// those alone (ZeRO stage 1: Rajbhandari et al., arXiv 1910.02054).
//
// With one rank all of this is nothing. Borrows all it is given. All ranks
// start the same buckets in the same order; from the first Start() of a step
// until Finish() returns, gradients of what is started must be left alone.
class GradientSync {
 public:
  static constexpr int64_t kBucketElements = int64_t{1} << 20;  // 4 MB

  GradientSync(ParameterStore* store, Gang* gang,
               int64_t bucket_elements = kBucketElements);

  // What this rank updates.
  const std::vector<RunRange>& parts() const { return parts_; }

  // False: there is nothing to sum, and no use in LayerDone().
  bool reduces() const { return !buckets_.empty(); }
  // No more is added to the gradients of a layer (counted from this rank's
  // first) in this step. The bucket that is whole now, to be started; -1: none.
  // Only counts: a pass that tells of all layers again is told the same, and
  // one that starts buckets as an earlier one did need not tell.
  int LayerDone(int layer);
  // Its sums are on their way from here on. What is not started Finish() does.
  void Start(int bucket);
  // Starts the rest, and waits for all: the gradients of parts() are whole.
  absl::Status Finish();
  // Everybody's updated values, for everybody.
  absl::Status GatherValues();

 private:
  struct Bucket {
    GradientBucket plan;  // its ranges in step memory
    SharedGradients shared;
    int layers_left = 0;
    bool started = false;
  };

  void InStepMemory(GradientBucket::Range* range) const;

  ParameterStore* store_;
  Gang* gang_;
  std::vector<Bucket> buckets_;
  std::vector<RunRange> parts_;
};

}  // namespace caracal

#endif  // CARACAL_DIST_GRADIENTS_GRADIENT_SYNC_H_
