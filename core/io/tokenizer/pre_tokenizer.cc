#include "core/io/tokenizer/pre_tokenizer.h"

#include <utility>

#include "core/base/status.h"
#include "core/io/tokenizer/unicode.h"

namespace caracal {

absl::StatusOr<PreTokenizer> PreTokenizer::Create(
    const std::vector<PreTokenizerStep>& steps) {
  PreTokenizer out;
  for (const PreTokenizerStep& step : steps) {
    Step compiled{step.kind, nullptr};
    if (step.kind == PreTokenizerStep::Kind::kSplit) {
      ASSIGN_OR_RETURN(compiled.regex, Regex::Compile(step.pattern));
    }
    out.steps_.push_back(std::move(compiled));
  }
  return out;
}

absl::Status PreTokenizer::Split(
    absl::string_view text, RegexState* state,
    absl::FunctionRef<void(absl::string_view)> word) const {
  return Apply(0, text, state, word);
}

absl::Status PreTokenizer::Apply(
    size_t step, absl::string_view piece, RegexState* state,
    absl::FunctionRef<void(absl::string_view)> word) const {
  if (piece.empty()) return absl::OkStatus();
  if (step == steps_.size()) {
    word(piece);
    return absl::OkStatus();
  }
  if (steps_[step].kind == PreTokenizerStep::Kind::kSplit) {
    return ApplySplit(step, piece, state, word);
  }
  if (piece[0] == ' ') return Apply(step + 1, piece, state, word);
  return Apply(step + 1, absl::StrCat(" ", piece), state, word);
}

absl::Status PreTokenizer::ApplySplit(
    size_t step, absl::string_view piece, RegexState* state,
    absl::FunctionRef<void(absl::string_view)> word) const {
  size_t done = 0;  // end of the last match
  size_t from = 0;  // where to look for the next one
  bool matched = false;
  while (from <= piece.size()) {
    ASSIGN_OR_RETURN(const Regex::Match match,
                     steps_[step].regex->Find(piece, from, state));
    if (!match.found) break;
    from = match.end;
    if (match.begin == match.end) {
      // Looking on from the same place would find it again.
      from += match.end < piece.size()
                  ? DecodeUtf8Char(piece.substr(match.end)).length
                  : 1;
      // Right behind a match an empty one doesn't count.
      if (matched && match.begin == done) continue;
    }
    matched = true;
    RETURN_IF_ERROR(
        Apply(step + 1, piece.substr(done, match.begin - done), state, word));
    RETURN_IF_ERROR(Apply(step + 1,
                          piece.substr(match.begin, match.end - match.begin),
                          state, word));
    done = match.end;
  }
  return Apply(step + 1, piece.substr(done), state, word);
}

}  // namespace caracal
