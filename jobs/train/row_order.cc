#include "jobs/train/row_order.h"

#include "core/base/philox.h"
#include "kernels/common/check.h"

namespace caracal {

RowOrder::RowOrder(int64_t rows, bool shuffle, uint64_t seed)
    : rows_(rows), shuffle_(shuffle), seed_(seed) {
  CARACAL_CHECK(rows >= 1) << rows << " rows";
}

int64_t RowOrder::RowOf(int64_t sample) {
  const int64_t epoch = sample / rows_, place = sample % rows_;
  if (!shuffle_) return place;
  if (epoch != epoch_) {
    permutation_.resize(rows_);
    ShuffledOrder(seed_, epoch, absl::MakeSpan(permutation_));
    epoch_ = epoch;
  }
  return static_cast<int64_t>(permutation_[place]);
}

}  // namespace caracal
