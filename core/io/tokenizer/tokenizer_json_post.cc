// Post-processors and decoders of tokenizer.json.
#include <string>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/io/tokenizer/tokenizer_json_parts.h"

namespace caracal::tokenizer_json {
namespace {

// ---- Post-processor ----

absl::Status ReadPostProcessorSequence(const JsonNode&, int, Builder*);

// Moves offsets, which we don't have; ids stay.
absl::Status ReadByteLevelPostProcessor(const JsonNode&, int, Builder*) {
  return absl::OkStatus();
}

absl::Status ReadTemplate(const JsonNode& part, int, Builder* builder) {
  ASSIGN_OR_RETURN(const std::vector<JsonNode> pieces, part.Elements("single"));
  std::vector<int32_t> before;
  std::vector<int32_t> after;
  int sequences = 0;
  for (const JsonNode& piece : pieces) {
    if (piece.Has("Sequence")) {
      ++sequences;
      continue;
    }
    ASSIGN_OR_RETURN(const JsonNode special, piece.Member("SpecialToken"));
    ASSIGN_OR_RETURN(const std::string name, special.StringMember("id"));
    ASSIGN_OR_RETURN(const JsonNode all, part.Member("special_tokens"));
    ASSIGN_OR_RETURN(const JsonNode token, all.Member(name));
    ASSIGN_OR_RETURN(const std::vector<JsonNode> ids, token.Elements("ids"));
    for (const JsonNode& node : ids) {
      ASSIGN_OR_RETURN(const int32_t id, node.Id(builder->max_id));
      (sequences == 0 ? before : after).push_back(id);
    }
  }
  if (sequences != 1) {
    return part.Error(absl::StrCat("\"single\" has ", sequences,
                                   " sequences; one is supported"));
  }
  if (builder->post_template) {
    return Unsupported(part, "a second TemplateProcessing is not supported");
  }
  builder->post_template = true;
  builder->spec.prefix_ids = std::move(before);
  builder->spec.suffix_ids = std::move(after);
  return absl::OkStatus();
}

constexpr Kind kPostProcessors[] = {
    {"Sequence", ReadPostProcessorSequence},
    {"ByteLevel", ReadByteLevelPostProcessor},
    {"TemplateProcessing", ReadTemplate},
};

absl::Status ReadPostProcessorSequence(const JsonNode& part, int depth,
                                       Builder* builder) {
  return ReadSequence(kPostProcessors, part, "processors", depth, builder);
}

// ---- Decoder ----

absl::Status ReadDecoderSequence(const JsonNode&, int, Builder*);

absl::Status ReadByteLevelDecoder(const JsonNode&, int, Builder* builder) {
  builder->byte_level_decoder = true;
  return absl::OkStatus();
}

constexpr Kind kDecoders[] = {
    {"Sequence", ReadDecoderSequence},
    {"ByteLevel", ReadByteLevelDecoder},
};

absl::Status ReadDecoderSequence(const JsonNode& part, int depth,
                                 Builder* builder) {
  return ReadSequence(kDecoders, part, "decoders", depth, builder);
}

}  // namespace

absl::Status ReadPostProcessor(const JsonNode& part, Builder* builder) {
  return ReadPart(kPostProcessors, part, 0, builder);
}

absl::Status ReadDecoder(const JsonNode& part, Builder* builder) {
  return ReadPart(kDecoders, part, 0, builder);
}

}  // namespace caracal::tokenizer_json
