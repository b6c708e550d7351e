#include "jobs/data/row_writer.h"

#include <algorithm>
#include <utility>

#include "core/base/status.h"
#include "core/io/dataset/packed_dataset.h"

namespace caracal {
namespace {

// Positions held back, and of one chunk in the file: rows are read one at a
// time, in any order, and a compressed chunk is unpacked as a whole.
constexpr int64_t kBufferPositions = 1 << 16;
constexpr int64_t kChunkPositions = 1 << 13;

int64_t RowsOf(int64_t positions, int64_t row_tokens) {
  return std::max<int64_t>(1, positions / row_tokens);
}

}  // namespace

absl::StatusOr<std::unique_ptr<RowWriter>> RowWriter::Create(
    const std::string& path, int64_t row_tokens, FileSystem* files) {
  CARACAL_CHECK(row_tokens >= 2) << row_tokens;
  ASSIGN_OR_RETURN(hdf5::File file, hdf5::File::CreateTemporary(path, files));
  const hdf5::Shape row = {static_cast<uint64_t>(row_tokens)};
  hdf5::ExtensibleOptions options;
  options.chunk_rows = RowsOf(kChunkPositions, row_tokens);
  ASSIGN_OR_RETURN(hdf5::Dataset tokens, file.CreateExtensible<int32_t>(
                                             kTokensDataset, row, options));
  // These shrink to next to nothing; tokens would not.
  options.deflate_level = 1;
  ASSIGN_OR_RETURN(
      hdf5::Dataset loss_mask,
      file.CreateExtensible<uint8_t>(kLossMaskDataset, row, options));
  ASSIGN_OR_RETURN(hdf5::Dataset document, file.CreateExtensible<int64_t>(
                                               kDocumentDataset, row, options));
  return std::unique_ptr<RowWriter>(
      new RowWriter(std::move(file), std::move(tokens), std::move(loss_mask),
                    std::move(document), row_tokens));
}

RowWriter::RowWriter(hdf5::File file, hdf5::Dataset tokens,
                     hdf5::Dataset loss_mask, hdf5::Dataset document,
                     int64_t row_tokens)
    : file_(std::move(file)),
      tokens_(std::move(tokens)),
      loss_mask_(std::move(loss_mask)),
      document_(std::move(document)),
      row_tokens_(row_tokens),
      // Whole chunks, so that each is written once.
      buffer_rows_(RowsOf(kBufferPositions, row_tokens) /
                   RowsOf(kChunkPositions, row_tokens) *
                   RowsOf(kChunkPositions, row_tokens)) {}

absl::Status RowWriter::Add(absl::Span<const int32_t> tokens, bool in_loss) {
  if (tokens.empty()) return absl::OkStatus();
  if (!in_document_) ++counts_.documents;
  in_document_ = true;
  counts_.tokens += static_cast<int64_t>(tokens.size());
  while (!tokens.empty()) {
    const int64_t filled =
        static_cast<int64_t>(token_buffer_.size()) % row_tokens_;
    const size_t n = std::min<size_t>(tokens.size(), row_tokens_ - filled);
    token_buffer_.insert(token_buffer_.end(), tokens.begin(),
                         tokens.begin() + n);
    mask_buffer_.insert(mask_buffer_.end(), n, in_loss ? 1 : 0);
    document_buffer_.insert(document_buffer_.end(), n, counts_.documents - 1);
    tokens.remove_prefix(n);
    if (filled + static_cast<int64_t>(n) < row_tokens_) break;
    EndRow();
    if (static_cast<int64_t>(token_buffer_.size()) ==
        buffer_rows_ * row_tokens_) {
      RETURN_IF_ERROR(WriteRows());
    }
  }
  return absl::OkStatus();
}

void RowWriter::EndDocument() { in_document_ = false; }

// The last row of the buffers is full: counts it, or takes it back.
void RowWriter::EndRow() {
  const auto begin = mask_buffer_.end() - row_tokens_;
  const int64_t in_loss = std::count(begin, mask_buffer_.end(), 1);
  // The first token is nobody's target in this row.
  if (in_loss - *begin == 0) {
    ++counts_.dropped_rows;
    token_buffer_.resize(token_buffer_.size() - row_tokens_);
    mask_buffer_.resize(mask_buffer_.size() - row_tokens_);
    document_buffer_.resize(document_buffer_.size() - row_tokens_);
    return;
  }
  ++counts_.rows;
  counts_.masked_tokens += row_tokens_ - in_loss;
  max_token_id_ = std::max(max_token_id_,
                           *std::max_element(token_buffer_.end() - row_tokens_,
                                             token_buffer_.end()));
}

absl::Status RowWriter::WriteRows() {
  if (token_buffer_.empty()) return absl::OkStatus();
  RETURN_IF_ERROR(tokens_.Append<int32_t>(token_buffer_));
  RETURN_IF_ERROR(loss_mask_.Append<uint8_t>(mask_buffer_));
  RETURN_IF_ERROR(document_.Append<int64_t>(document_buffer_));
  token_buffer_.clear();
  mask_buffer_.clear();
  document_buffer_.clear();
  return absl::OkStatus();
}

absl::Status RowWriter::Finish() {
  const size_t tail = token_buffer_.size() % row_tokens_;
  counts_.dropped_tail_tokens = static_cast<int64_t>(tail);
  token_buffer_.resize(token_buffer_.size() - tail);
  mask_buffer_.resize(mask_buffer_.size() - tail);
  document_buffer_.resize(document_buffer_.size() - tail);
  return WriteRows();
}

absl::Status RowWriter::Commit() { return file_.Commit(); }

}  // namespace caracal
