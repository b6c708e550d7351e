// Models of tokenizer.json: vocabulary and merges.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "core/base/status.h"
#include "core/io/quoted.h"
#include "core/io/tokenizer/tokenizer_json_parts.h"

namespace caracal::tokenizer_json {
namespace {

absl::Status ReadVocab(const JsonNode& model, Builder* builder) {
  ASSIGN_OR_RETURN(const JsonNode vocab, model.Member("vocab"));
  if (!vocab.value().is_object()) {
    return vocab.Error("an object of tokens and their ids expected");
  }
  std::vector<std::string>& tokens = builder->spec.vocab;
  for (const auto& [token, value] : vocab.value().items()) {
    ASSIGN_OR_RETURN(const int32_t id,
                     vocab.Child(&value, Quoted(token)).Id(builder->max_id));
    if (id >= tokens.size()) tokens.resize(id + 1);
    if (!tokens[id].empty()) {
      return vocab.Error(absl::StrCat("id ", id, " is given twice: to ",
                                      Quoted(tokens[id]), " and ",
                                      Quoted(token)));
    }
    tokens[id] = token;
  }
  return absl::OkStatus();
}

absl::Status ReadMerges(const JsonNode& model, Builder* builder) {
  ASSIGN_OR_RETURN(const std::vector<JsonNode> merges,
                   model.Elements("merges"));
  auto& out = builder->spec.merges;
  out.reserve(merges.size());
  for (const JsonNode& merge : merges) {
    const nlohmann::json& value = merge.value();
    if (value.is_string()) {
      const auto& text = value.get_ref<const std::string&>();
      if (text.rfind("#version", 0) == 0) continue;  // the old merges.txt
      std::pair<absl::string_view, absl::string_view> pair =
          absl::StrSplit(text, absl::MaxSplits(' ', 1));
      if (pair.first.empty() || pair.second.empty() ||
          absl::StrContains(pair.second, ' ')) {
        return merge.Error(absl::StrCat(
            "two tokens with a space between expected, not ", Quoted(text)));
      }
      out.emplace_back(std::string(pair.first), std::string(pair.second));
    } else if (value.is_array() && value.size() == 2 && value[0].is_string() &&
               value[1].is_string()) {
      out.emplace_back(value[0].get<std::string>(),
                       value[1].get<std::string>());
    } else {
      return merge.Error("a string \"a b\" or a pair of strings expected");
    }
  }
  return absl::OkStatus();
}

// Fields of BPE that change ids in ways we don't follow.
absl::Status RefuseBpeVariants(const JsonNode& model) {
  ASSIGN_OR_RETURN(const bool fallback,
                   model.BoolMember("byte_fallback", false));
  std::optional<std::string> refused;
  if (fallback) refused = "byte_fallback";
  if (model.Has("dropout") && model.value()["dropout"] != 0) {
    refused = "dropout";
  }
  for (const char* name : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!model.Has(name)) continue;
    ASSIGN_OR_RETURN(const std::string value, model.StringMember(name));
    if (!value.empty()) refused = name;
  }
  if (!refused.has_value()) return absl::OkStatus();
  return Unsupported(model, absl::StrCat(*refused, " is not supported"));
}

absl::Status ReadBpe(const JsonNode& model, int, Builder* builder) {
  RETURN_IF_ERROR(RefuseBpeVariants(model));
  RETURN_IF_ERROR(ReadVocab(model, builder));
  RETURN_IF_ERROR(ReadMerges(model, builder));
  TokenizerSpec& spec = builder->spec;
  ASSIGN_OR_RETURN(spec.ignore_merges,
                   model.BoolMember("ignore_merges", false));
  ASSIGN_OR_RETURN(spec.fuse_unknown, model.BoolMember("fuse_unk", false));
  if (model.Has("unk_token")) {
    ASSIGN_OR_RETURN(const std::string token, model.StringMember("unk_token"));
    const auto it = std::find(spec.vocab.begin(), spec.vocab.end(), token);
    if (token.empty() || it == spec.vocab.end()) {
      return model.Error(absl::StrCat("unk_token ", Quoted(token),
                                      " is not in the vocabulary"));
    }
    spec.unknown_id = static_cast<int32_t>(it - spec.vocab.begin());
  }
  return absl::OkStatus();
}

constexpr Kind kModels[] = {{"BPE", ReadBpe}};

}  // namespace

absl::Status ReadModel(const JsonNode& model, Builder* builder) {
  // Files of before 2021 name no type.
  if (!model.Has("type")) return ReadBpe(model, 0, builder);
  return ReadPart(kModels, model, 0, builder);
}

}  // namespace caracal::tokenizer_json
