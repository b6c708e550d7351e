// Writes one packed file (core/io/dataset/packed_dataset.h), token by token.
#ifndef CARACAL_JOBS_DATA_ROW_WRITER_H_
#define CARACAL_JOBS_DATA_ROW_WRITER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/base/file_system.h"
#include "core/io/hdf5/hdf5.h"

namespace caracal {

// What went into one file.
struct PackedCounts {
  int64_t documents = 0;            // that have tokens
  int64_t tokens = 0;               // of documents, EOS included
  int64_t rows = 0;                 // written
  int64_t masked_tokens = 0;        // of the rows written: not in the loss
  int64_t dropped_rows = 0;         // full, but without a target of the loss
  int64_t dropped_tail_tokens = 0;  // behind the last full row
};

// Memory: about 1 MiB. Until Commit the rows are in a temporary file, which is
// removed with the writer. Not thread-safe.
class RowWriter {
 public:
  // Rows of `row_tokens` tokens, at least 2. kResourceExhausted: the disk is
  // full (as for Add and Commit); errors name the path.
  static absl::StatusOr<std::unique_ptr<RowWriter>> Create(
      const std::string& path, int64_t row_tokens, FileSystem* files);

  // The next tokens of a document.
  absl::Status Add(absl::Span<const int32_t> tokens, bool in_loss);
  // Between documents. One without tokens doesn't count.
  void EndDocument();

  const PackedCounts& counts() const { return counts_; }
  int32_t max_token_id() const { return max_token_id_; }  // -1: none yet

  // Writes the last rows; drops the tail.
  absl::Status Finish();
  // For attributes, between Finish and Commit.
  hdf5::File* file() { return &file_; }
  // Puts the file in its place, durably.
  absl::Status Commit();

 private:
  RowWriter(hdf5::File file, hdf5::Dataset tokens, hdf5::Dataset loss_mask,
            hdf5::Dataset document, int64_t row_tokens);
  void EndRow();
  absl::Status WriteRows();

  hdf5::File file_;
  hdf5::Dataset tokens_;
  hdf5::Dataset loss_mask_;
  hdf5::Dataset document_;
  const int64_t row_tokens_;
  const int64_t buffer_rows_;

  // Full rows that are not written yet, and the row being filled: [.., N + 1].
  std::vector<int32_t> token_buffer_;
  std::vector<uint8_t> mask_buffer_;
  std::vector<int64_t> document_buffer_;
  bool in_document_ = false;  // it has tokens
  int32_t max_token_id_ = -1;
  PackedCounts counts_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_DATA_ROW_WRITER_H_
