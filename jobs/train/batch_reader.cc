#include "jobs/train/batch_reader.h"

#include "core/base/status.h"

namespace caracal {

BatchReader::BatchReader(PackedDataset* data, const RowOrder& order,
                         int64_t rows, int64_t seq_len, bool reset_at_document,
                         bool ahead)
    : data_(data),
      order_(order),
      rows_(rows),
      ahead_(ahead),
      buffers_{BatchBuffer(rows, seq_len, reset_at_document),
               BatchBuffer(ahead ? rows : 0, seq_len, reset_at_document)} {}

BatchReader::~BatchReader() {
  if (pending_.valid()) pending_.wait();
}

absl::Status BatchReader::Fill(int64_t first, BatchBuffer* out) {
  return out->Fill(*data_, rows_,
                   [&](int64_t i) { return order_.RowOf(first + i); });
}

absl::StatusOr<BatchBuffer*> BatchReader::Read(int64_t first,
                                               std::optional<int64_t> next) {
  absl::Status read = absl::UnknownError("not read ahead");
  if (pending_.valid()) {
    read = pending_.get();
    if (pending_first_ == first) {
      current_ = 1 - current_;
    } else {
      read = absl::UnknownError("others were read ahead");
    }
  }
  // What failed ahead of time is tried again, and told, now.
  if (!read.ok()) RETURN_IF_ERROR(Fill(first, &buffers_[current_]));
  if (ahead_ && next.has_value()) {
    pending_first_ = *next;
    pending_ = std::async(std::launch::async,
                          [this, first = *next, out = &buffers_[1 - current_]] {
                            return Fill(first, out);
                          });
  }
  return &buffers_[current_];
}

}  // namespace caracal
