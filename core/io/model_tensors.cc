#include "core/io/model_tensors.h"

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "core/base/status.h"
#include "core/io/quoted.h"

namespace caracal {
namespace {

// The layer of `name` when it is "<prefix><number>.<...>", else -1.
int64_t LayerOf(absl::string_view name, absl::string_view prefix) {
  if (!absl::StartsWith(name, prefix)) return -1;
  name.remove_prefix(prefix.size());
  int64_t layer;
  if (!absl::SimpleAtoi(name.substr(0, name.find('.')), &layer)) return -1;
  return layer;
}

}  // namespace

std::vector<ExpectedTensor> ExpectedTensors(const ModelConfig& config) {
  const int64_t d = config.hidden_size, f = config.intermediate_size;
  const int64_t q = config.heads * config.head_dim;
  const int64_t kv = config.kv_heads * config.head_dim;
  std::vector<ExpectedTensor> out;
  out.push_back({"model.embed_tokens.weight",
                 "token_embd.weight",
                 {config.vocab_size, d}});
  for (int64_t i = 0; i < config.layers; ++i) {
    const std::string layer = absl::StrCat("model.layers.", i, ".");
    const std::string block = absl::StrCat("blk.", i, ".");
    const auto add = [&](const char* name, const char* gguf_name,
                         std::vector<int64_t> shape, int64_t rotary_heads = 0) {
      out.push_back({absl::StrCat(layer, name, ".weight"),
                     absl::StrCat(block, gguf_name, ".weight"),
                     std::move(shape), rotary_heads});
    };
    add("input_layernorm", "attn_norm", {d});
    add("self_attn.q_proj", "attn_q", {q, d}, config.heads);
    add("self_attn.k_proj", "attn_k", {kv, d}, config.kv_heads);
    add("self_attn.v_proj", "attn_v", {kv, d});
    add("self_attn.o_proj", "attn_output", {d, q});
    add("post_attention_layernorm", "ffn_norm", {d});
    add("mlp.gate_proj", "ffn_gate", {f, d});
    add("mlp.up_proj", "ffn_up", {f, d});
    add("mlp.down_proj", "ffn_down", {d, f});
  }
  out.push_back({"model.norm.weight", "output_norm.weight", {d}});
  if (!config.tie_word_embeddings) {
    out.push_back({"lm_head.weight", "output.weight", {config.vocab_size, d}});
  }
  return out;
}

absl::Status CheckUnexpectedTensor(absl::string_view name,
                                   const ModelConfig& config) {
  const int64_t layer =
      std::max(LayerOf(name, "model.layers."), LayerOf(name, "blk."));
  if (layer >= config.layers) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor ", Quoted(name), " is of layer ", layer,
                     ", but the configuration has ", config.layers, " layers"));
  }
  for (const char* ending :
       {"_proj.bias", "q_norm.weight", "k_norm.weight", "attn_q.bias",
        "attn_k.bias", "attn_v.bias", "attn_output.bias", "ffn_gate.bias",
        "ffn_up.bias", "ffn_down.bias", "lm_head.bias"}) {
    if (absl::EndsWith(name, ending)) {
      return absl::UnimplementedError(absl::StrCat(
          "tensor ", Quoted(name), " has no place in the architecture ",
          config.architecture, " as this program computes it"));
    }
  }
  return absl::OkStatus();
}

}  // namespace caracal
