// Normalizers and pre-tokenizers of tokenizer.json.
#include <string>
#include <utility>

#include "core/base/status.h"
#include "core/io/quoted.h"
#include "core/io/tokenizer/regex.h"
#include "core/io/tokenizer/tokenizer_json_parts.h"

namespace caracal::tokenizer_json {
namespace {

// ---- Normalizer ----

absl::Status ReadNormalizerSequence(const JsonNode&, int, Builder*);

absl::Status ReadPrepend(const JsonNode& part, int, Builder* builder) {
  NormalizerStep step{NormalizerStep::Kind::kPrepend, "", ""};
  ASSIGN_OR_RETURN(step.to, part.StringMember("prepend"));
  builder->spec.normalizer.push_back(std::move(step));
  return absl::OkStatus();
}

absl::Status ReadReplace(const JsonNode& part, int, Builder* builder) {
  NormalizerStep step{NormalizerStep::Kind::kReplace, "", ""};
  ASSIGN_OR_RETURN(const JsonNode pattern, part.Member("pattern"));
  if (!pattern.Has("String")) {
    return pattern.Error("only a \"String\" is supported here");
  }
  ASSIGN_OR_RETURN(step.from, pattern.StringMember("String"));
  if (step.from.empty()) return pattern.Error("the string is empty");
  ASSIGN_OR_RETURN(step.to, part.StringMember("content"));
  builder->spec.normalizer.push_back(std::move(step));
  return absl::OkStatus();
}

constexpr Kind kNormalizers[] = {
    {"Sequence", ReadNormalizerSequence},
    {"Prepend", ReadPrepend},
    {"Replace", ReadReplace},
};

absl::Status ReadNormalizerSequence(const JsonNode& part, int depth,
                                    Builder* builder) {
  return ReadSequence(kNormalizers, part, "normalizers", depth, builder);
}

// ---- Pre-tokenizer ----

absl::Status ReadPreTokenizerSequence(const JsonNode&, int, Builder*);

absl::Status AddStep(const JsonNode& part, PreTokenizerStep::Kind kind,
                     std::string pattern, Builder* builder) {
  // Behind ByteLevel a step would see the byte alphabet, not text.
  if (builder->byte_level) {
    return part.Error("a step behind ByteLevel is not supported");
  }
  builder->spec.pre_tokenizer.push_back({kind, std::move(pattern)});
  return absl::OkStatus();
}

absl::Status ReadDigits(const JsonNode& part, int, Builder* builder) {
  ASSIGN_OR_RETURN(const bool individual,
                   part.BoolMember("individual_digits", false));
  return AddStep(part, PreTokenizerStep::Kind::kSplit,
                 absl::StrCat(kDigitPattern, individual ? "" : "+"), builder);
}

absl::Status ReadByteLevel(const JsonNode& part, int, Builder* builder) {
  ASSIGN_OR_RETURN(const bool prefix_space,
                   part.BoolMember("add_prefix_space", true));
  ASSIGN_OR_RETURN(const bool use_regex, part.BoolMember("use_regex", true));
  if (prefix_space) {
    RETURN_IF_ERROR(
        AddStep(part, PreTokenizerStep::Kind::kPrefixSpace, "", builder));
  }
  if (use_regex) {
    RETURN_IF_ERROR(
        AddStep(part, PreTokenizerStep::Kind::kSplit, kGpt2Pattern, builder));
  }
  if (builder->byte_level) return part.Error("ByteLevel is there twice");
  builder->byte_level = true;
  return absl::OkStatus();
}

absl::Status ReadSplit(const JsonNode& part, int, Builder* builder) {
  ASSIGN_OR_RETURN(const std::string behavior, part.StringMember("behavior"));
  ASSIGN_OR_RETURN(const bool invert, part.BoolMember("invert", false));
  // With Isolated, matches and gaps are both kept: inverting changes nothing.
  static_cast<void>(invert);
  if (behavior != "Isolated") {
    return Unsupported(
        part, absl::StrCat("behavior ", Quoted(behavior),
                           " of Split is not supported; supported: Isolated"));
  }
  ASSIGN_OR_RETURN(const JsonNode pattern, part.Member("pattern"));
  std::string regex;
  if (pattern.Has("String")) {
    ASSIGN_OR_RETURN(const std::string text, pattern.StringMember("String"));
    regex = EscapeRegex(text);
  } else {
    ASSIGN_OR_RETURN(regex, pattern.StringMember("Regex"));
  }
  return AddStep(part, PreTokenizerStep::Kind::kSplit, std::move(regex),
                 builder);
}

constexpr Kind kPreTokenizers[] = {
    {"Sequence", ReadPreTokenizerSequence},
    {"Digits", ReadDigits},
    {"ByteLevel", ReadByteLevel},
    {"Split", ReadSplit},
};

absl::Status ReadPreTokenizerSequence(const JsonNode& part, int depth,
                                      Builder* builder) {
  return ReadSequence(kPreTokenizers, part, "pretokenizers", depth, builder);
}

}  // namespace

absl::Status ReadNormalizer(const JsonNode& part, Builder* builder) {
  return ReadPart(kNormalizers, part, 0, builder);
}

absl::Status ReadPreTokenizer(const JsonNode& part, Builder* builder) {
  return ReadPart(kPreTokenizers, part, 0, builder);
}

}  // namespace caracal::tokenizer_json
