// Byte-level BPE tokenizer of GPT-2's kind (GPT-2, SmolLM2, Llama-3, ...),
// id for id the same as Hugging Face `tokenizers`.
//
// Text need not be valid UTF-8: a run of invalid bytes is a word of its own
// and its bytes are encoded as they are, so that Decode can give them back.
// (A vocabulary without a token for some byte drops that byte, in valid text
// too, unless it has an unknown token.)
#ifndef CARACAL_CORE_IO_TOKENIZER_TOKENIZER_H_
#define CARACAL_CORE_IO_TOKENIZER_TOKENIZER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "core/io/tokenizer/added_tokens.h"
#include "core/io/tokenizer/bpe.h"
#include "core/io/tokenizer/pre_tokenizer.h"
#include "core/io/tokenizer/tokenizer_spec.h"

namespace caracal {

struct EncodeOptions {
  // Whether to put the ids of the post-processor (BOS, ...) around the text.
  bool add_special = true;
  // Whether special tokens written in the text ("<|im_start|>") become their
  // ids. Without, they are text like any other: for text one does not trust.
  // Added tokens that are not special are always recognised.
  bool parse_special = true;
};

// Immutable; all methods are thread-safe. A small pool of working memory grows
// to the number of threads that ever encoded at the same time (a few MiB
// each).
class Tokenizer {
 public:
  // kInvalidArgument: parts that don't fit each other (an id out of range, a
  // merge of unknown tokens, a broken pattern), naming spec.source.
  static absl::StatusOr<std::unique_ptr<Tokenizer>> Create(TokenizerSpec spec);

  // kInvalidArgument: a text of 2^31 bytes or more. kResourceExhausted: the
  // pre-tokenizer's pattern needs too many steps on this text (not with the
  // patterns of the known models).
  absl::StatusOr<std::vector<int32_t>> Encode(
      absl::string_view text, const EncodeOptions& options = {}) const;
  // Appends to `ids`, which keeps its capacity; nothing on error.
  absl::Status Encode(absl::string_view text, const EncodeOptions& options,
                      std::vector<int32_t>* ids) const;

  // The text of ids; ids out of range are left out. Always valid UTF-8:
  // invalid parts become U+FFFD.
  std::string Decode(absl::Span<const int32_t> ids,
                     bool skip_special = false) const;
  // The same bytes as they are.
  std::string DecodeBytes(absl::Span<const int32_t> ids,
                          bool skip_special = false) const;

  // The largest id plus one, added tokens included.
  int32_t vocab_size() const { return static_cast<int32_t>(tokens_.size()); }
  int32_t bos_id() const { return spec_.bos_id; }  // -1: none
  int32_t eos_id() const { return spec_.eos_id; }  // -1: none

  // What Encode puts before and after a text with add_special.
  const std::vector<int32_t>& prefix_ids() const { return spec_.prefix_ids; }
  const std::vector<int32_t>& suffix_ids() const { return spec_.suffix_ids; }

  // By the token's name in the vocabulary: "Ġthe", "<|im_end|>".
  std::optional<int32_t> IdOf(absl::string_view token) const;
  // "" for an id that is out of range or not used.
  absl::string_view TokenOf(int32_t id) const;
  // The bytes an id stands for: " the".
  absl::string_view BytesOf(int32_t id) const;
  bool IsSpecial(int32_t id) const;

  // 32 hexadecimal digits that say which ids texts get: two tokenizers of the
  // same fingerprint encode alike (BOS and EOS apart). The same whether read
  // from tokenizer.json or GGUF.
  const std::string& fingerprint() const { return fingerprint_; }
  // The file it was read from.
  const std::string& source() const { return spec_.source; }

 private:
  struct Token {
    std::string name;
    std::string bytes;
    bool special = false;
  };
  // What one call of Encode needs.
  struct Scratch {
    RegexState regex;
    BpeScratch bpe;
  };

  Tokenizer(TokenizerSpec spec, PreTokenizer pre_tokenizer, BpeModel bpe);
  absl::Status AddTokens();
  std::unique_ptr<Scratch> TakeScratch() const;
  void GiveBack(std::unique_ptr<Scratch> scratch) const;

  absl::Status EncodeParts(absl::string_view text, bool parse_special,
                           Scratch* scratch, std::vector<int32_t>* ids) const;
  // `text`: valid UTF-8, in this and those below.
  absl::Status EncodeValid(absl::string_view text, bool parse_special,
                           Scratch* scratch, std::vector<int32_t>* ids) const;
  absl::Status EncodeNormalized(absl::string_view text, bool parse_special,
                                Scratch* scratch,
                                std::vector<int32_t>* ids) const;
  absl::Status EncodeWords(absl::string_view text, Scratch* scratch,
                           std::vector<int32_t>* ids) const;

  TokenizerSpec spec_;  // without vocab and merges once they are taken over
  const PreTokenizer pre_tokenizer_;
  const BpeModel bpe_;
  const AddedTokenFinder raw_tokens_;         // in the text as it is
  const AddedTokenFinder normalized_tokens_;  // in normalized text
  std::string fingerprint_;
  std::vector<Token> tokens_;                            // by id
  absl::flat_hash_map<absl::string_view, int32_t> ids_;  // views into tokens_

  mutable absl::Mutex mutex_;
  mutable std::vector<std::unique_ptr<Scratch>> pool_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace caracal

#endif  // CARACAL_CORE_IO_TOKENIZER_TOKENIZER_H_
