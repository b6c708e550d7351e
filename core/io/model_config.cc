#include "core/io/model_config.h"

#include "core/base/status.h"

namespace caracal {
namespace {

absl::Status CheckRange(absl::string_view field, int64_t value, int64_t low,
                        int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(field, " is ", value, ", expected ", low, " to ", high));
}

}  // namespace

absl::Status Validate(const ModelConfig& config) {
  // Far above any known model; products of any four stay inside int64.
  const struct {
    const char* field;
    int64_t value, high;
  } kRanges[] = {
      {"hidden_size", config.hidden_size, 1 << 17},
      {"intermediate_size", config.intermediate_size, 1 << 20},
      {"num_hidden_layers", config.layers, 1024},
      {"num_attention_heads", config.heads, 1024},
      {"num_key_value_heads", config.kv_heads, 1024},
      {"head_dim", config.head_dim, 1024},
      {"vocab_size", config.vocab_size, 1 << 24},
      {"max_position_embeddings", config.max_positions, 1 << 27},
  };
  for (const auto& range : kRanges) {
    RETURN_IF_ERROR(CheckRange(range.field, range.value, 1, range.high));
  }
  if (config.heads % config.kv_heads != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "num_attention_heads is ", config.heads,
        ", expected a multiple of num_key_value_heads, ", config.kv_heads));
  }
  if (config.head_dim % 2 != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "head_dim is ", config.head_dim, ", expected an even number"));
  }
  if (!(config.rms_norm_eps > 0 && config.rms_norm_eps <= 0.1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("rms_norm_eps is ", config.rms_norm_eps,
                     ", expected above 0 and at most 0.1"));
  }
  if (config.bos_token_id.has_value()) {
    RETURN_IF_ERROR(CheckRange("bos_token_id", *config.bos_token_id, 0,
                               config.vocab_size - 1));
  }
  for (const int64_t id : config.eos_token_ids) {
    RETURN_IF_ERROR(CheckRange("eos_token_id", id, 0, config.vocab_size - 1));
  }
  return Validate(config.rope, config.head_dim);
}

}  // namespace caracal
