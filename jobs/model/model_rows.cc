#include "jobs/model/model_rows.h"

#include "core/base/status.h"

namespace caracal {

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
  return data;
}

}  // namespace caracal
