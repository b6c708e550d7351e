// Which dataset row each training sample is.
#ifndef CARACAL_JOBS_TRAIN_ROW_ORDER_H_
#define CARACAL_JOBS_TRAIN_ROW_ORDER_H_

#include <cstdint>
#include <vector>

namespace caracal {

// Samples of a run are numbered 0, 1, 2, ... over all epochs; step s of batch
// B uses samples [s B, (s + 1) B). The row of a sample depends on the seed and
// its number only: not on the parallel layout, nor on where a run was resumed.
class RowOrder {
 public:
  // rows >= 1.
  RowOrder(int64_t rows, bool shuffle, uint64_t seed);
  int64_t RowOf(int64_t sample);

 private:
  int64_t rows_;
  bool shuffle_;
  uint64_t seed_;
  int64_t epoch_ = -1;  // of permutation_
  std::vector<uint64_t> permutation_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_TRAIN_ROW_ORDER_H_
