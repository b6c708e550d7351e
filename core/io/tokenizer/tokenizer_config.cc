#include "core/io/tokenizer/tokenizer_config.h"

#include <algorithm>
#include <cstdint>
#include <limits>

#include "core/base/status.h"
#include "core/io/quoted.h"
#include "core/io/tokenizer/json_node.h"

namespace caracal {
namespace {

// -1: none.
int32_t FindToken(const TokenizerSpec& spec, absl::string_view token) {
  for (const AddedToken& added : spec.added) {
    if (added.content == token) return added.id;
  }
  const auto it = std::find(spec.vocab.begin(), spec.vocab.end(), token);
  if (token.empty() || it == spec.vocab.end()) return -1;
  return static_cast<int32_t>(it - spec.vocab.begin());
}

// A token given as "text" or {"content": "text", ...}.
absl::Status ReadToken(const JsonNode& root, const std::string& name,
                       const TokenizerSpec& spec, int32_t* id) {
  if (!root.Has(name)) return absl::OkStatus();
  ASSIGN_OR_RETURN(JsonNode node, root.Member(name));
  if (node.value().is_object()) {
    ASSIGN_OR_RETURN(node, node.Member("content"));
  }
  ASSIGN_OR_RETURN(const std::string token, node.String());
  *id = FindToken(spec, token);
  if (*id >= 0) return absl::OkStatus();
  return node.Error(
      absl::StrCat("token ", Quoted(token), " is not in ", spec.source));
}

// An id or a list of them, the first of which counts.
absl::Status ReadId(const JsonNode& root, const std::string& name,
                    int32_t* id) {
  if (*id >= 0 || !root.Has(name)) return absl::OkStatus();
  ASSIGN_OR_RETURN(JsonNode node, root.Member(name));
  if (node.value().is_array()) {
    if (node.value().empty()) return absl::OkStatus();
    ASSIGN_OR_RETURN(const auto elements, root.Elements(name));
    node = elements[0];
  }
  ASSIGN_OR_RETURN(*id, node.Id(std::numeric_limits<int32_t>::max()));
  return absl::OkStatus();
}

}  // namespace

absl::Status ApplyTokenizerConfig(absl::string_view json,
                                  const std::string& file,
                                  TokenizerSpec* spec) {
  ASSIGN_OR_RETURN(const nlohmann::json document, ParseJson(json, file));
  const JsonNode root(&document, &file);
  RETURN_IF_ERROR(ReadToken(root, "bos_token", *spec, &spec->bos_id));
  RETURN_IF_ERROR(ReadToken(root, "eos_token", *spec, &spec->eos_id));
  ASSIGN_OR_RETURN(const bool add_bos, root.BoolMember("add_bos_token", false));
  ASSIGN_OR_RETURN(const bool add_eos, root.BoolMember("add_eos_token", false));
  if (root.Has("add_bos_token") || root.Has("add_eos_token")) {
    spec->prefix_ids.clear();
    spec->suffix_ids.clear();
    if (add_bos && spec->bos_id >= 0) spec->prefix_ids = {spec->bos_id};
    if (add_eos && spec->eos_id >= 0) spec->suffix_ids = {spec->eos_id};
  }
  return absl::OkStatus();
}

absl::Status ApplyModelConfig(absl::string_view json, const std::string& file,
                              TokenizerSpec* spec) {
  ASSIGN_OR_RETURN(const nlohmann::json document, ParseJson(json, file));
  const JsonNode root(&document, &file);
  RETURN_IF_ERROR(ReadId(root, "bos_token_id", &spec->bos_id));
  return ReadId(root, "eos_token_id", &spec->eos_id);
}

}  // namespace caracal
