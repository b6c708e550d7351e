#include "jobs/client/model_words.h"

#include "absl/strings/str_format.h"
#include "core/io/model_tensors.h"

namespace caracal {

int64_t ModelParameters(const ModelConfig& model) {
  int64_t parameters = 0;
  for (const ExpectedTensor& tensor : ExpectedTensors(model)) {
    int64_t elements = 1;
    for (const int64_t size : tensor.shape) elements *= size;
    parameters += elements;
  }
  return parameters;
}

std::string ModelWords(const ModelConfig& model) {
  const double parameters = static_cast<double>(ModelParameters(model));
  const bool billions = parameters >= 1e9;
  return absl::StrFormat(
      "%s, %d layers of %d query and %d key/value heads of %d, %.*f %c "
      "parameters",
      model.architecture, model.layers, model.heads, model.kv_heads,
      model.head_dim, billions ? 2 : 1, parameters / (billions ? 1e9 : 1e6),
      billions ? 'B' : 'M');
}

nlohmann::ordered_json ModelJson(const ModelConfig& model) {
  nlohmann::ordered_json json = {
      {"architecture", model.architecture},
      {"parameters", ModelParameters(model)},
      {"num_hidden_layers", model.layers},
      {"hidden_size", model.hidden_size},
      {"intermediate_size", model.intermediate_size},
      {"num_attention_heads", model.heads},
      {"num_key_value_heads", model.kv_heads},
      {"head_dim", model.head_dim},
      {"vocab_size", model.vocab_size},
      {"max_position_embeddings", model.max_positions},
      {"rope_theta", model.rope.theta},
      {"rope_type", NameOf(model.rope.scaling)},
      {"rms_norm_eps", model.rms_norm_eps},
      {"tie_word_embeddings", model.tie_word_embeddings},
      {"eos_token_id", model.eos_token_ids},
  };
  if (model.bos_token_id.has_value()) {
    json["bos_token_id"] = *model.bos_token_id;
  }
  return json;
}

}  // namespace caracal
