// A Hugging Face model folder as a WeightSource: config.json beside
// model.safetensors, or beside an index and its shards.
#ifndef CARACAL_CORE_IO_HF_FOLDER_H_
#define CARACAL_CORE_IO_HF_FOLDER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/io/weight_source.h"

namespace caracal {

// As OpenModel (weight_source.h), for a path that is a folder. Where both are
// there, model.safetensors goes before the index, as in transformers.
absl::StatusOr<std::unique_ptr<WeightSource>> OpenHfFolder(
    const std::string& path, FileSystem* files);

}  // namespace caracal

#endif  // CARACAL_CORE_IO_HF_FOLDER_H_
