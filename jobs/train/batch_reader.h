// The rows of step after step, read ahead where the host has nothing else to
// do.
#ifndef CARACAL_JOBS_TRAIN_BATCH_READER_H_
#define CARACAL_JOBS_TRAIN_BATCH_READER_H_

#include <cstdint>
#include <future>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/io/dataset/packed_dataset.h"
#include "core/model/batch_buffer.h"
#include "jobs/train/row_order.h"

namespace caracal {

// Borrows the data. Not thread-safe.
class BatchReader {
 public:
  // Batches of `rows` rows of T = seq_len tokens. `ahead`: while the caller
  // works on one, a thread reads the next.
  BatchReader(PackedDataset* data, const RowOrder& order, int64_t rows,
              int64_t seq_len, bool reset_at_document, bool ahead);
  ~BatchReader();

  // The rows of samples first, first + 1, ... of the order, valid until the
  // next call. `next`: the first sample that will be asked for then; empty when
  // that is not known, or nothing follows. Errors name the file and the row.
  absl::StatusOr<BatchBuffer*> Read(int64_t first, std::optional<int64_t> next);

 private:
  absl::Status Fill(int64_t first, BatchBuffer* out);

  PackedDataset* data_;
  RowOrder order_;
  int64_t rows_;
  bool ahead_;
  BatchBuffer buffers_[2];
  int current_ = 0;
  std::future<absl::Status> pending_;  // of the other buffer
  int64_t pending_first_ = 0;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_TRAIN_BATCH_READER_H_
