#include "core/model/batch_buffer.h"

#include "core/base/status.h"

namespace caracal {

BatchBuffer::BatchBuffer(int64_t capacity, int64_t seq_len)
    : capacity_(capacity),
      seq_len_(seq_len),
      tokens_(capacity * seq_len),
      targets_(capacity * seq_len),
      positions_(capacity * seq_len),
      mask_(capacity * seq_len),
      offsets_(capacity + 1) {
  for (int64_t r = 0; r < capacity; ++r) {
    for (int64_t t = 0; t < seq_len; ++t) {
      positions_[r * seq_len + t] = static_cast<int32_t>(t);
    }
  }
  for (int64_t r = 0; r <= capacity; ++r) offsets_[r] = r * seq_len;
}

absl::Status BatchBuffer::Fill(PackedDataset& dataset, int64_t count,
                               FunctionRef<int64_t(int64_t)> row_of) {
  CARACAL_CHECK(count <= capacity_) << count << " rows";
  const int64_t row_length = dataset.seq_len() + 1;
  row_tokens_.resize(row_length);
  row_mask_.resize(row_length);
  count_ = count;
  unmasked_ = 0;
  for (int64_t r = 0; r < count; ++r) {
    RETURN_IF_ERROR(dataset.ReadRow(row_of(r), absl::MakeSpan(row_tokens_),
                                    absl::MakeSpan(row_mask_), {}));
    for (int64_t t = 0; t < seq_len_; ++t) {
      const int64_t i = r * seq_len_ + t;
      tokens_[i] = row_tokens_[t];
      targets_[i] = row_tokens_[t + 1];
      mask_[i] = row_mask_[t + 1] != 0;
      unmasked_ += mask_[i];
    }
  }
  return absl::OkStatus();
}

TokenBatch BatchBuffer::Rows(int64_t begin, int64_t count) {
  CARACAL_CHECK(begin + count <= count_) << begin << " + " << count;
  const int64_t n = count * seq_len_, first = begin * seq_len_;
  TokenBatch batch;
  batch.sequences = count;
  batch.offsets = offsets_.data();  // Rows are equally long.
  batch.tokens = TensorView(tokens_.data() + first, {n});
  batch.targets = TensorView(targets_.data() + first, {n});
  batch.positions = TensorView(positions_.data() + first, {n});
  return batch;
}

}  // namespace caracal
