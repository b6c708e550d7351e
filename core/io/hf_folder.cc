#include "core/io/hf_folder.h"

#include <map>
#include <utility>

#include "core/base/status.h"
#include "core/io/bounded_file.h"
#include "core/io/hf_config.h"
#include "core/io/mapped_weights.h"
#include "core/io/quoted.h"
#include "core/io/safetensors_file.h"
#include "core/io/safetensors_index.h"

namespace caracal {
namespace {

// Each shard stays mapped and takes an entry of the process's map table.
constexpr size_t kMaxShards = 4096;

using Shards = std::map<std::string, std::shared_ptr<SafetensorsFile>>;

MappedTensor Mapped(const SafetensorsTensor& tensor, const std::string& file) {
  return {.info = {tensor.name, tensor.shape, tensor.encoding},
          .data = tensor.data,
          .file = file};
}

// The tensors an index names, each from the shard it names.
absl::Status CollectIndexed(const std::string& folder,
                            const std::string& index_path, FileSystem* files,
                            Shards* shards,
                            std::vector<MappedTensor>* tensors) {
  ASSIGN_OR_RETURN(const std::string text,
                   ReadBoundedFile(index_path, kMaxConfigurationBytes, files));
  auto index = ParseSafetensorsIndex(text);
  RETURN_IF_ERROR(Annotate(index.status(), index_path));
  for (const auto& [name, file] : *index) {
    if (shards->contains(file)) continue;
    if (shards->size() >= kMaxShards) {
      return absl::DataLossError(
          absl::StrCat(index_path, ": names more than ", kMaxShards, " files"));
    }
    const std::string path = JoinPath(folder, file);
    if (!files->Exists(path)) {
      return absl::NotFoundError(absl::StrCat(index_path, ": the shard ",
                                              Quoted(file), " of tensor ",
                                              Quoted(name), " is missing"));
    }
    ASSIGN_OR_RETURN((*shards)[file], SafetensorsFile::Open(path, files));
  }
  for (const auto& [file, shard] : *shards) {
    for (const SafetensorsTensor& tensor : shard->tensors()) {
      const auto it = index->find(tensor.name);
      if (it == index->end() || it->second != file) continue;
      tensors->push_back(Mapped(tensor, shard->path()));
      index->erase(it);
    }
  }
  if (!index->empty()) {
    const auto& [name, file] = *index->begin();
    return absl::NotFoundError(
        absl::StrCat(JoinPath(folder, file), ": tensor ", Quoted(name),
                     " is missing; the index says it ", "is in this file"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<WeightSource>> OpenHfFolder(
    const std::string& path, FileSystem* files) {
  const std::string config_path = JoinPath(path, "config.json");
  const std::string single_path = JoinPath(path, "model.safetensors");
  const std::string index_path = JoinPath(path, "model.safetensors.index.json");
  if (!files->Exists(config_path)) {
    return absl::NotFoundError(absl::StrCat(
        path, ": no config.json in this folder; expected a Hugging Face ",
        "model folder"));
  }
  ASSIGN_OR_RETURN(const std::string text,
                   ReadBoundedFile(config_path, kMaxConfigurationBytes, files));
  const absl::StatusOr<ModelConfig> config = ParseHfConfig(text);
  RETURN_IF_ERROR(Annotate(config.status(), config_path));
  Shards shards;
  std::vector<MappedTensor> tensors;
  if (files->Exists(single_path)) {
    ASSIGN_OR_RETURN(std::shared_ptr<SafetensorsFile> file,
                     SafetensorsFile::Open(single_path, files));
    for (const SafetensorsTensor& tensor : file->tensors()) {
      tensors.push_back(Mapped(tensor, single_path));
    }
    shards.emplace("model.safetensors", std::move(file));
  } else if (files->Exists(index_path)) {
    RETURN_IF_ERROR(CollectIndexed(path, index_path, files, &shards, &tensors));
  } else {
    return absl::NotFoundError(absl::StrCat(
        path, ": neither model.safetensors nor model.safetensors.index.json ",
        "in this folder (pickled checkpoints are not read)"));
  }
  std::vector<std::shared_ptr<const void>> keep;
  for (auto& [name, file] : shards) keep.push_back(std::move(file));
  return MappedWeights::Create(path, *config, /*gguf_names=*/false,
                               std::move(tensors), std::move(keep));
}

}  // namespace caracal
