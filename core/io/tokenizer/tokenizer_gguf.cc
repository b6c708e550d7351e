#include "core/io/tokenizer/tokenizer_gguf.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/base/status.h"
#include "core/io/quoted.h"

namespace caracal {
namespace {

constexpr char kModelKey[] = "tokenizer.ggml.model";
constexpr char kPreKey[] = "tokenizer.ggml.pre";
constexpr char kTokensKey[] = "tokenizer.ggml.tokens";
constexpr char kTypesKey[] = "tokenizer.ggml.token_type";
constexpr char kMergesKey[] = "tokenizer.ggml.merges";

// Values of `token_type` that are added tokens.
constexpr int64_t kControlToken = 3;
constexpr int64_t kUserDefinedToken = 4;

// As Meta publishes it with Llama 3.
constexpr char kLlama3Pattern[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

// What a value of `tokenizer.ggml.pre` means.
struct PreType {
  const char* name;
  std::vector<const char*> patterns;  // one split each
  bool ignore_merges;
  bool add_bos;  // where the file doesn't say
};

const std::vector<PreType>& PreTypes() {
  static const auto* const types = new std::vector<PreType>{
      {"gpt-2", {kGpt2Pattern}, false, false},
      {"olmo", {kGpt2Pattern}, false, false},
      {"smollm", {kDigitPattern, kGpt2Pattern}, false, false},
      {"llama-bpe", {kLlama3Pattern}, true, true},
  };
  return *types;
}

absl::StatusOr<const PreType*> FindPreType(const GgufFile& file) {
  // Absent in files of before 2024, whose split can only be guessed.
  ASSIGN_OR_RETURN(const absl::string_view name, file.GetString(kPreKey));
  for (const PreType& type : PreTypes()) {
    if (name == type.name) return &type;
  }
  const auto add_name = [](std::string* out, const PreType& type) {
    out->append(type.name);
  };
  return absl::UnimplementedError(
      absl::StrCat(file.path(), ": ", kPreKey, ": kind ", Quoted(name),
                   " is not supported; supported: ",
                   absl::StrJoin(PreTypes(), ", ", add_name)));
}

absl::Status ReadTokens(const GgufFile& file, TokenizerSpec* spec) {
  ASSIGN_OR_RETURN(const std::vector<absl::string_view> tokens,
                   file.GetStringArray(kTokensKey));
  spec->vocab.reserve(tokens.size());
  for (const absl::string_view token : tokens) spec->vocab.emplace_back(token);
  if (!file.Has(kTypesKey)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<int64_t> types,
                   file.GetIntArray(kTypesKey));
  if (types.size() != tokens.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(file.path(), ": ", kTypesKey, ": ", types.size(),
                     " entries, but ", kTokensKey, " has ", tokens.size()));
  }
  for (size_t id = 0; id < types.size(); ++id) {
    if (types[id] != kControlToken && types[id] != kUserDefinedToken) continue;
    AddedToken token;
    token.id = static_cast<int32_t>(id);
    token.content = spec->vocab[id];
    token.special = types[id] == kControlToken;
    spec->added.push_back(std::move(token));
  }
  return absl::OkStatus();
}

absl::Status ReadMerges(const GgufFile& file, TokenizerSpec* spec) {
  ASSIGN_OR_RETURN(const std::vector<absl::string_view> merges,
                   file.GetStringArray(kMergesKey));
  spec->merges.reserve(merges.size());
  for (size_t i = 0; i < merges.size(); ++i) {
    const std::pair<absl::string_view, absl::string_view> pair =
        absl::StrSplit(merges[i], absl::MaxSplits(' ', 1));
    if (pair.first.empty() || pair.second.empty() ||
        absl::StrContains(pair.second, ' ')) {
      return absl::InvalidArgumentError(
          absl::StrCat(file.path(), ": ", kMergesKey, "[", i,
                       "]: two tokens with a space between expected, not ",
                       Quoted(merges[i])));
    }
    spec->merges.emplace_back(std::string(pair.first),
                              std::string(pair.second));
  }
  return absl::OkStatus();
}

// An id of the vocabulary, or -1 where the key is absent.
absl::Status ReadId(const GgufFile& file, absl::string_view key,
                    size_t vocab_size, int32_t* id) {
  if (!file.Has(key)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const int64_t value, file.GetInt(key));
  if (value < 0 || value >= static_cast<int64_t>(vocab_size)) {
    return absl::InvalidArgumentError(
        absl::StrCat(file.path(), ": ", key, ": ", value,
                     " is not an id of the ", vocab_size, " tokens"));
  }
  *id = static_cast<int32_t>(value);
  return absl::OkStatus();
}

absl::StatusOr<bool> ReadFlag(const GgufFile& file, absl::string_view key,
                              bool if_missing) {
  if (!file.Has(key)) return if_missing;
  return file.GetBool(key);
}

}  // namespace

absl::StatusOr<TokenizerSpec> ReadGgufTokenizer(const GgufFile& file) {
  ASSIGN_OR_RETURN(const absl::string_view model, file.GetString(kModelKey));
  if (model != "gpt2") {
    return absl::UnimplementedError(
        absl::StrCat(file.path(), ": ", kModelKey, ": kind ", Quoted(model),
                     " is not supported; supported: gpt2"));
  }
  ASSIGN_OR_RETURN(const PreType* pre, FindPreType(file));
  TokenizerSpec spec;
  spec.source = file.path();
  RETURN_IF_ERROR(ReadTokens(file, &spec));
  RETURN_IF_ERROR(ReadMerges(file, &spec));
  const size_t vocab_size = spec.vocab.size();
  RETURN_IF_ERROR(
      ReadId(file, "tokenizer.ggml.bos_token_id", vocab_size, &spec.bos_id));
  RETURN_IF_ERROR(
      ReadId(file, "tokenizer.ggml.eos_token_id", vocab_size, &spec.eos_id));
  spec.ignore_merges = pre->ignore_merges;
  ASSIGN_OR_RETURN(const bool prefix_space,
                   ReadFlag(file, "tokenizer.ggml.add_space_prefix", false));
  for (const char* pattern : pre->patterns) {
    // As with add_prefix_space, which ByteLevel applies before its own split.
    if (prefix_space && pattern == pre->patterns.back()) {
      spec.pre_tokenizer.push_back({PreTokenizerStep::Kind::kPrefixSpace, ""});
    }
    spec.pre_tokenizer.push_back({PreTokenizerStep::Kind::kSplit, pattern});
  }
  ASSIGN_OR_RETURN(
      const bool add_bos,
      ReadFlag(file, "tokenizer.ggml.add_bos_token", pre->add_bos));
  ASSIGN_OR_RETURN(const bool add_eos,
                   ReadFlag(file, "tokenizer.ggml.add_eos_token", false));
  if (add_bos && spec.bos_id >= 0) spec.prefix_ids = {spec.bos_id};
  if (add_eos && spec.eos_id >= 0) spec.suffix_ids = {spec.eos_id};
  return spec;
}

}  // namespace caracal
