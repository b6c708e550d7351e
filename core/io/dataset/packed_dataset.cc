#include "core/io/dataset/packed_dataset.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/base/status.h"

namespace caracal {
namespace {

// A row of a file of the world may claim any length; ours hold one sequence.
constexpr uint64_t kMaxRowTokens = uint64_t{1} << 24;
// Bytes of one position: token, mask, document.
constexpr int64_t kPositionBytes = 4 + 1 + 8;

// The dataset, which must be of this type and of two dimensions.
absl::StatusOr<hdf5::Dataset> OpenMatrix(const hdf5::File& file,
                                         const char* name, hdf5::Type type) {
  ASSIGN_OR_RETURN(hdf5::Dataset dataset, file.OpenDataset(name));
  const hdf5::DatasetInfo& info = dataset.info();
  if (info.type != type || info.shape.size() != 2) {
    return absl::InvalidArgumentError(
        absl::StrCat(file.path(), ": ", name, " is ", hdf5::NameOf(info.type),
                     " of ", info.shape.size(), " dimensions; ",
                     hdf5::NameOf(type), " [rows, tokens] expected"));
  }
  return dataset;
}

// A buffer is of the size of a row, or not wanted.
template <typename T>
void CheckSize(absl::Span<T> buffer, int64_t row_tokens) {
  CARACAL_CHECK(buffer.empty() ||
                static_cast<int64_t>(buffer.size()) == row_tokens)
      << buffer.size() << " elements given for " << row_tokens;
}

}  // namespace

absl::StatusOr<std::unique_ptr<PackedDataset>> PackedDataset::Open(
    const std::string& path, const PackedDatasetOptions& options,
    FileSystem* files) {
  ASSIGN_OR_RETURN(hdf5::File file, hdf5::File::Open(path, files));
  std::unique_ptr<PackedDataset> out(new PackedDataset);
  out->path_ = path;
  out->id_limit_ = options.vocab_size > 0 ? options.vocab_size
                                          : std::numeric_limits<int32_t>::max();
  RETURN_IF_ERROR(out->OpenDatasets(file));
  RETURN_IF_ERROR(out->CheckLengths(options));
  RETURN_IF_ERROR(out->ReadAttributes(file, options));
  {
    absl::MutexLock lock(&out->mutex_);
    out->file_ = std::move(file);
  }
  // In units of a position, so that nothing overflows.
  if (out->rows_ <=
      options.max_memory_bytes / kPositionBytes / out->row_tokens()) {
    RETURN_IF_ERROR(out->LoadIntoMemory());
  }
  return out;
}

absl::Status PackedDataset::OpenDatasets(const hdf5::File& file) {
  absl::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(tokens_, OpenMatrix(file, kTokensDataset, hdf5::Type::kI32));
  const hdf5::Shape shape = tokens_->info().shape;
  if (shape[0] == 0 || shape[1] < 2 || shape[1] > kMaxRowTokens ||
      shape[0] > uint64_t{std::numeric_limits<int64_t>::max()} / shape[1]) {
    return absl::InvalidArgumentError(absl::StrCat(
        path_, ": ", kTokensDataset, " is [", shape[0], ", ", shape[1],
        "]; at least one row of 2 to ", kMaxRowTokens, " tokens expected"));
  }
  rows_ = static_cast<int64_t>(shape[0]);
  seq_len_ = static_cast<int64_t>(shape[1]) - 1;
  const auto open = [&](const char* name, hdf5::Type type, bool* has,
                        std::optional<hdf5::Dataset>* out) -> absl::Status {
    ASSIGN_OR_RETURN(*has, file.Exists(name));
    if (!*has) return absl::OkStatus();
    ASSIGN_OR_RETURN(*out, OpenMatrix(file, name, type));
    const hdf5::Shape& found = (*out)->info().shape;
    if (found == shape) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(
        path_, ": ", name, " is [", found[0], ", ", found[1], "], but ",
        kTokensDataset, " is [", shape[0], ", ", shape[1], "]"));
  };
  RETURN_IF_ERROR(
      open(kLossMaskDataset, hdf5::Type::kU8, &has_loss_mask_, &loss_mask_));
  return open(kDocumentDataset, hdf5::Type::kI64, &has_document_, &document_);
}

absl::Status PackedDataset::CheckLengths(
    const PackedDatasetOptions& options) const {
  if (options.seq_len > 0 && options.seq_len != seq_len_) {
    return absl::InvalidArgumentError(absl::StrCat(
        path_, ": ", kTokensDataset, ": rows of ", row_tokens(),
        " tokens (seq_len ", seq_len_, "), but seq_len ", options.seq_len,
        " is asked for: pack with --seq-len ", options.seq_len));
  }
  if (options.max_seq_len > 0 && seq_len_ > options.max_seq_len) {
    return absl::InvalidArgumentError(
        absl::StrCat(path_, ": ", kTokensDataset, ": rows of ", row_tokens(),
                     " tokens (seq_len ", seq_len_,
                     ") are longer than the model's context "
                     "of ",
                     options.max_seq_len));
  }
  return absl::OkStatus();
}

