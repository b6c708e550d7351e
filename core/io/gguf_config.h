// The model configuration in a GGUF file's metadata.
#ifndef CARACAL_CORE_IO_GGUF_CONFIG_H_
#define CARACAL_CORE_IO_GGUF_CONFIG_H_

#include "absl/status/statusor.h"
#include "core/io/gguf.h"
#include "core/io/model_config.h"

namespace caracal {

// Reads and validates. Messages name the file and the key; codes as gguf.h
// has them, and kUnimplemented for architectures and features this program
// does not have.
absl::StatusOr<ModelConfig> ParseGgufConfig(const GgufFile& file);

}  // namespace caracal

#endif  // CARACAL_CORE_IO_GGUF_CONFIG_H_
