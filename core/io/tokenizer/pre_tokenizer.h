// The pre-tokenizer: cuts text into the words inside of which BPE merges.
#ifndef CARACAL_CORE_IO_TOKENIZER_PRE_TOKENIZER_H_
#define CARACAL_CORE_IO_TOKENIZER_PRE_TOKENIZER_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/io/tokenizer/regex.h"
#include "core/io/tokenizer/tokenizer_spec.h"

namespace caracal {

// Immutable and thread-safe.
class PreTokenizer {
 public:
  // kInvalidArgument: a pattern doesn't compile.
  static absl::StatusOr<PreTokenizer> Create(
      const std::vector<PreTokenizerStep>& steps);

  // Calls `word` with each word of `text` (valid UTF-8), left to right, never
  // empty. Each step sees the pieces of the one before as texts of their own.
  absl::Status Split(absl::string_view text, RegexState* state,
                     absl::FunctionRef<void(absl::string_view)> word) const;

 private:
  struct Step {
    PreTokenizerStep::Kind kind;
    std::unique_ptr<Regex> regex;
  };
  absl::Status Apply(size_t step, absl::string_view piece, RegexState* state,
                     absl::FunctionRef<void(absl::string_view)> word) const;
  absl::Status ApplySplit(
      size_t step, absl::string_view piece, RegexState* state,
      absl::FunctionRef<void(absl::string_view)> word) const;

  std::vector<Step> steps_;
};

}  // namespace caracal

#endif  // CARACAL_CORE_IO_TOKENIZER_PRE_TOKENIZER_H_