absl::Status PackedDataset::ReadAttributes(
    const hdf5::File& file, const PackedDatasetOptions& options) {
  ASSIGN_OR_RETURN(const bool versioned,
                   file.HasAttribute("/", "format_version"));
  if (versioned) {
    ASSIGN_OR_RETURN(const int64_t version,
                     file.IntAttribute("/", "format_version"));
    if (version < 1 || version > kPackedVersion) {
      return absl::InvalidArgumentError(absl::StrCat(
          path_, ": format_version ", version,
          " is not known; this program reads 1 to ", kPackedVersion));
    }
  }
  ASSIGN_OR_RETURN(const bool has_fingerprint,
                   file.HasAttribute("/", "tokenizer_fingerprint"));
  if (has_fingerprint) {
    ASSIGN_OR_RETURN(fingerprint_,
                     file.StringAttribute("/", "tokenizer_fingerprint"));
  }
  const std::string& expected = options.tokenizer_fingerprint;
  if (!expected.empty() && !fingerprint_.empty() && fingerprint_ != expected) {
    return absl::FailedPreconditionError(
        absl::StrCat(path_, ": was packed with another tokenizer (fingerprint ",
                     fingerprint_, ") than the model's (", expected,
                     "): pack it again with --tokenizer of this model"));
  }
  ASSIGN_OR_RETURN(const bool has_max, file.HasAttribute("/", "max_token_id"));
  if (has_max) {
    ASSIGN_OR_RETURN(const int64_t max_id,
                     file.IntAttribute("/", "max_token_id"));
    if (max_id >= id_limit_) {
      return absl::OutOfRangeError(
          absl::StrCat(path_, ": ", kTokensDataset, " holds the id ", max_id,
                       ", but the vocabulary has ", id_limit_, " tokens"));
    }
  }
  return absl::OkStatus();
}

absl::Status PackedDataset::LoadIntoMemory() {
  const size_t elements = static_cast<size_t>(rows_ * row_tokens());
  all_tokens_.resize(elements);
  if (has_loss_mask_) all_masks_.resize(elements);
  if (has_document_) all_documents_.resize(elements);
  RETURN_IF_ERROR(Fetch(0, rows_, absl::MakeSpan(all_tokens_),
                        absl::MakeSpan(all_masks_),
                        absl::MakeSpan(all_documents_)));
  for (int64_t row = 0; row < rows_; ++row) {
    const size_t begin = static_cast<size_t>(row * row_tokens());
    RETURN_IF_ERROR(CheckTokens(
        row, absl::MakeConstSpan(all_tokens_).subspan(begin, row_tokens())));
    if (!has_loss_mask_) continue;
    RETURN_IF_ERROR(CheckMask(
        row, absl::MakeConstSpan(all_masks_).subspan(begin, row_tokens())));
  }
  in_memory_ = true;
  absl::MutexLock lock(&mutex_);
  tokens_.reset();
  loss_mask_.reset();
  document_.reset();
  file_.reset();
  return absl::OkStatus();
}

absl::Status PackedDataset::Fetch(int64_t first, int64_t count,
                                  absl::Span<int32_t> tokens,
                                  absl::Span<uint8_t> loss_mask,
                                  absl::Span<int64_t> document) const {
  absl::MutexLock lock(&mutex_);
  if (!tokens.empty()) {
    RETURN_IF_ERROR(tokens_->ReadRows(first, count, tokens));
  }
  if (!loss_mask.empty()) {
    RETURN_IF_ERROR(loss_mask_->ReadRows(first, count, loss_mask));
  }
  if (!document.empty()) {
    RETURN_IF_ERROR(document_->ReadRows(first, count, document));
  }
  return absl::OkStatus();
}

absl::Status PackedDataset::CheckTokens(
    int64_t row, absl::Span<const int32_t> tokens) const {
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] >= 0 && tokens[i] < id_limit_) continue;
    return absl::OutOfRangeError(absl::StrCat(
        path_, ": ", kTokensDataset, "[", row, ", ", i, "] is ", tokens[i],
        "; an id from 0 to ", id_limit_ - 1, " expected"));
  }
  return absl::OkStatus();
}

absl::Status PackedDataset::CheckMask(
    int64_t row, absl::Span<const uint8_t> loss_mask) const {
  for (size_t i = 0; i < loss_mask.size(); ++i) {
    if (loss_mask[i] <= 1) continue;
    return absl::DataLossError(
        absl::StrCat(path_, ": ", kLossMaskDataset, "[", row, ", ", i, "] is ",
                     static_cast<int>(loss_mask[i]), "; 0 or 1 expected"));
  }
  return absl::OkStatus();
}

absl::Status PackedDataset::ReadRow(int64_t row, absl::Span<int32_t> tokens,
                                    absl::Span<uint8_t> loss_mask,
                                    absl::Span<int64_t> document) const {
  CARACAL_CHECK(row >= 0 && row < rows_) << "row " << row << " of " << rows_;
  CheckSize(tokens, row_tokens());
  CheckSize(loss_mask, row_tokens());
  CheckSize(document, row_tokens());
  if (!has_loss_mask_) {
    std::fill(loss_mask.begin(), loss_mask.end(), uint8_t{1});
    loss_mask = {};
  }
  if (!has_document_) {
    std::fill(document.begin(), document.end(), int64_t{0});
    document = {};
  }
  if (in_memory_) {
    const auto begin = row * row_tokens();
    std::copy_n(all_tokens_.begin() + begin, tokens.size(), tokens.begin());
    std::copy_n(all_masks_.begin() + (loss_mask.empty() ? 0 : begin),
                loss_mask.size(), loss_mask.begin());
    std::copy_n(all_documents_.begin() + (document.empty() ? 0 : begin),
                document.size(), document.begin());
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(Fetch(row, 1, tokens, loss_mask, document));
  RETURN_IF_ERROR(CheckTokens(row, tokens));
  return CheckMask(row, loss_mask);
}

absl::Status PackedDataset::CheckAllRows() const {
  if (in_memory_) return absl::OkStatus();  // Open has done it
  std::vector<int32_t> tokens(row_tokens());
  std::vector<uint8_t> loss_mask(row_tokens());
  for (int64_t row = 0; row < rows_; ++row) {
    RETURN_IF_ERROR(
        ReadRow(row, absl::MakeSpan(tokens), absl::MakeSpan(loss_mask), {}));
  }
  return absl::OkStatus();
}

}  // namespace caracal
