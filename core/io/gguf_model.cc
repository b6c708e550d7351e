#include "core/io/gguf_model.h"

#include <utility>

#include "core/base/status.h"
#include "core/io/architecture.h"
#include "core/io/gguf.h"
#include "core/io/gguf_config.h"
#include "core/io/mapped_weights.h"

namespace caracal {

absl::StatusOr<std::unique_ptr<WeightSource>> OpenGgufModel(
    const std::string& path, FileSystem* files) {
  ASSIGN_OR_RETURN(std::shared_ptr<GgufFile> file, GgufFile::Open(path, files));
  ASSIGN_OR_RETURN(const ModelConfig config, ParseGgufConfig(*file));
  std::vector<MappedTensor> tensors;
  for (const GgufTensor& tensor : file->tensors()) {
    // Part of the configuration, not a weight.
    if (tensor.name == "rope_freqs.weight") continue;
    tensors.push_back(
        {.info = {std::string(tensor.name), tensor.shape, tensor.encoding},
         .data = tensor.data,
         .file = path});
  }
  return MappedWeights::Create(path, config, /*gguf_names=*/true,
                               std::move(tensors), {file});
}

}  // namespace caracal
