// Feeds arbitrary bytes to the reader of checkpoints as a rank file that its
// manifest vouches for.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/fault_file_system.h"
#include "dist/checkpoint/manifest.h"
#include "dist/checkpoint/reader.h"
#include "kernels/common/check.h"

namespace caracal {
namespace {

constexpr char kFolder[] = "/c";
constexpr char kRankFile[] = "/c/rank-00000.h5";

void CheckNamed(const absl::Status& status) {
  if (status.ok()) return;
  CARACAL_CHECK(status.message().find(kRankFile) != absl::string_view::npos)
      << status.ToString();
}

void WriteManifest(FileSystem* files) {
  Manifest manifest;
  manifest.layout = {.data = 1, .tensor = 1, .layer = 1};
  const auto described = DescribeRankFile(files, kFolder, RankFileName(0));
  CARACAL_CHECK(described.ok());
  manifest.rank_files = {*described};
  CARACAL_CHECK(files
                    ->WriteFileAtomically(JoinPath(kFolder, kManifestName),
                                          FormatManifest(manifest))
                    .ok());
}

void ReadAll(const CheckpointReader& reader) {
  const auto names = reader.TensorNames();
  CheckNamed(names.status());
  if (names.ok()) {
    int left = 50;
    for (const std::string& name : *names) {
      if (left-- == 0) break;
      CheckNamed(reader.Pieces(name).status());
    }
  }
  // What a trainer asks for, as in the seeds.
  std::vector<float> floats(16);
  for (const char* name : {"parameters/w", "optimizer/m/w"}) {
    CheckNamed(reader.ReadTensor(name, DType::kF32, {4, 4}, floats.data()));
  }
  std::vector<int64_t> integers(3);
  CheckNamed(
      reader.ReadTensor("cursor/rows", DType::kI64, {3}, integers.data()));
  for (const char* name : {"schedule", "seed", "best_loss"}) {
    CheckNamed(reader.String(name).status());
    CheckNamed(reader.Integer(name).status());
    CheckNamed(reader.Number(name).status());
  }
}

}  // namespace
}  // namespace caracal

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using caracal::kFolder;
  caracal::FaultFileSystem files;
  CARACAL_CHECK(files.CreateFolder(kFolder).ok());
  CARACAL_CHECK(files
                    .Append(caracal::kRankFile,
                            {reinterpret_cast<const char*>(data), size})
                    .ok());
  caracal::WriteManifest(&files);
  const auto reader = caracal::CheckpointReader::Open(&files, kFolder);
  if (!reader.ok()) {
    caracal::CheckNamed(reader.status());
    return 0;
  }
  caracal::ReadAll(*reader);
  return 0;
}
