#include "core/io/gguf_config.h"

#include <algorithm>

#include "core/base/status.h"
#include "core/io/architecture.h"
#include "core/io/quoted.h"
#include "kernels/quant/dequantize.h"

namespace caracal {
namespace {

// Metadata keys that start with the architecture's name.
class Keys {
 public:
  Keys(const GgufFile& file, absl::string_view architecture)
      : file_(file), prefix_(absl::StrCat(architecture, ".")) {}

  std::string Name(absl::string_view key) const {
    return absl::StrCat(prefix_, key);
  }
  bool Has(absl::string_view key) const { return file_.Has(Name(key)); }
  absl::Status Get(absl::string_view key, int64_t* out) const {
    ASSIGN_OR_RETURN(*out, file_.GetInt(Name(key)));
    return absl::OkStatus();
  }
  absl::Status GetIfThere(absl::string_view key, int64_t* out) const {
    return Has(key) ? Get(key, out) : absl::OkStatus();
  }
  absl::Status Get(absl::string_view key, double* out) const {
    ASSIGN_OR_RETURN(*out, file_.GetFloat(Name(key)));
    return absl::OkStatus();
  }
  absl::Status GetIfThere(absl::string_view key, double* out) const {
    return Has(key) ? Get(key, out) : absl::OkStatus();
  }

 private:
  const GgufFile& file_;
  const std::string prefix_;
};

absl::Status ParseSizes(const GgufFile& file, const Keys& keys,
                        ModelConfig* config) {
  RETURN_IF_ERROR(keys.Get("embedding_length", &config->hidden_size));
  RETURN_IF_ERROR(keys.Get("feed_forward_length", &config->intermediate_size));
  RETURN_IF_ERROR(keys.Get("block_count", &config->layers));
  RETURN_IF_ERROR(keys.Get("attention.head_count", &config->heads));
  RETURN_IF_ERROR(keys.Get("context_length", &config->max_positions));
  config->kv_heads = config->heads;
  RETURN_IF_ERROR(
      keys.GetIfThere("attention.head_count_kv", &config->kv_heads));
  if (config->heads > 0) config->head_dim = config->hidden_size / config->heads;
  RETURN_IF_ERROR(keys.GetIfThere("attention.key_length", &config->head_dim));
  if (const GgufTensor* embedding = file.FindTensor("token_embd.weight")) {
    config->vocab_size = embedding->shape[0];
  }
  return keys.GetIfThere("vocab_size", &config->vocab_size);
}

absl::Status ParseRope(const GgufFile& file, const Keys& keys,
                       ModelConfig* config) {
  RopeConfig& rope = config->rope;
  RETURN_IF_ERROR(keys.GetIfThere("rope.freq_base", &rope.theta));
  std::string type = "none";
  if (keys.Has("rope.scaling.type")) {
    ASSIGN_OR_RETURN(const absl::string_view value,
                     file.GetString(keys.Name("rope.scaling.type")));
    type = std::string(value);
  }
  if (type == "linear") {
    rope.scaling = RopeScaling::kLinear;
    RETURN_IF_ERROR(keys.Get("rope.scaling.factor", &rope.factor));
  } else if (type != "none") {
    return absl::UnimplementedError(
        absl::StrCat(file.path(), ": ", keys.Name("rope.scaling.type"), " is ",
                     Quoted(type), ", expected none or linear"));
  }
  const GgufTensor* factors = file.FindTensor("rope_freqs.weight");
  if (factors == nullptr) return absl::OkStatus();
  if (factors->encoding != Encoding::kF32 || factors->shape.size() != 1 ||
      factors->shape[0] != config->head_dim / 2) {
    return absl::InvalidArgumentError(
        absl::StrCat(file.path(), ": tensor rope_freqs.weight is not F32 [",
                     config->head_dim / 2, "]"));
  }
  rope.divisors.resize(factors->shape[0]);
  kernels::DequantizeRow(Encoding::kF32, factors->data.data(),
                         factors->shape[0], rope.divisors.data());
  return absl::OkStatus();
}

absl::Status ParseTokenIds(const GgufFile& file, ModelConfig* config) {
  constexpr char kBos[] = "tokenizer.ggml.bos_token_id";
  if (file.Has(kBos)) {
    ASSIGN_OR_RETURN(config->bos_token_id, file.GetInt(kBos));
  }
  for (const char* key :
       {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"}) {
    if (!file.Has(key)) continue;
    ASSIGN_OR_RETURN(const int64_t id, file.GetInt(key));
    std::vector<int64_t>& ids = config->eos_token_ids;
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  }
  return absl::OkStatus();
}

// Features whose only supported form is their absence.
absl::Status RefuseUnsupported(const GgufFile& file, const Keys& keys,
                               const ModelConfig& config) {
  const struct {
    const char* key;
    int64_t plain;
    const char* what;
  } kOnly[] = {
      {"expert_count", 0, "mixtures of experts are not supported"},
      {"rope.dimension_count", config.head_dim,
       "partial rotary embeddings are not supported"},
      {"attention.value_length", config.head_dim,
       "values of another size than keys are not supported"},
      {"attention.sliding_window", config.max_positions,
       "models with a sliding window are not supported"},
  };
  for (const auto& only : kOnly) {
    int64_t value = only.plain;
    RETURN_IF_ERROR(keys.GetIfThere(only.key, &value));
    if (value != only.plain) {
      return absl::UnimplementedError(
          absl::StrCat(file.path(), ": ", keys.Name(only.key), " is ", value,
                       ", expected ", only.plain, ": ", only.what));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ModelConfig> ParseGgufConfig(const GgufFile& file) {
  ASSIGN_OR_RETURN(const absl::string_view name,
                   file.GetString("general.architecture"));
  const absl::StatusOr<const ArchitectureInfo*> info =
      FindGgufArchitecture(name);
  RETURN_IF_ERROR(Annotate(info.status(), file.path()));
  const Keys keys(file, name);
  ModelConfig config;
  config.architecture = (*info)->name;
  RETURN_IF_ERROR(ParseSizes(file, keys, &config));
  RETURN_IF_ERROR(
      keys.Get("attention.layer_norm_rms_epsilon", &config.rms_norm_eps));
  config.tie_word_embeddings = file.FindTensor("output.weight") == nullptr;
  RETURN_IF_ERROR(ParseTokenIds(file, &config));
  RETURN_IF_ERROR(Annotate(Validate(config), file.path()));
  RETURN_IF_ERROR(ParseRope(file, keys, &config));
  RETURN_IF_ERROR(Annotate(Validate(config), file.path()));
  RETURN_IF_ERROR(RefuseUnsupported(file, keys, config));
  return config;
}

}  // namespace caracal
