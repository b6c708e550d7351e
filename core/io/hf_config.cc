#include "core/io/hf_config.h"

#include "core/base/status.h"
#include "core/io/architecture.h"
#include "core/io/json.h"
#include "core/io/quoted.h"

namespace caracal {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxConfigBytes = 1 << 20;

absl::Status ParseArchitecture(const JsonFields& fields, ModelConfig* config) {
  std::string model_type;
  RETURN_IF_ERROR(fields.Get("model_type", &model_type));
  if (model_type.empty()) {
    const Json* classes = fields.Find("architectures");
    if (classes == nullptr || !classes->is_array() || classes->empty() ||
        !(*classes)[0].is_string()) {
      return fields.Require("model_type");
    }
    model_type = (*classes)[0].get<std::string>();
    if (const ArchitectureInfo* info = FindHfClass(model_type)) {
      model_type = info->name;
    }
  }
  ASSIGN_OR_RETURN(const ArchitectureInfo* info,
                   FindHfArchitecture(model_type));
  config->architecture = info->name;
  return absl::OkStatus();
}

absl::Status ParseSizes(const JsonFields& fields, ModelConfig* config) {
  for (const char* field :
       {"hidden_size", "intermediate_size", "num_hidden_layers",
        "num_attention_heads", "vocab_size"}) {
    RETURN_IF_ERROR(fields.Require(field));
  }
  RETURN_IF_ERROR(fields.Get("hidden_size", &config->hidden_size));
  RETURN_IF_ERROR(fields.Get("intermediate_size", &config->intermediate_size));
  RETURN_IF_ERROR(fields.Get("num_hidden_layers", &config->layers));
  RETURN_IF_ERROR(fields.Get("num_attention_heads", &config->heads));
  RETURN_IF_ERROR(fields.Get("vocab_size", &config->vocab_size));
  config->kv_heads = config->heads;
  RETURN_IF_ERROR(fields.Get("num_key_value_heads", &config->kv_heads));
  if (fields.Find("head_dim") == nullptr && config->heads > 0) {
    if (config->hidden_size % config->heads != 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("hidden_size is ", config->hidden_size,
                       ", expected a multiple of num_attention_heads, ",
                       config->heads, ", where there is no head_dim"));
    }
    config->head_dim = config->hidden_size / config->heads;
  }
  RETURN_IF_ERROR(fields.Get("head_dim", &config->head_dim));
  config->max_positions = 2048;
  return fields.Get("max_position_embeddings", &config->max_positions);
}

// The scaling object of either generation; `fields` may hold rope_theta too.
absl::Status ParseScaling(const JsonFields& fields, RopeConfig* rope) {
  std::string type = "default";
  RETURN_IF_ERROR(fields.Get("type", &type));  // of old files
  const char* type_field =
      fields.Find("rope_type") != nullptr ? "rope_type" : "type";
  RETURN_IF_ERROR(fields.Get("rope_type", &type));
  RETURN_IF_ERROR(fields.Get("rope_theta", &rope->theta));
  double share = 1;
  RETURN_IF_ERROR(fields.Get("partial_rotary_factor", &share));
  if (share != 1) return fields.Unexpected("partial_rotary_factor", "1");
  if (type == "default") return absl::OkStatus();
  if (type != "linear" && type != "llama3") {
    const absl::Status status =
        fields.Unexpected(type_field, "default, linear or llama3");
    return absl::UnimplementedError(status.message());
  }
  RETURN_IF_ERROR(fields.Require("factor"));
  RETURN_IF_ERROR(fields.Get("factor", &rope->factor));
  rope->scaling = RopeScaling::kLinear;
  if (type == "linear") return absl::OkStatus();
  rope->scaling = RopeScaling::kLlama3;
  for (const char* field : {"low_freq_factor", "high_freq_factor",
                            "original_max_position_embeddings"}) {
    RETURN_IF_ERROR(fields.Require(field));
  }
  RETURN_IF_ERROR(fields.Get("low_freq_factor", &rope->low_freq_factor));
  RETURN_IF_ERROR(fields.Get("high_freq_factor", &rope->high_freq_factor));
  return fields.Get("original_max_position_embeddings",
                    &rope->original_max_positions);
}

