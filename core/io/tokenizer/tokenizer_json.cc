#include "core/io/tokenizer/tokenizer_json.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "core/io/quoted.h"
#include "core/io/tokenizer/json_node.h"
#include "core/io/tokenizer/tokenizer_json_parts.h"

namespace caracal {
namespace tokenizer_json {
namespace {

// Sequences may hold sequences; real files go two deep.
constexpr int kMaxDepth = 8;

}  // namespace

absl::Status Unsupported(const JsonNode& part, absl::string_view message) {
  return absl::UnimplementedError(part.Error(message).message());
}

absl::Status ReadPart(absl::Span<const Kind> kinds, const JsonNode& part,
                      int depth, Builder* builder) {
  if (depth > kMaxDepth) return part.Error("sequences are nested too deep");
  ASSIGN_OR_RETURN(const std::string type, part.StringMember("type"));
  for (const Kind& kind : kinds) {
    if (type == kind.name) return kind.read(part, depth, builder);
  }
  const auto add_name = [](std::string* out, const Kind& kind) {
    out->append(kind.name);
  };
  return Unsupported(part, absl::StrCat("kind ", Quoted(type),
                                        " is not supported; supported: ",
                                        absl::StrJoin(kinds, ", ", add_name)));
}

absl::Status ReadSequence(absl::Span<const Kind> kinds, const JsonNode& part,
                          const std::string& name, int depth,
                          Builder* builder) {
  ASSIGN_OR_RETURN(const std::vector<JsonNode> elements, part.Elements(name));
  for (const JsonNode& element : elements) {
    RETURN_IF_ERROR(ReadPart(kinds, element, depth + 1, builder));
  }
  return absl::OkStatus();
}

}  // namespace tokenizer_json

namespace {

using tokenizer_json::Builder;

// Ids may have holes, but a wild id must not cost gigabytes.
constexpr int32_t kMaxIdSlack = 65536;
constexpr size_t kMaxTokens = 1 << 28;

// Ids are bounded by how many tokens the file lists.
absl::StatusOr<int32_t> MaxId(const JsonNode& root, const JsonNode& model) {
  size_t tokens = 0;
  if (model.Has("vocab")) tokens += model.value()["vocab"].size();
  if (root.Has("added_tokens")) tokens += root.value()["added_tokens"].size();
  if (tokens > kMaxTokens) return model.Error("the vocabulary is too large");
  return static_cast<int32_t>(2 * tokens) + kMaxIdSlack;
}

absl::Status ReadAddedTokens(const JsonNode& root, Builder* builder) {
  if (!root.Has("added_tokens")) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<JsonNode> tokens,
                   root.Elements("added_tokens"));
  for (const JsonNode& node : tokens) {
    AddedToken token;
    ASSIGN_OR_RETURN(const JsonNode id, node.Member("id"));
    ASSIGN_OR_RETURN(token.id, id.Id(builder->max_id));
    ASSIGN_OR_RETURN(token.content, node.StringMember("content"));
    ASSIGN_OR_RETURN(token.special, node.BoolMember("special", false));
    ASSIGN_OR_RETURN(token.lstrip, node.BoolMember("lstrip", false));
    ASSIGN_OR_RETURN(token.rstrip, node.BoolMember("rstrip", false));
    ASSIGN_OR_RETURN(token.single_word, node.BoolMember("single_word", false));
    ASSIGN_OR_RETURN(token.normalized,
                     node.BoolMember("normalized", !token.special));
    builder->spec.added.push_back(std::move(token));
  }
  return absl::OkStatus();
}

absl::Status ReadOptional(const JsonNode& root, const std::string& name,
                          absl::Status (*read)(const JsonNode&, Builder*),
                          Builder* builder) {
  if (!root.Has(name)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const JsonNode part, root.Member(name));
  return read(part, builder);
}

}  // namespace

absl::StatusOr<TokenizerSpec> ParseTokenizerJson(absl::string_view json,
                                                 const std::string& file) {
  ASSIGN_OR_RETURN(const nlohmann::json document, ParseJson(json, file));
  const JsonNode root(&document, &file);
  Builder builder;
  builder.spec.source = file;
  ASSIGN_OR_RETURN(const JsonNode model, root.Member("model"));
  ASSIGN_OR_RETURN(builder.max_id, MaxId(root, model));
  RETURN_IF_ERROR(tokenizer_json::ReadModel(model, &builder));
  RETURN_IF_ERROR(ReadAddedTokens(root, &builder));
  RETURN_IF_ERROR(ReadOptional(root, "normalizer",
                               tokenizer_json::ReadNormalizer, &builder));
  RETURN_IF_ERROR(ReadOptional(root, "pre_tokenizer",
                               tokenizer_json::ReadPreTokenizer, &builder));
  RETURN_IF_ERROR(ReadOptional(root, "post_processor",
                               tokenizer_json::ReadPostProcessor, &builder));
  RETURN_IF_ERROR(
      ReadOptional(root, "decoder", tokenizer_json::ReadDecoder, &builder));
  const char* missing = !builder.byte_level           ? "pre_tokenizer"
                        : !builder.byte_level_decoder ? "decoder"
                                                      : nullptr;
  if (missing != nullptr) {
    return absl::UnimplementedError(
        absl::StrCat(file, ": ", missing,
                     ": no ByteLevel; only byte-level BPE is supported"));
  }
  return std::move(builder.spec);
}

}  // namespace caracal
