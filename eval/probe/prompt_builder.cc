#include "eval/probe/prompt_builder.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "eval/probe/words.h"
#include "kernels/common/check.h"

namespace caracal {

std::vector<size_t> ProbeDraws::Choose(size_t count, size_t n) {
  CARACAL_CHECK(count <= n) << count << " of " << n;
  std::vector<size_t> order(n);
  for (size_t i = 0; i < n; ++i) order[i] = i;
  for (size_t i = 0; i < count; ++i) {
    std::swap(order[i], order[i + Below(n - i)]);
  }
  order.resize(count);
  return order;
}

absl::StatusOr<PromptBuilder> PromptBuilder::Create(
    const Tokenizer& tokenizer) {
  PromptBuilder builder(&tokenizer);
  for (const char* sentence : FillerSentences()) {
    ASSIGN_OR_RETURN(Tokens tokens,
                     builder.Encode(absl::StrCat(" ", sentence)));
    builder.sentences_.push_back(std::move(tokens));
  }
  return builder;
}

absl::StatusOr<Tokens> PromptBuilder::Encode(absl::string_view text) const {
  ASSIGN_OR_RETURN(
      Tokens tokens,
      tokenizer_->Encode(text, {.add_special = false, .parse_special = false}));
  if (tokens.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(tokenizer_->source(),
                     ": the tokenizer has no token for "
                     "the text '",
                     text, "', which probes need"));
  }
  return tokens;
}

std::vector<const Tokens*> PromptBuilder::Fill(int64_t room,
                                               ProbeDraws* draws) const {
  std::vector<const Tokens*> filler;
  while (true) {
    for (const size_t i : draws->Choose(sentences_.size(), sentences_.size())) {
      room -= static_cast<int64_t>(sentences_[i].size());
      if (room < 0) return filler;
      filler.push_back(&sentences_[i]);
    }
  }
}

}  // namespace caracal
