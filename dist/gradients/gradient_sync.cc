#include "dist/gradients/gradient_sync.h"

#include <utility>

#include "core/base/status.h"

namespace caracal {

GradientSync::GradientSync(ParameterStore* store, Gang* gang,
                           int64_t bucket_elements)
    : store_(store), gang_(gang) {
  if (gang->data().size() == 1) {
    parts_ = WholeRuns(*store);
  }
  if (gang->data().size() == 1 && gang->tensor().size() == 1) return;
  std::vector<GradientBucket> plans =
      MakeGradientBuckets(*store, gang->data().size(), bucket_elements);
  if (gang->data().size() > 1) parts_ = PartsOf(plans, gang->data().rank());
  for (GradientBucket& plan : plans) {
    SharedGradients shared(plan.parameters, store->device());
    const int layers = plan.last_layer - plan.first_layer + 1;
    for (GradientBucket::Range& range : plan.ranges) InStepMemory(&range);
    buckets_.push_back({std::move(plan), std::move(shared), layers});
  }
}

// The same elements as they lie in the memory that passes work on.
void GradientSync::InStepMemory(GradientBucket::Range* range) const {
  const int run = range->range.run;
  int64_t element = range->range.begin;
  int64_t at = store_->StepOffset(run, element);
  range->range.begin = at;
  for (int64_t& count : range->counts) {
    element += count;
    const int64_t next = store_->StepOffset(run, element);
    count = next - at;
    at = next;
  }
  range->range.end = at;
}

int GradientSync::LayerDone(int layer) {
  // A layer is in one of them at most.
  for (size_t i = 0; i < buckets_.size(); ++i) {
    Bucket& bucket = buckets_[i];
    if (layer < bucket.plan.first_layer || layer > bucket.plan.last_layer) {
      continue;
    }
    if (--bucket.layers_left > 0) return -1;
    bucket.layers_left = bucket.plan.last_layer - bucket.plan.first_layer + 1;
    return static_cast<int>(i);
  }
  return -1;
}

void GradientSync::Start(int number) {
  Bucket* const bucket = &buckets_[number];
  bucket->started = true;
  Collective* tensor = &gang_->tensor_behind();
  ParameterStore* store = store_;
  void* const stream = gang_->behind().stream();
  gang_->behind().Start([=](Collective& data) -> absl::Status {
    RETURN_IF_ERROR(bucket->shared.Sum(*tensor, stream));
    if (data.size() == 1) return absl::OkStatus();
    for (const GradientBucket::Range& range : bucket->plan.ranges) {
      const TensorView grad = store->trained_runs()[range.range.run].step_grad;
      RETURN_IF_ERROR(data.ReduceScatterSum(range.range.Of(grad), range.counts,
                                            range.Of(data.rank()).Of(grad)));
    }
    return absl::OkStatus();
  });
}

absl::Status GradientSync::Finish() {
  if (buckets_.empty()) return absl::OkStatus();
  for (size_t i = 0; i < buckets_.size(); ++i) {
    Bucket& bucket = buckets_[i];
    if (!bucket.started) Start(static_cast<int>(i));
    bucket.started = false;
    bucket.layers_left = bucket.plan.last_layer - bucket.plan.first_layer + 1;
  }
  return gang_->behind().Wait();
}

absl::Status GradientSync::GatherValues() {
  Collective& data = gang_->data();
  if (data.size() == 1) return absl::OkStatus();
  for (const Bucket& bucket : buckets_) {
    for (const GradientBucket::Range& range : bucket.plan.ranges) {
      const TensorView value =
          store_->trained_runs()[range.range.run].step_value;
      RETURN_IF_ERROR(data.AllGather(range.Of(data.rank()).Of(value),
                                     range.counts, range.range.Of(value)));
    }
  }
  return absl::OkStatus();
}

}  // namespace caracal
