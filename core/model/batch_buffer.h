// Host memory for the rows of one step.
#ifndef CARACAL_CORE_MODEL_BATCH_BUFFER_H_
#define CARACAL_CORE_MODEL_BATCH_BUFFER_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "core/io/dataset/packed_dataset.h"
#include "core/model/token_batch.h"
#include "kernels/common/thread_pool.h"

namespace caracal {

// Tokens, targets and loss mask of up to `capacity` rows of T tokens. Filled
// again every step without allocating.
class BatchBuffer {
 public:
  // With `reset_at_document` each document of a row is a sequence of its own:
  // attention, state, sinks and positions start afresh there.
  BatchBuffer(int64_t capacity, int64_t seq_len,
              bool reset_at_document = false);

  // Reads rows row_of(0) ... row_of(count - 1) of the dataset. Errors name the
  // file and the row.
  absl::Status Fill(PackedDataset& dataset, int64_t count,
                    FunctionRef<int64_t(int64_t)> row_of);

  // Rows from memory, [count, T + 1] tokens; every target counts, and a row is
  // one document.
  void Fill(absl::Span<const int32_t> tokens, int64_t count);

  int64_t count() const { return count_; }
  int64_t seq_len() const { return seq_len_; }
  // Targets that count towards the loss.
  int64_t unmasked() const { return unmasked_; }
  // [count * T], 1 where the target counts.
  const uint8_t* mask() const { return mask_.data(); }

  // Position of each token in its sequence, [count * T].
  const int32_t* positions() const { return positions_.data(); }

  // Rows [begin, begin + count) as a batch; its first row is token
  // begin * T of the buffer. Valid until the next call.
  TokenBatch Rows(int64_t begin, int64_t count);

 private:
  void Begin(int64_t count);
  // The row that was read, with its mask and documents.
  void Take(int64_t row);
  void FindDocuments(int64_t row);

  int64_t capacity_, seq_len_;
  bool reset_at_document_;
  int64_t count_ = 0, unmasked_ = 0;
  std::vector<int32_t> row_tokens_;  // [T + 1], of the row being read
  std::vector<uint8_t> row_mask_;
  std::vector<int64_t> row_document_;
  std::vector<int32_t> tokens_, targets_, positions_;
  std::vector<uint8_t> mask_;
  // Sequences of the whole buffer: the token each starts at, and its row.
  std::vector<int64_t> starts_;
  std::vector<int64_t> first_sequence_;  // [capacity + 1], of each row
  std::vector<int64_t> offsets_;         // of the last batch
  std::vector<int32_t> samples_;         // likewise
};

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_BATCH_BUFFER_H_