absl::Status ParseRope(const JsonFields& fields, RopeConfig* rope) {
  RETURN_IF_ERROR(fields.Get("rope_theta", &rope->theta));
  double share = 1;
  RETURN_IF_ERROR(fields.Get("partial_rotary_factor", &share));
  if (share != 1) return fields.Unexpected("partial_rotary_factor", "1");
  for (const char* name : {"rope_parameters", "rope_scaling"}) {
    const Json* object = fields.Find(name);
    if (object == nullptr) continue;
    if (!object->is_object()) return fields.Unexpected(name, "an object");
    return ParseScaling(JsonFields(*object, absl::StrCat(name, ".")), rope);
  }
  return absl::OkStatus();
}

// An integer, a list of integers, or nothing.
absl::Status ParseIds(const JsonFields& fields, const char* field,
                      std::vector<int64_t>* out) {
  const Json* value = fields.Find(field);
  if (value == nullptr) return absl::OkStatus();
  if (!value->is_array()) {
    out->resize(1);
    return fields.Get(field, &out->front());
  }
  for (const Json& id : *value) {
    if (!id.is_number_integer() || out->size() >= 1024) {
      return fields.Unexpected(field, "an integer or a list of integers");
    }
    out->push_back(id.get<int64_t>());
  }
  return absl::OkStatus();
}

absl::Status ParseTokenIds(const JsonFields& fields, ModelConfig* config) {
  std::vector<int64_t> bos;
  RETURN_IF_ERROR(ParseIds(fields, "bos_token_id", &bos));
  if (!bos.empty()) config->bos_token_id = bos.front();
  return ParseIds(fields, "eos_token_id", &config->eos_token_ids);
}

// Fields whose only supported value is the plain one.
absl::Status RefuseUnsupported(const JsonFields& fields,
                               const ModelConfig& config) {
  const auto unsupported = [&](const char* field, absl::string_view expected) {
    return absl::UnimplementedError(
        fields.Unexpected(field, expected).message());
  };
  std::string activation = "silu";
  RETURN_IF_ERROR(fields.Get("hidden_act", &activation));
  if (activation != "silu") return unsupported("hidden_act", "\"silu\"");
  bool mlp_bias = false;
  RETURN_IF_ERROR(fields.Get("mlp_bias", &mlp_bias));
  if (mlp_bias) return unsupported("mlp_bias", "false: not supported");
  if (config.attention_bias) {
    return unsupported("attention_bias", "false: not supported");
  }
  int64_t window = config.max_positions;
  RETURN_IF_ERROR(fields.Get("sliding_window", &window));
  bool use_window = true;
  RETURN_IF_ERROR(fields.Get("use_sliding_window", &use_window));
  if (use_window && window < config.max_positions) {
    return unsupported("sliding_window", "null: not supported");
  }
  if (fields.Find("quantization_config") != nullptr) {
    return unsupported("quantization_config",
                       "none: only F32, F16 and BF16 checkpoints are read");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ModelConfig> ParseHfConfig(absl::string_view text) {
  ASSIGN_OR_RETURN(const Json document,
                   ParseBoundedJson(text, kMaxConfigBytes));
  if (!document.is_object()) {
    return absl::DataLossError("expected a JSON object");
  }
  const JsonFields fields(document);
  ModelConfig config;
  RETURN_IF_ERROR(ParseArchitecture(fields, &config));
  RETURN_IF_ERROR(ParseSizes(fields, &config));
  RETURN_IF_ERROR(ParseRope(fields, &config.rope));
  RETURN_IF_ERROR(fields.Get("rms_norm_eps", &config.rms_norm_eps));
  RETURN_IF_ERROR(
      fields.Get("tie_word_embeddings", &config.tie_word_embeddings));
  RETURN_IF_ERROR(fields.Get("attention_bias", &config.attention_bias));
  RETURN_IF_ERROR(ParseTokenIds(fields, &config));
  RETURN_IF_ERROR(fields.Get("torch_dtype", &config.dtype));
  RETURN_IF_ERROR(fields.Get("dtype", &config.dtype));
  RETURN_IF_ERROR(Validate(config));
  RETURN_IF_ERROR(RefuseUnsupported(fields, config));
  return config;
}

}  // namespace caracal
