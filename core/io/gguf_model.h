// A GGUF file as a WeightSource.
#ifndef CARACAL_CORE_IO_GGUF_MODEL_H_
#define CARACAL_CORE_IO_GGUF_MODEL_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/io/weight_source.h"

namespace caracal {

// As OpenModel (weight_source.h), for a path that is a GGUF file.
absl::StatusOr<std::unique_ptr<WeightSource>> OpenGgufModel(
    const std::string& path, FileSystem* files);

}  // namespace caracal

#endif  // CARACAL_CORE_IO_GGUF_MODEL_H_
