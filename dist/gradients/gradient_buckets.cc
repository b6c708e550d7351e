#include "dist/gradients/gradient_buckets.h"

#include <algorithm>
#include <utility>

#include "dist/gradients/bucket_plan.h"

namespace caracal {
namespace {

// All that is trained, run by run.
std::vector<TrainedTensor> TensorsOf(const ParameterStore& store) {
  std::vector<TrainedTensor> tensors;
  for (size_t i = 0; i < store.trained_runs().size(); ++i) {
    for (const Parameter* p : store.trained_runs()[i].parameters) {
      int64_t whole = 1;
      for (int d = 0; d < p->value.rank; ++d) whole *= p->slice.whole[d];
      tensors.push_back({.run = static_cast<int>(i),
                         .layer = p->slice.layer,
                         .size = p->grad.size(),
                         .row = p->grad.size() / p->grad.shape[0],
                         .whole = whole,
                         .shared = p->slice.shared});
    }
  }
  return tensors;
}

}  // namespace

RunRange GradientBucket::Range::Of(int data_rank) const {
  RunRange out = {range.run, range.begin, range.begin};
  for (int r = 0; r <= data_rank; ++r) {
    out.begin = out.end;
    out.end += counts[r];
  }
  return out;
}

std::vector<GradientBucket> MakeGradientBuckets(const ParameterStore& store,
                                                int data_ranks,
                                                int64_t elements) {
  std::vector<const Parameter*> parameters;
  for (const ParameterStore::Run& run : store.trained_runs()) {
    parameters.insert(parameters.end(), run.parameters.begin(),
                      run.parameters.end());
  }
  std::vector<GradientBucket> buckets;
  for (BucketPlan& plan : PlanBuckets(TensorsOf(store), data_ranks, elements)) {
    GradientBucket bucket{plan.first_layer, plan.last_layer, {}, {}};
    for (const int i : plan.tensors) bucket.parameters.push_back(parameters[i]);
    for (BucketPlan::Range& r : plan.ranges) {
      bucket.ranges.push_back({{r.run, r.begin, r.end}, std::move(r.counts)});
    }
    buckets.push_back(std::move(bucket));
  }
  return buckets;
}

std::vector<RunRange> PartsOf(const std::vector<GradientBucket>& buckets,
                              int data_rank) {
  std::vector<RunRange> parts;
  for (const GradientBucket& bucket : buckets) {
    for (const GradientBucket::Range& range : bucket.ranges) {
      const RunRange mine = range.Of(data_rank);
      if (mine.size() > 0) parts.push_back(mine);
    }
  }
  std::sort(parts.begin(), parts.end(),
            [](const RunRange& a, const RunRange& b) {
              return std::pair(a.run, a.begin) < std::pair(b.run, b.begin);
            });
  return parts;
}

}  // namespace caracal
