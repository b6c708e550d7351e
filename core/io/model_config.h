// The shape of a Transformer language model of the Llama family, whatever
// file it was read from. Field names in messages are Hugging Face's.
#ifndef CARACAL_CORE_IO_MODEL_CONFIG_H_
#define CARACAL_CORE_IO_MODEL_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/io/rope_config.h"

namespace caracal {

struct ModelConfig {
  std::string architecture;  // `name` of a row of architecture.h
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t vocab_size = 0;
  int64_t max_positions = 0;
  RopeConfig rope;
  double rms_norm_eps = 1e-6;
  bool tie_word_embeddings = false;
  bool attention_bias = false;
  std::optional<int64_t> bos_token_id;
  std::vector<int64_t> eos_token_ids;
  // What the configuration says weights are stored as ("bfloat16"), or empty.
  // The tensors' own types count; this is kept for exports.
  std::string dtype;

  bool operator==(const ModelConfig&) const = default;

  // Radians per position, [head_dim / 2].
  std::vector<float> inv_freq() const { return InvFreq(rope, head_dim); }
};

// Ranges and divisibility; kInvalidArgument, naming the field.
absl::Status Validate(const ModelConfig& config);

}  // namespace caracal

#endif  // CARACAL_CORE_IO_MODEL_CONFIG_H_
