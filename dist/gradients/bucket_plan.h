// How trained tensors are gathered into buckets and shared out over data
// ranks: arithmetic on sizes alone, the same for gradients in memory
// (gradient_buckets.h) and for a plan on paper.
#ifndef CARACAL_DIST_GRADIENTS_BUCKET_PLAN_H_
#define CARACAL_DIST_GRADIENTS_BUCKET_PLAN_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace caracal {

// One trained tensor as a rank holds it.
struct TrainedTensor {
  int run = 0;          // ParameterStore::trained_runs()
  int layer = 0;        // counted from the rank's first
  int64_t size = 0;     // elements
  int64_t row = 0;      // elements of a row; a rank updates whole rows
  int64_t whole = 0;    // elements of the whole model's tensor
  bool shared = false;  // other tensor ranks hold it too
};

struct BucketPlan {
  int first_layer = 0, last_layer = 0;
  std::vector<int> tensors;  // indices
  // Its part of each run, elements [begin, end), and how many of them each data
  // rank gets: as even as whole rows allow.
  struct Range {
    int run = 0;
    int64_t begin = 0, end = 0;
    std::vector<int64_t> counts;  // [data ranks]
  };
  std::vector<Range> ranges;
};

// `tensors` run by run and within a run layer by layer, as they lie in memory.
// Buckets are in layer order; one takes further layers until it has `elements`,
// counted over the tensor-parallel group.
std::vector<BucketPlan> PlanBuckets(absl::Span<const TrainedTensor> tensors,
                                    int data_ranks, int64_t elements);

}  // namespace caracal

#endif  // CARACAL_DIST_GRADIENTS_BUCKET_PLAN_H_
