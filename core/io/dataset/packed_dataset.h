// Rows of tokens for training and measuring, in the HDF5 file that
// `caracal data pack` writes (docs/formats/data.md):
//
//   /tokens     int32 [rows, N + 1]
//   /loss_mask  uint8 [rows, N + 1]   optional; 1 where it is missing
//   /document   int64 [rows, N + 1]   optional; 0 where it is missing
//
// A row gives N predictions: position i < N is fed tokens[i] and predicts
// tokens[i + 1]. loss_mask[i] belongs to token i *as a target*: the prediction
// at position i counts when loss_mask[i + 1] is 1. loss_mask[0] counts nowhere.
// document[i] numbers the document of token i (its EOS included) within the
// whole file; it only grows.
//
// Rows are independent: no token is in two rows.
#ifndef CARACAL_CORE_IO_DATASET_PACKED_DATASET_H_
#define CARACAL_CORE_IO_DATASET_PACKED_DATASET_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "core/base/file_system.h"
#include "core/io/hdf5/hdf5.h"

namespace caracal {

// Names of datasets and attributes; attributes are those of "/".
inline constexpr char kTokensDataset[] = "/tokens";
inline constexpr char kLossMaskDataset[] = "/loss_mask";
inline constexpr char kDocumentDataset[] = "/document";
inline constexpr char kPackedFormat[] = "caracal.packed";
inline constexpr int64_t kPackedVersion = 1;

struct PackedDatasetOptions {
  // Ids must be below; 0: any id from 0 on.
  int32_t vocab_size = 0;
  // Predictions a row must have (N); 0: any.
  int64_t seq_len = 0;
  // The model's context: N must not be larger; 0: any.
  int64_t max_seq_len = 0;
  // The fingerprint of the model's tokenizer; a file of another one is
  // refused. "": not compared.
  std::string tokenizer_fingerprint;
  // A file whose datasets together are not larger is read whole and checked by
  // Open, and then closed; rows are copied from memory.
  int64_t max_memory_bytes = int64_t{64} << 20;
};

// Thread-safe. After Open nothing is allocated here for a row (the HDF5
// library below does, for files that are not held in memory).
class PackedDataset {
 public:
  // Errors name file and dataset or attribute. kNotFound: no such file or
  // dataset; kInvalidArgument: wrong dtype, shape, length or format version;
  // kOutOfRange: an id that is not in the vocabulary; kFailedPrecondition:
  // made with another tokenizer; kDataLoss: damaged.
  static absl::StatusOr<std::unique_ptr<PackedDataset>> Open(
      const std::string& path, const PackedDatasetOptions& options = {},
      FileSystem* files = FileSystem::Posix());

  int64_t rows() const { return rows_; }
  int64_t seq_len() const { return seq_len_; }         // N
  int64_t row_tokens() const { return seq_len_ + 1; }  // N + 1
  bool has_loss_mask() const { return has_loss_mask_; }
  bool has_document() const { return has_document_; }
  // "" in a file that doesn't say.
  const std::string& tokenizer_fingerprint() const { return fingerprint_; }
  const std::string& path() const { return path_; }

  // Copies row `row`, 0 <= row < rows(), into buffers of row_tokens() each;
  // an empty span: not wanted. Ids and mask are checked: kOutOfRange and
  // kDataLoss name row and position.
  absl::Status ReadRow(int64_t row, absl::Span<int32_t> tokens,  // [N + 1]
                       absl::Span<uint8_t> loss_mask,            // [N + 1]
                       absl::Span<int64_t> document) const;      // [N + 1]

  // Reads and checks every row, which takes as long as reading the file.
  absl::Status CheckAllRows() const;

 private:
  PackedDataset() = default;
  absl::Status OpenDatasets(const hdf5::File& file);
  absl::Status ReadAttributes(const hdf5::File& file,
                              const PackedDatasetOptions& options);
  absl::Status CheckLengths(const PackedDatasetOptions& options) const;
  absl::Status LoadIntoMemory();
  // Rows from the file, unchecked.
  absl::Status Fetch(int64_t first, int64_t count, absl::Span<int32_t> tokens,
                     absl::Span<uint8_t> loss_mask,
                     absl::Span<int64_t> document) const;
  absl::Status CheckTokens(int64_t row, absl::Span<const int32_t> tokens) const;
  absl::Status CheckMask(int64_t row,
                         absl::Span<const uint8_t> loss_mask) const;

  std::string path_;
  int64_t rows_ = 0;
  int64_t seq_len_ = 0;
  int32_t id_limit_ = 0;  // ids are below
  bool has_loss_mask_ = false;
  bool has_document_ = false;
  std::string fingerprint_;

  // A File is for one thread at a time. Empty when all is in memory.
  mutable absl::Mutex mutex_;
  std::optional<hdf5::File> file_ ABSL_GUARDED_BY(mutex_);
  std::optional<hdf5::Dataset> tokens_ ABSL_GUARDED_BY(mutex_);
  std::optional<hdf5::Dataset> loss_mask_ ABSL_GUARDED_BY(mutex_);
  std::optional<hdf5::Dataset> document_ ABSL_GUARDED_BY(mutex_);

  bool in_memory_ = false;
  std::vector<int32_t> all_tokens_;     // [rows, N + 1]
  std::vector<uint8_t> all_masks_;      // [rows, N + 1] or empty
  std::vector<int64_t> all_documents_;  // [rows, N + 1] or empty
};

}  // namespace caracal

#endif  // CARACAL_CORE_IO_DATASET_PACKED_DATASET_H_
