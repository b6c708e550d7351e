#include "jobs/client/inspect_checkpoint.h"

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "dist/checkpoint/catalogue.h"
#include "dist/checkpoint/manifest.h"
#include "dist/checkpoint/reader.h"
#include "eval/report/numbers.h"
#include "jobs/client/inspect_hdf5.h"

namespace caracal {
namespace {

// Whether the manifest can be read and its files are there in the sizes that
// it gives; what `inspect` of a whole run can afford for every checkpoint.
bool SizesAgree(const std::string& folder, FileSystem* files) {
  const absl::StatusOr<Manifest> manifest = ReadManifest(files, folder);
  if (!manifest.ok()) return false;
  for (const RankFile& file : manifest->rank_files) {
    const absl::StatusOr<uint64_t> bytes =
        files->FileSize(JoinPath(folder, file.name));
    if (!bytes.ok() || *bytes != file.bytes) return false;
  }
  return true;
}

}  // namespace

absl::StatusOr<Inspection> InspectCheckpoint(const std::string& folder,
                                             FileSystem* files) {
  ASSIGN_OR_RETURN(const Manifest manifest, ReadManifest(files, folder));
  Inspection out;
  out.path = folder;
  out.format = "checkpoint";
  out.Add("step", Count(manifest.step), manifest.step);
  const ParallelLayout& layout = manifest.layout;
  out.Add("ranks",
          absl::StrCat(layout.data, " data x ", layout.tensor, " tensor x ",
                       layout.layer, " layer"),
          {{"data", layout.data},
           {"tensor", layout.tensor},
           {"layer", layout.layer}});
  out.Add("model", manifest.model_fingerprint);
  out.Add("job", manifest.job_fingerprint);
  if (!manifest.data_fingerprint.empty()) {
    out.Add("data", manifest.data_fingerprint);
  }
  if (!manifest.validation_fingerprint.empty()) {
    out.Add("validation", manifest.validation_fingerprint);
  }
  out.Add("created by", manifest.created_by);
  uint64_t bytes = 0;
  for (const RankFile& file : manifest.rank_files) bytes += file.bytes;
  out.Add("files",
          absl::StrCat(manifest.rank_files.size(), " of ranks, ", Bytes(bytes)),
          manifest.rank_files.size());
  if (const auto verified = VerifyCheckpoint(files, folder); !verified.ok()) {
    out.Add("contents", "damaged", false);
    out.problem = verified.status();
    return out;
  }
  out.Add("contents", "as the manifest says", true);
  for (const RankFile& file : manifest.rank_files) {
    absl::StatusOr<std::vector<InspectedTensor>> datasets =
        ListDatasets(JoinPath(folder, file.name), files);
    if (!datasets.ok()) {
      out.problem = datasets.status();
      return out;
    }
    for (InspectedTensor& dataset : *datasets) {
      // Ranks have parts of the same tensors.
      if (manifest.rank_files.size() > 1) {
        dataset.name = absl::StrCat(file.name, ":", dataset.name);
      }
      out.tensors.push_back(std::move(dataset));
    }
  }
  return out;
}

absl::StatusOr<Inspection> InspectRun(const std::string& folder,
                                      FileSystem* files) {
  ASSIGN_OR_RETURN(const std::vector<uint64_t> steps,
                   ListCheckpoints(files, folder));
  Inspection out;
  out.path = folder;
  out.format = "run";
  out.Add("checkpoints",
          steps.empty() ? "none"
                        : absl::StrCat("of steps ", absl::StrJoin(steps, ", ")),
          steps);
  const absl::StatusOr<std::optional<BestCheckpoint>> best =
      ReadBestCheckpoint(files, folder);
  if (!best.ok()) {
    out.problem = best.status();
  } else if (best->has_value()) {
    out.Add("best", absl::StrCat("step ", (*best)->step, ", ", (*best)->score),
            {{"step", (*best)->step}, {"score", (*best)->score}});
  }
  std::vector<uint64_t> damaged;
  for (const uint64_t step : steps) {
    if (!SizesAgree(CheckpointFolder(folder, step), files)) {
      damaged.push_back(step);
    }
  }
  if (!damaged.empty()) {
    out.Add("damaged", absl::StrCat("of steps ", absl::StrJoin(damaged, ", ")),
            damaged);
    out.problem = absl::DataLossError(
        absl::StrCat(CheckpointFolder(folder, damaged[0]),
                     ": is damaged: its files do not agree with its manifest"));
  }
  if (!steps.empty()) {
    ASSIGN_OR_RETURN(const LatestCheckpointResult latest,
                     LatestCheckpoint(files, folder));
    out.Add("resumes from",
            latest.step.has_value() ? latest.folder : std::string("nothing"));
    if (!latest.warnings.empty()) {
      out.problem = absl::DataLossError(absl::StrJoin(latest.warnings, "; "));
    }
  }
  return out;
}

}  // namespace caracal
