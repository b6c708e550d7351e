// What the makers of probe prompts share: draws, pieces of text as tokens, and
// unrelated sentences that fill what room there is.
#ifndef CARACAL_EVAL_PROBE_PROMPT_BUILDER_H_
#define CARACAL_EVAL_PROBE_PROMPT_BUILDER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/philox.h"
#include "core/io/tokenizer/tokenizer.h"

namespace caracal {

using Tokens = std::vector<int32_t>;

inline void Append(const Tokens& piece, Tokens* tokens) {
  tokens->insert(tokens->end(), piece.begin(), piece.end());
}

// Whole numbers, one after another; the same for the same key.
class ProbeDraws {
 public:
  ProbeDraws(uint64_t seed, uint64_t kind, uint64_t length, uint64_t sample)
      : stream_({.seed = seed,
                 .purpose = RandomPurpose::kProbe,
                 .step = length,
                 .sample = sample,
                 .layer = kind}) {}

  // In [0, n), n < 2^16: uneven by n / 2^32 at most.
  size_t Below(size_t n) { return (uint64_t{stream_.Bits(next_++)} * n) >> 32; }
  // `count` of 0 .. n - 1, no two the same, in any order.
  std::vector<size_t> Choose(size_t count, size_t n);

 private:
  RandomStream stream_;
  uint64_t next_ = 0;
};

// Pieces of a prompt are encoded one by one and set together, so that it is
// known which tokens state a fact. Borrows the tokenizer.
class PromptBuilder {
 public:
  // Encodes the filler. Errors: the tokenizer's.
  static absl::StatusOr<PromptBuilder> Create(const Tokenizer& tokenizer);

  // The tokens of a piece of text, one at least, without BOS and the like.
  // kInvalidArgument: the tokenizer drops all of it.
  absl::StatusOr<Tokens> Encode(absl::string_view text) const;
  // What stands before any text: BOS where the model has one.
  const Tokens& prefix() const { return tokenizer_->prefix_ids(); }

  // Sentences, each with a space before it, that have at most `room` tokens
  // together; the next one would not fit. All are used before one comes again.
  std::vector<const Tokens*> Fill(int64_t room, ProbeDraws* draws) const;

 private:
  explicit PromptBuilder(const Tokenizer* tokenizer) : tokenizer_(tokenizer) {}

  const Tokenizer* tokenizer_;
  std::vector<Tokens> sentences_;
};

}  // namespace caracal

#endif  // CARACAL_EVAL_PROBE_PROMPT_BUILDER_H_
