// A compiled pattern of a tokenizer, over PCRE2 (UTF, Unicode properties, JIT).
//
// Patterns are written in Oniguruma's dialect (that is what Hugging Face
// `tokenizers` runs); Compile rewrites what PCRE2 would read otherwise:
//   \s \S \w \W  the Unicode properties (PCRE2's own \s also takes U+180E)
//   {,n}         {0,n}
//   ^ $          at every line
// and refuses what it cannot express (\h, class intersection, nested classes).
//
// Work is bounded: a match that takes too many steps is an error, not a hang.
#ifndef CARACAL_CORE_IO_TOKENIZER_REGEX_H_
#define CARACAL_CORE_IO_TOKENIZER_REGEX_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace caracal {

// What one thread needs while matching; reusable with any Regex, but by one
// thread at a time.
class RegexState {
 public:
  RegexState();
  ~RegexState();
  RegexState(const RegexState&) = delete;
  RegexState& operator=(const RegexState&) = delete;

 private:
  friend class Regex;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Immutable and thread-safe.
class Regex {
 public:
  // kInvalidArgument: not a pattern, or one that cannot be expressed.
  static absl::StatusOr<std::unique_ptr<Regex>> Compile(
      absl::string_view pattern);
  ~Regex();
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;

  struct Match {
    bool found;
    size_t begin;  // bytes
    size_t end;
  };
  // The first match at or after byte `start` of `text`, which must be valid
  // UTF-8 (not checked) with `start` on a character border. Look-behind sees
  // the text before `start`.
  // kResourceExhausted: the pattern needs too many steps on this text.
  absl::StatusOr<Match> Find(absl::string_view text, size_t start,
                             RegexState* state) const;

 private:
  struct Impl;
  explicit Regex(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// `pattern` rewritten from Oniguruma's dialect to PCRE2's. Exposed for tests.
absl::StatusOr<std::string> OnigurumaToPcre2(absl::string_view pattern);

// A pattern that matches `text` literally.
std::string EscapeRegex(absl::string_view text);

}  // namespace caracal

#endif  // CARACAL_CORE_IO_TOKENIZER_REGEX_H_
