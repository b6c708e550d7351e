// The words that probes are made of: written for this purpose, plain enough
// for small models, without digits.
#ifndef CARACAL_EVAL_PROBE_WORDS_H_
#define CARACAL_EVAL_PROBE_WORDS_H_

#include "absl/types/span.h"

namespace caracal {

// Sentences about nothing in particular, each whole by itself.
absl::Span<const char* const> FillerSentences();
// First names, and what people eat: no two the same.
absl::Span<const char* const> PersonNames();
absl::Span<const char* const> FoodNames();

}  // namespace caracal

#endif  // CARACAL_EVAL_PROBE_WORDS_H_
