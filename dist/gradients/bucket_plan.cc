#include "dist/gradients/bucket_plan.h"

#include <algorithm>
#include <map>
#include <utility>

namespace caracal {
namespace {

// Consecutive layers of one bucket: [first, last] of each. By the sizes of the
// whole model's tensors, so that all tensor-parallel ranks do the same.
std::vector<std::pair<int, int>> LayersOf(
    absl::Span<const TrainedTensor> tensors, int64_t elements) {
  std::map<int, int64_t> sizes;
  for (const TrainedTensor& t : tensors) sizes[t.layer] += t.whole;
  std::vector<std::pair<int, int>> out;
  int64_t size = 0;
  bool open = false;
  for (const auto& [layer, n] : sizes) {
    if (!open) out.push_back({layer, layer});
    out.back().second = layer;
    size += n;
    open = size < elements;
    if (!open) size = 0;
  }
  return out;
}

// Where each tensor begins in its run.
std::vector<int64_t> BeginsOf(absl::Span<const TrainedTensor> tensors) {
  std::vector<int64_t> begins;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const bool first = i == 0 || tensors[i].run != tensors[i - 1].run;
    begins.push_back(first ? 0 : begins.back() + tensors[i - 1].size);
  }
  return begins;
}

}  // namespace

std::vector<BucketPlan> PlanBuckets(absl::Span<const TrainedTensor> tensors,
                                    int data_ranks, int64_t elements) {
  const std::vector<int64_t> begins = BeginsOf(tensors);
  std::vector<BucketPlan> buckets;
  for (const auto& [first, last] : LayersOf(tensors, elements)) {
    BucketPlan bucket{first, last, {}, {}};
    for (size_t i = 0; i < tensors.size(); ++i) {
      const TrainedTensor& t = tensors[i];
      if (t.layer < first || t.layer > last) continue;
      if (bucket.ranges.empty() || bucket.ranges.back().run != t.run) {
        bucket.ranges.push_back({t.run, begins[i], 0, {}});
      }
      bucket.tensors.push_back(static_cast<int>(i));
      bucket.ranges.back().end = begins[i] + t.size;
    }
    // Each rank's part begins with a row's start at or below its even share.
    auto tensor = bucket.tensors.begin();
    for (BucketPlan::Range& range : bucket.ranges) {
      const int64_t size = range.end - range.begin;
      int64_t before = range.begin;
      for (int rank = 1; rank < data_ranks; ++rank) {
        const int64_t share = range.begin + size * rank / data_ranks;
        while (begins[*tensor] + tensors[*tensor].size <= share) ++tensor;
        const int64_t begin = begins[*tensor], row = tensors[*tensor].row;
        const int64_t cut = begin + (share - begin) / row * row;
        range.counts.push_back(cut - before);
        before = cut;
      }
      range.counts.push_back(range.end - before);
      while (tensor != bucket.tensors.end() &&
             tensors[*tensor].run == range.run) {
        ++tensor;
      }
    }
    buckets.push_back(std::move(bucket));
  }
  return buckets;
}

}  // namespace caracal
