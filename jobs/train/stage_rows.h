// The rows that a rank trains on in a stage.
#ifndef CARACAL_JOBS_TRAIN_STAGE_ROWS_H_
#define CARACAL_JOBS_TRAIN_STAGE_ROWS_H_

#include <cstdint>

#include "core/io/dataset/packed_dataset.h"
#include "jobs/train/layer_chain.h"
#include "jobs/train/row_order.h"

namespace caracal {

// Of a step the ranks with the same data have the same rows: those of data
// rank d of n are the d-th n-th of the step's, which follow one another in the
// order.
struct StageRowsOptions {
  int64_t first_sample = 0;  // of the order, of the first step here
  int64_t steps = 0;
  int64_t batch = 0;    // rows of a step, of all ranks
  int64_t my_rows = 0;  // of them
  int64_t data_rank = 0;
  int64_t micro_batch = 0;  // rows; divides my_rows
  int64_t seq_len = 0;      // tokens of a row
  bool reset_at_document = false;
};

// Borrows the data.
class StageRows final : public MicroBatches {
 public:
  StageRows(PackedDataset* data, const RowOrder& order,
            const StageRowsOptions& options)
      : data_(data), order_(order), options_(options) {}

  int64_t count() const override { return options_.steps * per_step(); }
  int64_t rows() const override { return options_.micro_batch; }
  int64_t per_step() const override {
    return options_.my_rows / options_.micro_batch;
  }
  int64_t seq_len() const override { return options_.seq_len; }
  bool reset_at_document() const override { return options_.reset_at_document; }
  // Errors name the file and the row.
  absl::Status Fill(int64_t index, BatchBuffer* out) override;

 private:
  PackedDataset* data_;
  RowOrder order_;
  StageRowsOptions options_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_TRAIN_STAGE_ROWS_H_
