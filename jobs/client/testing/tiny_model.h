// For tests: small input files as a user would have them.
#ifndef CARACAL_JOBS_CLIENT_TESTING_TINY_MODEL_H_
#define CARACAL_JOBS_CLIENT_TESTING_TINY_MODEL_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace caracal {

// A Hugging Face folder: a Llama of 2 layers, hidden size 64, 4 query and 2
// key/value heads of 16, vocabulary 32, context 128, tied embeddings; weights
// are zero.
absl::Status WriteTinyModel(const std::string& folder);

// Packed data: `rows` rows of `row_tokens` targets, all tokens zero.
absl::Status WriteTinyData(const std::string& path, int64_t rows,
                           int64_t row_tokens);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_TESTING_TINY_MODEL_H_
