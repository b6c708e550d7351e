// What the files beside a tokenizer.json say about BOS and EOS.
#ifndef CARACAL_CORE_IO_TOKENIZER_TOKENIZER_CONFIG_H_
#define CARACAL_CORE_IO_TOKENIZER_TOKENIZER_CONFIG_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/io/tokenizer/tokenizer_spec.h"

namespace caracal {

// `file` is for messages. kDataLoss: not JSON; kInvalidArgument: a field is of
// the wrong type, or names a token that `spec` doesn't have.

// Sets BOS and EOS from tokenizer_config.json. `add_bos_token` or
// `add_eos_token`, where given, replace the post-processor's ids.
absl::Status ApplyTokenizerConfig(absl::string_view json,
                                  const std::string& file, TokenizerSpec* spec);

// Sets BOS and EOS where they are not, from the ids in a model's config.json
// (the first, where there is a list).
absl::Status ApplyModelConfig(absl::string_view json, const std::string& file,
                              TokenizerSpec* spec);

}  // namespace caracal

#endif  // CARACAL_CORE_IO_TOKENIZER_TOKENIZER_CONFIG_H_
