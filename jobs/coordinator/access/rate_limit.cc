#include "jobs/coordinator/access/rate_limit.h"

#include <algorithm>

namespace caracal {

namespace {

// Of a call, after sums of many short times.
constexpr double kRounding = 1e-6;

}  // namespace

double RateLimit::FullNow(const Bucket& bucket, absl::Duration now) const {
  return std::min(most(), bucket.full + per_second_ * absl::ToDoubleSeconds(
                                                          now - bucket.when));
}

absl::Duration RateLimit::Take(absl::string_view caller) {
  if (per_second_ <= 0) return absl::ZeroDuration();
  const absl::Duration now = clock_->Now();
  absl::MutexLock lock(&mutex_);
  auto found = buckets_.find(caller);
  if (found == buckets_.end()) {
    if (buckets_.size() >= forget_at_) Forget(now);
    found = buckets_.emplace(caller, Bucket{most(), now}).first;
  }
  Bucket& bucket = found->second;
  bucket = {FullNow(bucket, now), now};
  if (bucket.full < 1 - kRounding)
    return absl::Seconds((1 - bucket.full) / per_second_);
  bucket.full -= 1;
  return absl::ZeroDuration();
}

void RateLimit::Forget(absl::Duration now) {
  for (auto it = buckets_.begin(); it != buckets_.end();) {
    it = FullNow(it->second, now) >= most() ? buckets_.erase(it) : ++it;
  }
  forget_at_ = std::max<size_t>(1024, 2 * buckets_.size());
}

}  // namespace caracal
