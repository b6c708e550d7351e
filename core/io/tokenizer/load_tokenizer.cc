#include "core/io/tokenizer/load_tokenizer.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "core/base/status.h"
#include "core/io/bounded_file.h"
#include "core/io/tokenizer/tokenizer_config.h"
#include "core/io/tokenizer/tokenizer_gguf.h"
#include "core/io/tokenizer/tokenizer_json.h"

namespace caracal {
namespace {

// Applies a file of the folder, where there is one.
absl::Status ApplyBeside(FileSystem* files, const std::string& folder,
                         const char* name,
                         absl::Status (*apply)(absl::string_view,
                                               const std::string&,
                                               TokenizerSpec*),
                         TokenizerSpec* spec) {
  const std::string path = JoinPath(folder, name);
  if (!files->Exists(path)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::string json,
                   ReadBoundedFile(path, kMaxConfigurationBytes, files));
  return apply(json, path, spec);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer(
    const std::string& path, FileSystem* files) {
  std::string file = path;
  if (files->IsFolder(path)) {
    file = JoinPath(path, "tokenizer.json");
    if (!files->Exists(file)) {
      return absl::NotFoundError(
          absl::StrCat(path, ": the folder has no tokenizer.json"));
    }
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<MappedFile> map, files->Map(file));
  const absl::string_view bytes(reinterpret_cast<const char*>(map->data()),
                                map->size());
  if (absl::StartsWith(bytes, "GGUF")) {
    ASSIGN_OR_RETURN(const std::unique_ptr<GgufFile> gguf,
                     GgufFile::Open(file, files));
    return LoadTokenizer(*gguf);
  }
  ASSIGN_OR_RETURN(TokenizerSpec spec, ParseTokenizerJson(bytes, file));
  const std::string folder = FolderOf(file);
  RETURN_IF_ERROR(ApplyBeside(files, folder, "tokenizer_config.json",
                              ApplyTokenizerConfig, &spec));
  RETURN_IF_ERROR(
      ApplyBeside(files, folder, "config.json", ApplyModelConfig, &spec));
  return Tokenizer::Create(std::move(spec));
}

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer(const GgufFile& file) {
  ASSIGN_OR_RETURN(TokenizerSpec spec, ReadGgufTokenizer(file));
  return Tokenizer::Create(std::move(spec));
}

}  // namespace caracal
