// Reads the tokenizer in a GGUF file's metadata (`tokenizer.ggml.*`) into a
// TokenizerSpec. `tokenizer.ggml.pre` names the pre-tokenizer: a row of the
// table in tokenizer_gguf.cc.
#ifndef CARACAL_CORE_IO_TOKENIZER_TOKENIZER_GGUF_H_
#define CARACAL_CORE_IO_TOKENIZER_TOKENIZER_GGUF_H_

#include "absl/status/statusor.h"
#include "core/io/gguf.h"
#include "core/io/tokenizer/tokenizer_spec.h"

namespace caracal {

// kNotFound: the file has no tokenizer. kUnimplemented: a model or `pre` that
// is not supported, naming it. kInvalidArgument: wrong types or lengths.
absl::StatusOr<TokenizerSpec> ReadGgufTokenizer(const GgufFile& file);

}  // namespace caracal

#endif  // CARACAL_CORE_IO_TOKENIZER_TOKENIZER_GGUF_H_
