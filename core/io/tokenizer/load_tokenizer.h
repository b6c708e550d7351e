// Loads the tokenizer of a model, whatever kind of file it is in.
#ifndef CARACAL_CORE_IO_TOKENIZER_LOAD_TOKENIZER_H_
#define CARACAL_CORE_IO_TOKENIZER_LOAD_TOKENIZER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/base/file_system.h"
#include "core/io/gguf.h"
#include "core/io/tokenizer/tokenizer.h"

namespace caracal {

// `path` is a Hugging Face folder, a tokenizer.json or a GGUF file (told by
// its first bytes, not its name). BOS and EOS of the first two come from
// tokenizer_config.json beside it, else from config.json, where they are
// there.
// kNotFound: no such file, or a folder without tokenizer.json. Else as
// ParseTokenizerJson, ReadGgufTokenizer and Tokenizer::Create.
absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer(
    const std::string& path, FileSystem* files = FileSystem::Posix());

// From a GGUF file that is open already.
absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer(const GgufFile& file);

}  // namespace caracal

#endif  // CARACAL_CORE_IO_TOKENIZER_LOAD_TOKENIZER_H_
