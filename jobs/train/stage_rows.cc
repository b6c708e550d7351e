#include "jobs/train/stage_rows.h"

namespace caracal {

absl::Status StageRows::Fill(int64_t index, BatchBuffer* out) {
  const int64_t step = index / per_step(), part = index % per_step();
  const int64_t first = options_.first_sample + step * options_.batch +
                        options_.data_rank * options_.my_rows +
                        part * options_.micro_batch;
  return out->Fill(*data_, options_.micro_batch,
                   [&](int64_t i) { return order_.RowOf(first + i); });
}

}  // namespace caracal
