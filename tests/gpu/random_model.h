// For tests: a small model of random weights as a folder, and data for it.
#ifndef CARACAL_TESTS_GPU_RANDOM_MODEL_H_
#define CARACAL_TESTS_GPU_RANDOM_MODEL_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace caracal {

struct RandomModelShape {
  int64_t hidden = 256, inner = 512, layers = 3;
  int64_t heads = 4, kv_heads = 2, head_dim = 64;
  int64_t vocabulary = 512, positions = 512;
};

// A Hugging Face folder. Matrices are normal with standard deviation
// 1 / sqrt(inputs), so that activations keep their size, the embedding with 1;
// norms are 1. Every number is one of bf16's: a device's copies are exact.
absl::Status WriteRandomModel(const std::string& folder,
                              const RandomModelShape& shape, uint64_t seed);

// Adds a tokenizer to it: a token a byte, and none beside them.
absl::Status WriteByteTokenizer(const std::string& folder);

// Packed data: `rows` rows of `row_tokens` targets, random tokens.
absl::Status WriteRandomData(const std::string& path, int64_t rows,
                             int64_t row_tokens, int64_t vocabulary,
                             uint64_t seed);

}  // namespace caracal

#endif  // CARACAL_TESTS_GPU_RANDOM_MODEL_H_
