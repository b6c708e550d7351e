// Packed rows, opened for the model that is to read them.
#ifndef CARACAL_JOBS_MODEL_MODEL_ROWS_H_
#define CARACAL_JOBS_MODEL_MODEL_ROWS_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/io/dataset/packed_dataset.h"
#include "core/io/model_config.h"
#include "core/io/tokenizer/tokenizer.h"

namespace caracal {

// Opens the rows of `path` and checks that their ids are in the model's
// vocabulary, that they were made with its tokenizer (null: the model has none
// of its own, and nothing is compared), and that `seq_len` targets a row (0:
// all) are there and fit its context. Errors name the file: those of
// PackedDataset::Open, and kInvalidArgument for lengths and for
// data whose loss mask leaves nothing to score.
absl::StatusOr<std::unique_ptr<PackedDataset>> OpenModelRows(
    const std::string& path, const ModelConfig& model,
    const Tokenizer* tokenizer, int64_t seq_len);

// That some target of the first `rows` rows, cut to `seq_len` targets (0: all),
// counts towards a loss. kInvalidArgument naming the file.
absl::Status CheckScoredTargets(const PackedDataset& data, int64_t rows,
                                int64_t seq_len);

}  // namespace caracal

#endif  // CARACAL_JOBS_MODEL_MODEL_ROWS_H_
