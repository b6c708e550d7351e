#include "dist/gradients/gradient_buckets.h"

#include <algorithm>
#include <map>
#include <utility>

namespace caracal {
namespace {

// Where the part of `rank` begins: a row's start at or below its even share.
int64_t CutOf(const ParameterStore::Run& run, const RunRange& range, int rank,
              int ranks) {
  if (rank == ranks) return range.end;
  const int64_t share = range.begin + range.size() * rank / ranks;
  for (const Parameter* p : run.parameters) {
    const int64_t first = p->grad.f32() - run.grad.f32();
    if (share < first || share >= first + p->grad.size()) continue;
    const int64_t row = p->grad.size() / p->grad.shape[0];
    return first + (share - first) / row * row;
  }
  return range.end;  // An empty range.
}

// Consecutive layers of one bucket: [first, last] of each. By the sizes of the
// whole model's tensors, so that all tensor-parallel ranks do the same.
std::vector<std::pair<int, int>> LayersOf(const ParameterStore& store,
                                          int64_t elements) {
  std::map<int, int64_t> sizes;
  for (const Parameter* p : store.trained()) {
    int64_t whole = 1;
    for (int i = 0; i < p->value.rank; ++i) whole *= p->slice.whole[i];
    sizes[p->slice.layer] += whole;
  }
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
  std::vector<GradientBucket> buckets;
  for (const auto& [first, last] : LayersOf(store, elements)) {
    GradientBucket bucket{.first_layer = first, .last_layer = last};
    for (size_t i = 0; i < store.trained_runs().size(); ++i) {
      const ParameterStore::Run& run = store.trained_runs()[i];
      RunRange range{static_cast<int>(i), -1, -1};
      for (const Parameter* p : run.parameters) {
        if (p->slice.layer < first || p->slice.layer > last) continue;
        bucket.parameters.push_back(p);
        const int64_t begin = p->grad.f32() - run.grad.f32();
        if (range.begin < 0) range.begin = begin;
        range.end = begin + p->grad.size();
      }
      if (range.begin < 0) continue;
      GradientBucket::Range part{range, {}};
      for (int r = 0; r < data_ranks; ++r) {
        part.counts.push_back(CutOf(run, range, r + 1, data_ranks) -
                              CutOf(run, range, r, data_ranks));
      }
      bucket.ranges.push_back(std::move(part));
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
