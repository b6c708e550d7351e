#include "jobs/client/inspect.h"

#include <cstdint>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/status.h"
#include "dist/checkpoint/catalogue.h"
#include "dist/checkpoint/manifest.h"
#include "jobs/client/inspect_checkpoint.h"
#include "jobs/client/inspect_hdf5.h"
#include "jobs/client/inspect_model.h"

namespace caracal {
namespace {

constexpr absl::string_view kGgufMagic = "GGUF";
constexpr absl::string_view kHdf5Magic = "\x89HDF\r\n\x1a\n";

// safetensors has no magic: a length of the header, and '{' where it begins.
bool LooksLikeSafetensors(absl::string_view bytes) {
  if (bytes.size() < 9 || bytes[8] != '{') return false;
  uint64_t length = 0;
  for (int i = 7; i >= 0; --i) {
    length = length << 8 | static_cast<uint8_t>(bytes[i]);
  }
  return length >= 2 && length <= 100'000'000;
}

absl::StatusOr<Inspection> InspectFolder(const std::string& path, bool verify,
                                         FileSystem* files) {
  if (files->Exists(JoinPath(path, kManifestName))) {
    return InspectCheckpoint(path, files);
  }
  if (files->Exists(JoinPath(path, "config.json"))) {
    return InspectModelFolder(path, verify, files);
  }
  if (files->IsFolder(CheckpointsFolder(path))) {
    return InspectRun(path, files);
  }
  return absl::InvalidArgumentError(
      absl::StrCat(path,
                   ": is neither a Hugging Face folder (config.json), nor a "
                   "checkpoint (",
                   kManifestName, "), nor a run (checkpoints)"));
}

struct InspectOptions {
  std::string path;
  bool verify = false;
  bool json = false;
};

absl::Status Inspect(const InspectOptions& options, Console& console) {
  ASSIGN_OR_RETURN(const Inspection inspection,
                   InspectPath(options.path, options.verify));
  console.out << (options.json ? InspectionJson(inspection) + "\n"
                               : InspectionText(inspection, console));
  return inspection.problem;
}

}  // namespace

absl::StatusOr<Inspection> InspectPath(const std::string& path, bool verify,
                                       FileSystem* files) {
  if (files->IsFolder(path)) return InspectFolder(path, verify, files);
  absl::StatusOr<std::unique_ptr<MappedFile>> file = files->Map(path);
  if (!file.ok()) return file.status();
  const absl::string_view bytes(reinterpret_cast<const char*>((*file)->data()),
                                (*file)->size());
  const bool gguf = absl::StartsWith(bytes, kGgufMagic);
  const bool hdf5 = absl::StartsWith(bytes, kHdf5Magic);
  const bool safetensors = LooksLikeSafetensors(bytes);
  file->reset();
  if (gguf) return InspectGguf(path, verify, files);
  if (hdf5) return InspectHdf5(path, verify, files);
  if (safetensors) return InspectSafetensors(path, files);
  return absl::InvalidArgumentError(absl::StrCat(
      path, ": is neither a GGUF, nor a safetensors, nor an HDF5 file"));
}

CommandBody DeclareInspect(CLI::App& app) {
  auto options = std::make_shared<InspectOptions>();
  app.add_option("FILE", options->path,
                 "model, packed data, checkpoint or run: a file or a folder")
      ->type_name("PATH")
      ->required();
  app.add_flag("--verify", options->verify,
               "read all of it: weights that are not finite, bad rows");
  app.add_flag("--json", options->json, "print one JSON object");
  return [options](Console& console) { return Inspect(*options, console); };
}

}  // namespace caracal
