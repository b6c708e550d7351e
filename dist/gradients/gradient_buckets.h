// Which gradients are reduced together, and which data-parallel rank updates
// which parameters.
#ifndef CARACAL_DIST_GRADIENTS_GRADIENT_BUCKETS_H_
#define CARACAL_DIST_GRADIENTS_GRADIENT_BUCKETS_H_

#include <cstdint>
#include <vector>

#include "core/model/parameters.h"

namespace caracal {

// The trained parameters of some consecutive layers.
struct GradientBucket {
  int first_layer = 0, last_layer = 0;  // counted from this rank's first
  std::vector<const Parameter*> parameters;
  // Its part of each run, and how many elements of that each data rank gets:
  // as even as whole rows of parameters allow.
  struct Range {
    RunRange range;
    std::vector<int64_t> counts;  // [data ranks]
    RunRange Of(int data_rank) const;
  };
  std::vector<Range> ranges;
};

// In layer order. A bucket takes further layers until it has `elements`,
// counted over the tensor-parallel group.
std::vector<GradientBucket> MakeGradientBuckets(const ParameterStore& store,
                                                int data_ranks,
                                                int64_t elements);

// What a data rank updates: its part of every bucket, run by run.
std::vector<RunRange> PartsOf(const std::vector<GradientBucket>& buckets,
                              int data_rank);

}  // namespace caracal

#endif  // CARACAL_DIST_GRADIENTS_GRADIENT_BUCKETS_H_
