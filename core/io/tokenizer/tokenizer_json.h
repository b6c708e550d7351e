// Reads Hugging Face's tokenizer.json into a TokenizerSpec. Kinds of parts are
// rows of the tables in tokenizer_json_{text,model,post}.cc.
#ifndef CARACAL_CORE_IO_TOKENIZER_TOKENIZER_JSON_H_
#define CARACAL_CORE_IO_TOKENIZER_TOKENIZER_JSON_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/io/tokenizer/tokenizer_spec.h"

namespace caracal {

// `file` is for messages. kDataLoss: not JSON. kInvalidArgument: a field is
// missing or wrong. kUnimplemented: a kind of part that is not supported; the
// message names it and lists those that are. BOS and EOS stay unset.
// `truncation` and `padding` are not applied.
absl::StatusOr<TokenizerSpec> ParseTokenizerJson(absl::string_view json,
                                                 const std::string& file);

}  // namespace caracal

#endif  // CARACAL_CORE_IO_TOKENIZER_TOKENIZER_JSON_H_
