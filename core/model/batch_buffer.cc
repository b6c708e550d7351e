#include "core/model/batch_buffer.h"

#include "core/base/status.h"

namespace caracal {

BatchBuffer::BatchBuffer(int64_t capacity, int64_t seq_len,
                         bool reset_at_document)
    : capacity_(capacity),
      seq_len_(seq_len),
      reset_at_document_(reset_at_document),
      tokens_(capacity * seq_len),
      targets_(capacity * seq_len),
      positions_(capacity * seq_len),
      mask_(capacity * seq_len),
      first_sequence_(capacity + 1) {
  // At most one document a token.
  const int64_t most = reset_at_document ? capacity * seq_len : capacity;
  starts_.reserve(most);
  offsets_.reserve(most + 1);
  samples_.reserve(most);
}

void BatchBuffer::Begin(int64_t count) {
  CARACAL_CHECK(count <= capacity_) << count << " rows";
  count_ = count;
  unmasked_ = 0;
  starts_.clear();
}

void BatchBuffer::Take(int64_t row) {
  for (int64_t t = 0; t < seq_len_; ++t) {
    const int64_t i = row * seq_len_ + t;
    tokens_[i] = row_tokens_[t];
    targets_[i] = row_tokens_[t + 1];
    mask_[i] = row_mask_[t + 1] != 0;
    unmasked_ += mask_[i];
  }
  FindDocuments(row);
  first_sequence_[row + 1] = starts_.size();
}

absl::Status BatchBuffer::Fill(PackedDataset& dataset, int64_t count,
                               FunctionRef<int64_t(int64_t)> row_of) {
  Begin(count);
  const int64_t row_length = dataset.seq_len() + 1;
  row_tokens_.resize(row_length);
  row_mask_.resize(row_length);
  if (reset_at_document_) row_document_.resize(row_length);
  for (int64_t r = 0; r < count; ++r) {
    RETURN_IF_ERROR(dataset.ReadRow(row_of(r), absl::MakeSpan(row_tokens_),
                                    absl::MakeSpan(row_mask_),
                                    absl::MakeSpan(row_document_)));
    Take(r);
  }
  return absl::OkStatus();
}

void BatchBuffer::Fill(absl::Span<const int32_t> tokens, int64_t count) {
  Begin(count);
  const int64_t row_length = seq_len_ + 1;
  CARACAL_CHECK(static_cast<int64_t>(tokens.size()) == count * row_length)
      << tokens.size() << " tokens";
  row_mask_.assign(row_length, 1);
  if (reset_at_document_) row_document_.assign(row_length, 0);
  for (int64_t r = 0; r < count; ++r) {
    const int32_t* row = tokens.data() + r * row_length;
    row_tokens_.assign(row, row + row_length);
    Take(r);
  }
}

void BatchBuffer::FindDocuments(int64_t row) {
  first_sequence_[row] = starts_.size();
  int32_t position = 0;
  for (int64_t t = 0; t < seq_len_; ++t, ++position) {
    const bool starts = t == 0 || (reset_at_document_ &&
                                   row_document_[t] != row_document_[t - 1]);
    if (starts) {
      starts_.push_back(row * seq_len_ + t);
      position = 0;
    }
    positions_[row * seq_len_ + t] = position;
  }
}

TokenBatch BatchBuffer::Rows(int64_t begin, int64_t count) {
  CARACAL_CHECK(begin + count <= count_) << begin << " + " << count;
  const int64_t n = count * seq_len_, first = begin * seq_len_;
  offsets_.clear();
  samples_.clear();
  for (int64_t r = begin; r < begin + count; ++r) {
    for (int64_t s = first_sequence_[r]; s < first_sequence_[r + 1]; ++s) {
      offsets_.push_back(starts_[s] - first);
      samples_.push_back(static_cast<int32_t>(r - begin));
    }
  }
  TokenBatch batch;
  batch.sequences = static_cast<int64_t>(offsets_.size());
  offsets_.push_back(n);
  batch.offsets = offsets_.data();
  batch.samples = samples_.data();
  batch.tokens = TensorView(tokens_.data() + first, {n});
  batch.targets = TensorView(targets_.data() + first, {n});
  batch.positions = TensorView(positions_.data() + first, {n});
  return batch;
}

}  // namespace caracal
