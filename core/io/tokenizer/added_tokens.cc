#include "core/io/tokenizer/added_tokens.h"

#include <algorithm>

#include "core/base/status.h"
#include "core/io/tokenizer/unicode.h"

namespace caracal {
namespace {

// Whether `text` is one word character. Unlike \w of patterns (regex.h), a
// joiner is one: Hugging Face uses another engine here.
bool IsWordChar(absl::string_view text) {
  static const Regex* const word = [] {
    auto regex = Regex::Compile(
        "\\A[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]\\z");
    CARACAL_CHECK(regex.ok()) << regex.status().ToString();
    return regex->release();
  }();
  RegexState state;
  const auto match = word->Find(text, 0, &state);
  return match.ok() && match->found;
}

// The last character of a text that is not empty.
absl::string_view LastChar(absl::string_view text) {
  size_t begin = text.size() - 1;
  while (begin > 0 && (text[begin] & 0xC0) == 0x80) --begin;
  return text.substr(begin);
}

bool EndsWithWord(absl::string_view text) {
  return !text.empty() && IsWordChar(LastChar(text));
}

bool StartsWithWord(absl::string_view text) {
  return !text.empty() &&
         IsWordChar(text.substr(0, DecodeUtf8Char(text).length));
}

// Bytes of white space at the end of `text`.
size_t TrailingSpace(absl::string_view text) {
  size_t bytes = 0;
  while (bytes < text.size()) {
    const absl::string_view last =
        LastChar(text.substr(0, text.size() - bytes));
    if (!IsWhiteSpace(DecodeUtf8Char(last).code_point)) break;
    bytes += last.size();
  }
  return bytes;
}

size_t LeadingSpace(absl::string_view text) {
  size_t bytes = 0;
  while (bytes < text.size()) {
    const Utf8Char c = DecodeUtf8Char(text.substr(bytes));
    if (!IsWhiteSpace(c.code_point)) break;
    bytes += c.length;
  }
  return bytes;
}

}  // namespace

AddedTokenFinder::AddedTokenFinder(const std::vector<AddedToken>& tokens)
    : token_at_{-1} {
  for (const AddedToken& token : tokens) {
    if (token.content.empty()) continue;
    uint32_t node = 0;
    for (const char c : token.content) {
      const uint64_t edge = uint64_t{node} << 8 | static_cast<uint8_t>(c);
      const auto [it, added] =
          edges_.try_emplace(edge, static_cast<uint32_t>(token_at_.size()));
      if (added) token_at_.push_back(-1);
      node = it->second;
    }
    starts_[static_cast<uint8_t>(token.content[0])] = true;
    token_at_[node] = static_cast<int32_t>(tokens_.size());
    tokens_.push_back(token);
  }
}

AddedTokenFinder::Hit AddedTokenFinder::Next(absl::string_view text,
                                             size_t start) const {
  for (size_t begin = start; begin < text.size(); ++begin) {
    if (!starts_[static_cast<uint8_t>(text[begin])]) continue;
    uint32_t node = 0;
    Hit hit = {nullptr, begin, begin};
    for (size_t i = begin; i < text.size(); ++i) {
      const auto it =
          edges_.find(uint64_t{node} << 8 | static_cast<uint8_t>(text[i]));
      if (it == edges_.end()) break;
      node = it->second;
      if (token_at_[node] >= 0) hit = {&tokens_[token_at_[node]], begin, i + 1};
    }
    if (hit.token != nullptr) return hit;
  }
  return {nullptr, text.size(), text.size()};
}

absl::Status AddedTokenFinder::Split(
    absl::string_view text, bool parse_special,
    absl::FunctionRef<absl::Status(const Part&)> emit) const {
  size_t done = 0;  // bytes given out
  size_t from = 0;  // where to look on; may be behind `done` after rstrip
  while (!tokens_.empty()) {
    const Hit hit = Next(text, from);
    if (hit.token == nullptr) break;
    from = hit.end;
    const AddedToken& token = *hit.token;
    if (token.special && !parse_special) continue;
    if (token.single_word && (EndsWithWord(text.substr(0, hit.begin)) ||
                              StartsWithWord(text.substr(hit.end)))) {
      continue;
    }
    size_t begin = hit.begin;
    size_t end = hit.end;
    if (token.lstrip) {
      begin = std::max(begin - TrailingSpace(text.substr(0, begin)), done);
    }
    if (token.rstrip) end += LeadingSpace(text.substr(end));
    if (done < begin) {
      RETURN_IF_ERROR(emit({text.substr(done, begin - done), -1}));
    }
    RETURN_IF_ERROR(emit({text.substr(begin, end - begin), token.id}));
    done = end;
  }
  if (done < text.size()) return emit({text.substr(done), -1});
  return absl::OkStatus();
}

}  // namespace caracal
