#include "core/io/tokenizer/tokenizer.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/base/status.h"
#include "core/io/quoted.h"
#include "core/io/tokenizer/byte_alphabet.h"
#include "core/io/tokenizer/fingerprint.h"
#include "core/io/tokenizer/normalizer.h"
#include "core/io/tokenizer/unicode.h"

namespace caracal {
namespace {

std::vector<AddedToken> TokensWhere(const TokenizerSpec& spec,
                                    bool normalized) {
  std::vector<AddedToken> out;
  for (const AddedToken& token : spec.added) {
    if (token.normalized != normalized) continue;
    out.push_back(token);
    if (normalized) {
      out.back().content = Normalize(spec.normalizer, token.content);
    }
  }
  return out;
}

// Bytes at the start of `text` that are no part of a valid character.
size_t InvalidUtf8Prefix(absl::string_view text) {
  size_t bytes = 0;
  while (bytes < text.size()) {
    const Utf8Char c = DecodeUtf8Char(text.substr(bytes));
    if (c.valid) break;
    bytes += c.length;
  }
  return bytes;
}

// The ids named outside of the vocabulary are in it.
absl::Status CheckIds(const TokenizerSpec& spec, int32_t vocab_size) {
  const auto check = [vocab_size](int32_t id, absl::string_view what) {
    if (id >= -1 && id < vocab_size) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat(what, " id ", id, " is not in the vocabulary of ",
                     vocab_size, " tokens"));
  };
  RETURN_IF_ERROR(check(spec.bos_id, "BOS"));
  RETURN_IF_ERROR(check(spec.eos_id, "EOS"));
  RETURN_IF_ERROR(check(spec.unknown_id, "unknown-token"));
  for (const auto* ids : {&spec.prefix_ids, &spec.suffix_ids}) {
    for (const int32_t id : *ids) {
      RETURN_IF_ERROR(check(id, "post-processor"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> Tokenizer::Create(
    TokenizerSpec spec) {
  auto pre_tokenizer = PreTokenizer::Create(spec.pre_tokenizer);
  if (!pre_tokenizer.ok()) {
    return Annotate(pre_tokenizer.status(),
                    absl::StrCat(spec.source, ": pre_tokenizer"));
  }
  auto bpe = BpeModel::Create(spec);
  if (!bpe.ok()) return Annotate(bpe.status(), spec.source);
  std::unique_ptr<Tokenizer> tokenizer(new Tokenizer(
      std::move(spec), *std::move(pre_tokenizer), *std::move(bpe)));
  const absl::Status status = tokenizer->AddTokens();
  if (!status.ok()) return Annotate(status, tokenizer->source());
  return tokenizer;
}

Tokenizer::Tokenizer(TokenizerSpec spec, PreTokenizer pre_tokenizer,
                     BpeModel bpe)
    : spec_(std::move(spec)),
      pre_tokenizer_(std::move(pre_tokenizer)),
      bpe_(std::move(bpe)),
      raw_tokens_(TokensWhere(spec_, false)),
      normalized_tokens_(TokensWhere(spec_, true)),
      fingerprint_(FingerprintOf(spec_)) {}

absl::Status Tokenizer::AddTokens() {
  size_t count = spec_.vocab.size();
  for (const AddedToken& token : spec_.added) {
    if (token.id < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("added token ", Quoted(token.content),
                       " has the negative id ", token.id));
    }
    count = std::max(count, static_cast<size_t>(token.id) + 1);
  }
  tokens_.resize(count);
  for (size_t id = 0; id < spec_.vocab.size(); ++id) {
    tokens_[id].name = std::move(spec_.vocab[id]);
  }
  spec_.vocab = {};
  spec_.merges = {};
  for (const AddedToken& added : spec_.added) {
    Token& token = tokens_[added.id];
    if (!token.name.empty() && token.name != added.content) {
      return absl::InvalidArgumentError(
          absl::StrCat("added token ", Quoted(added.content), " has the id ",
                       added.id, " of the token ", Quoted(token.name)));
    }
    token.name = added.content;
    token.special = token.special || added.special;
    // What Hugging Face decodes such a token to, too.
    if (added.normalized) {
      token.bytes = Normalize(spec_.normalizer, added.content);
    }
  }
  for (size_t id = 0; id < tokens_.size(); ++id) {
    Token& token = tokens_[id];
    if (token.name.empty()) continue;
    if (token.bytes.empty()) token.bytes = token.name;
    token.bytes = BytesOfAlphabet(token.bytes).value_or(token.bytes);
    const auto [it, added] =
        ids_.try_emplace(token.name, static_cast<int32_t>(id));
    if (!added) {
      return absl::InvalidArgumentError(
          absl::StrCat("token ", Quoted(token.name),
                       " has two ids: ", it->second, " and ", id));
    }
  }
  return CheckIds(spec_, vocab_size());
}

std::unique_ptr<Tokenizer::Scratch> Tokenizer::TakeScratch() const {
  absl::MutexLock lock(&mutex_);
  if (pool_.empty()) return std::make_unique<Scratch>();
  std::unique_ptr<Scratch> scratch = std::move(pool_.back());
  pool_.pop_back();
  return scratch;
}

void Tokenizer::GiveBack(std::unique_ptr<Scratch> scratch) const {
  absl::MutexLock lock(&mutex_);
  pool_.push_back(std::move(scratch));
}

absl::StatusOr<std::vector<int32_t>> Tokenizer::Encode(
    absl::string_view text, const EncodeOptions& options) const {
  std::vector<int32_t> ids;
  RETURN_IF_ERROR(Encode(text, options, &ids));
  return ids;
}

absl::Status Tokenizer::Encode(absl::string_view text,
                               const EncodeOptions& options,
                               std::vector<int32_t>* ids) const {
  if (text.size() >= std::numeric_limits<int32_t>::max()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a text of ", text.size(), " bytes: one call encodes less than 2 GiB"));
  }
  const size_t begin = ids->size();
  if (options.add_special) {
    ids->insert(ids->end(), spec_.prefix_ids.begin(), spec_.prefix_ids.end());
  }
  std::unique_ptr<Scratch> scratch = TakeScratch();
  const absl::Status status =
      EncodeParts(text, options.parse_special, scratch.get(), ids);
  GiveBack(std::move(scratch));
  if (!status.ok()) {
    ids->resize(begin);
    return Annotate(status, source());
  }
  if (options.add_special) {
    ids->insert(ids->end(), spec_.suffix_ids.begin(), spec_.suffix_ids.end());
  }
  return absl::OkStatus();
}

absl::Status Tokenizer::EncodeParts(absl::string_view text, bool parse_special,
                                    Scratch* scratch,
                                    std::vector<int32_t>* ids) const {
  while (!text.empty()) {
    const size_t valid = ValidUtf8Prefix(text);
    RETURN_IF_ERROR(
        EncodeValid(text.substr(0, valid), parse_special, scratch, ids));
    text.remove_prefix(valid);
    const size_t invalid = InvalidUtf8Prefix(text);
    if (invalid == 0) continue;
    bpe_.Encode(text.substr(0, invalid), &scratch->bpe, ids);
    text.remove_prefix(invalid);
  }
  return absl::OkStatus();
}

absl::Status Tokenizer::EncodeValid(absl::string_view text, bool parse_special,
                                    Scratch* scratch,
                                    std::vector<int32_t>* ids) const {
  return raw_tokens_.Split(
      text, parse_special, [&](const AddedTokenFinder::Part& part) {
        if (part.id >= 0) {
          ids->push_back(part.id);
          return absl::OkStatus();
        }
        if (spec_.normalizer.empty()) {
          return EncodeNormalized(part.text, parse_special, scratch, ids);
        }
        return EncodeNormalized(Normalize(spec_.normalizer, part.text),
                                parse_special, scratch, ids);
      });
}

absl::Status Tokenizer::EncodeNormalized(absl::string_view text,
                                         bool parse_special, Scratch* scratch,
                                         std::vector<int32_t>* ids) const {
  return normalized_tokens_.Split(
      text, parse_special, [&](const AddedTokenFinder::Part& part) {
        if (part.id < 0) return EncodeWords(part.text, scratch, ids);
        ids->push_back(part.id);
        return absl::OkStatus();
      });
}

absl::Status Tokenizer::EncodeWords(absl::string_view text, Scratch* scratch,
                                    std::vector<int32_t>* ids) const {
  return pre_tokenizer_.Split(
      text, &scratch->regex,
      [&](absl::string_view word) { bpe_.Encode(word, &scratch->bpe, ids); });
}

std::string Tokenizer::Decode(absl::Span<const int32_t> ids,
                              bool skip_special) const {
  std::string bytes = DecodeBytes(ids, skip_special);
  if (ValidUtf8Prefix(bytes) == bytes.size()) return bytes;
  return ReplaceInvalidUtf8(bytes);
}

std::string Tokenizer::DecodeBytes(absl::Span<const int32_t> ids,
                                   bool skip_special) const {
  std::string out;
  for (const int32_t id : ids) {
    if (skip_special && IsSpecial(id)) continue;
    const absl::string_view bytes = BytesOf(id);
    out.append(bytes.data(), bytes.size());
  }
  return out;
}

std::optional<int32_t> Tokenizer::IdOf(absl::string_view token) const {
  const auto it = ids_.find(token);
  if (it == ids_.end()) return std::nullopt;
  return it->second;
}

absl::string_view Tokenizer::TokenOf(int32_t id) const {
  if (id < 0 || id >= vocab_size()) return "";
  return tokens_[id].name;
}

absl::string_view Tokenizer::BytesOf(int32_t id) const {
  if (id < 0 || id >= vocab_size()) return "";
  return tokens_[id].bytes;
}

bool Tokenizer::IsSpecial(int32_t id) const {
  return id >= 0 && id < vocab_size() && tokens_[id].special;
}

}  // namespace caracal
