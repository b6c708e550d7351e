// Finds added tokens in text: leftmost first, the longest one there.
#ifndef CARACAL_CORE_IO_TOKENIZER_ADDED_TOKENS_H_
#define CARACAL_CORE_IO_TOKENIZER_ADDED_TOKENS_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/io/tokenizer/regex.h"
#include "core/io/tokenizer/tokenizer_spec.h"

namespace caracal {

// Immutable and thread-safe.
//
// Follows Hugging Face `tokenizers` in all corners: a match that is refused
// (not a single word, or special when these are not parsed) hides shorter and
// later ones that overlap it, and lstrip never takes back what an earlier
// token has taken.
class AddedTokenFinder {
 public:
  // A part of a text: `id` >= 0 for an added token, else plain text.
  struct Part {
    absl::string_view text;
    int32_t id;
  };

  // An empty content is left out: it would match everywhere.
  explicit AddedTokenFinder(const std::vector<AddedToken>& tokens);

  bool empty() const { return tokens_.empty(); }

  // Calls `emit` with each part of `text` (valid UTF-8) from left to right;
  // plain parts are never empty. Stops at the first error.
  absl::Status Split(absl::string_view text, bool parse_special,
                     absl::FunctionRef<absl::Status(const Part&)> emit) const;

 private:
  struct Hit {
    const AddedToken* token;  // nullptr: none
    size_t begin;
    size_t end;
  };
  Hit Next(absl::string_view text, size_t start) const;

  std::vector<AddedToken> tokens_;
  // A trie: (node << 8 | byte) -> node. Node 0 is the root.
  absl::flat_hash_map<uint64_t, uint32_t> edges_;
  std::vector<int32_t> token_at_;  // by node, index in tokens_; -1: none
  std::array<bool, 256> starts_ = {};
};

}  // namespace caracal

#endif  // CARACAL_CORE_IO_TOKENIZER_ADDED_TOKENS_H_
