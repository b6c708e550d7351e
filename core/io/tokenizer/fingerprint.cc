#include "core/io/tokenizer/fingerprint.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cstdint>
#include <map>

#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

namespace caracal {
namespace {

// Every field with its length or width, so that no two specs can give the same
// bytes.
class Serializer {
 public:
  void Add(int64_t value) {
    for (int shift = 0; shift < 64; shift += 8) {
      out_.push_back(static_cast<char>(value >> shift & 0xFF));
    }
  }
  void Add(absl::string_view text) {
    Add(static_cast<int64_t>(text.size()));
    out_.append(text.data(), text.size());
  }
  const std::string& out() const { return out_; }

 private:
  std::string out_;
};

void AddVocab(const TokenizerSpec& spec, Serializer* out) {
  // An added token may be listed in the vocabulary or not: the same tokenizer.
  std::map<int64_t, absl::string_view> tokens;
  for (size_t id = 0; id < spec.vocab.size(); ++id) {
    if (!spec.vocab[id].empty()) {
      tokens[static_cast<int64_t>(id)] = spec.vocab[id];
    }
  }
  for (const AddedToken& token : spec.added) tokens[token.id] = token.content;
  out->Add(static_cast<int64_t>(tokens.size()));
  for (const auto& [id, token] : tokens) {
    out->Add(id);
    out->Add(token);
  }
}

void AddAddedTokens(const TokenizerSpec& spec, Serializer* out) {
  std::vector<AddedToken> added = spec.added;
  std::sort(
      added.begin(), added.end(),
      [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  out->Add(static_cast<int64_t>(added.size()));
  for (const AddedToken& token : added) {
    // Without a normalizer `normalized` changes nothing that files of real
    // models show, and GGUF doesn't keep it.
    const bool normalized = token.normalized && !spec.normalizer.empty();
    out->Add(token.id);
    out->Add(token.special | token.lstrip << 1 | token.rstrip << 2 |
             token.single_word << 3 | normalized << 4);
  }
}

}  // namespace

std::string FingerprintOf(const TokenizerSpec& spec) {
  Serializer out;
  AddVocab(spec, &out);
  out.Add(static_cast<int64_t>(spec.merges.size()));
  for (const auto& [left, right] : spec.merges) {
    out.Add(left);
    out.Add(right);
  }
  AddAddedTokens(spec, &out);
  out.Add(spec.ignore_merges | spec.fuse_unknown << 1);
  out.Add(spec.unknown_id);
  out.Add(static_cast<int64_t>(spec.normalizer.size()));
  for (const NormalizerStep& step : spec.normalizer) {
    out.Add(static_cast<int64_t>(step.kind));
    out.Add(step.from);
    out.Add(step.to);
  }
  out.Add(static_cast<int64_t>(spec.pre_tokenizer.size()));
  for (const PreTokenizerStep& step : spec.pre_tokenizer) {
    out.Add(static_cast<int64_t>(step.kind));
    out.Add(step.pattern);
  }
  const XXH128_hash_t hash = XXH3_128bits(out.out().data(), out.out().size());
  return absl::StrFormat("%016x%016x", hash.high64, hash.low64);
}

}  // namespace caracal
