#include "core/io/weight_source.h"

#include "core/base/status.h"
#include "core/io/gguf_model.h"
#include "core/io/hf_folder.h"

namespace caracal {

absl::StatusOr<std::unique_ptr<WeightSource>> OpenModel(const std::string& path,
                                                        FileSystem* files) {
  if (files->IsFolder(path)) return OpenHfFolder(path, files);
  ASSIGN_OR_RETURN(std::unique_ptr<MappedFile> file, files->Map(path));
  const absl::string_view head(reinterpret_cast<const char*>(file->data()),
                               std::min<size_t>(file->size(), 4));
  if (head == "GGUF") return OpenGgufModel(path, files);
  return absl::InvalidArgumentError(absl::StrCat(
      path, ": not a model; expected a GGUF file, or a folder with ",
      "config.json and model.safetensors"));
}

}  // namespace caracal
