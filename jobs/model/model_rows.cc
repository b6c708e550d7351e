#include "jobs/model/model_rows.h"

#include <algorithm>
#include <vector>

#include "core/base/status.h"

namespace caracal {
absl::Status CheckScoredTargets(const PackedDataset& data, int64_t rows,
                                int64_t seq_len) {
  if (!data.has_loss_mask()) return absl::OkStatus();
  const int64_t length = seq_len > 0 ? seq_len : data.seq_len();
  rows = std::min(rows, data.rows());
  std::vector<uint8_t> mask(data.row_tokens());
  for (int64_t r = 0; r < rows; ++r) {
    RETURN_IF_ERROR(data.ReadRow(r, {}, absl::MakeSpan(mask), {}));
    const auto first = mask.begin() + 1;
    if (std::find(first, first + length, 1) != first + length) {
      return absl::OkStatus();
    }
  }
  return absl::InvalidArgumentError(absl::StrCat(
      data.path(), ": ", kLossMaskDataset, " leaves no target of ",
      rows == data.rows() ? std::string("any row")
                          : absl::StrCat("its first ", rows, " rows"),
      " to be scored"));
}

absl::StatusOr<std::unique_ptr<PackedDataset>> OpenModelRows(
    const std::string& path, const ModelConfig& model,
    const Tokenizer* tokenizer, int64_t seq_len) {
  PackedDatasetOptions options;
  options.vocab_size = static_cast<int32_t>(model.vocab_size);
  if (tokenizer != nullptr) {
    options.tokenizer_fingerprint = tokenizer->fingerprint();
  }
  ASSIGN_OR_RETURN(std::unique_ptr<PackedDataset> data,
                   PackedDataset::Open(path, options));
  const int64_t length = seq_len > 0 ? seq_len : data->seq_len();
  if (length > data->seq_len()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": rows have ", data->seq_len(), " targets, but ",
                     length, " were asked for"));
  }
  if (length > model.max_positions) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": rows of ", length,
                     " tokens are longer than the model's context of ",
                     model.max_positions));
  }
  RETURN_IF_ERROR(CheckScoredTargets(*data, data->rows(), length));
  return data;
}

}  // namespace caracal
