// The normalizer: text in, text out, before words are cut.
#ifndef CARACAL_CORE_IO_TOKENIZER_NORMALIZER_H_
#define CARACAL_CORE_IO_TOKENIZER_NORMALIZER_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/io/tokenizer/tokenizer_spec.h"

namespace caracal {

// `text` after all steps, in order. Valid UTF-8 stays valid.
std::string Normalize(const std::vector<NormalizerStep>& steps,
                      absl::string_view text);

}  // namespace caracal

#endif  // CARACAL_CORE_IO_TOKENIZER_NORMALIZER_H_
