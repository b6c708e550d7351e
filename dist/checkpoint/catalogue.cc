#include "dist/checkpoint/catalogue.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"
#include "core/collective/agree.h"
#include "core/io/bounded_file.h"
#include "dist/checkpoint/manifest.h"
#include "dist/checkpoint/reader.h"

namespace caracal {
namespace {

using Json = nlohmann::json;

constexpr char kBestName[] = "best.json";
constexpr size_t kMaxMarkerBytes = 64 << 10;

std::string FolderName(uint64_t step) {
  return absl::StrFormat("checkpoint-%08d", step);
}

// Steps of all folders named like checkpoints, complete or not, rising.
absl::StatusOr<std::vector<uint64_t>> ListFolders(
    FileSystem* file_system, const std::string& run_folder) {
  const std::string folder = CheckpointsFolder(run_folder);
  std::vector<uint64_t> steps;
  if (!file_system->IsFolder(folder)) return steps;
  ASSIGN_OR_RETURN(const auto names, file_system->List(folder));
  for (const std::string& name : names) {
    absl::string_view digits = name;
    uint64_t step = 0;
    if (absl::ConsumePrefix(&digits, "checkpoint-") &&
        absl::SimpleAtoi(digits, &step) && name == FolderName(step)) {
      steps.push_back(step);
    }
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

// Ranks that looked by themselves might see a checkpoint appear in between.
absl::StatusOr<std::vector<uint64_t>> ListFoldersOfRank0(
    FileSystem* file_system, const std::string& run_folder, Collective* ranks) {
  if (ranks == nullptr) return ListFolders(file_system, run_folder);
  absl::StatusOr<std::vector<uint64_t>> steps;
  if (ranks->rank() == 0)
    steps = ListFolders(file_system, run_folder);
  else
    steps.emplace();
  RETURN_IF_ERROR(AgreeOn(*ranks, steps.status()));
  std::vector<int64_t> counts(ranks->size());
  const int64_t mine = steps->size();
  RETURN_IF_ERROR(ranks->AllGatherBytes(&mine, sizeof(mine), counts.data()));
  steps->resize(counts[0]);
  RETURN_IF_ERROR(
      ranks->Broadcast(TensorView(steps->data(), DType::kI64, {counts[0]}), 0));
  return steps;
}

bool HasManifest(FileSystem* file_system, const std::string& folder) {
  return file_system->Exists(JoinPath(folder, kManifestName));
}

absl::Status RemoveCheckpoint(FileSystem* file_system,
                              const std::string& folder) {
  if (HasManifest(file_system, folder)) {
    RETURN_IF_ERROR(file_system->Remove(JoinPath(folder, kManifestName)));
    RETURN_IF_ERROR(file_system->SyncFolder(folder));
  }
  ASSIGN_OR_RETURN(const auto names, file_system->List(folder));
  for (const std::string& name : names) {
    RETURN_IF_ERROR(file_system->Remove(JoinPath(folder, name)));
  }
  return file_system->RemoveFolder(folder);
}

absl::StatusOr<std::optional<BestCheckpoint>> ReadMarker(
    FileSystem* file_system, const std::string& path) {
  if (!file_system->Exists(path)) return std::optional<BestCheckpoint>();
  ASSIGN_OR_RETURN(const std::string text,
                   ReadBoundedFile(path, kMaxMarkerBytes, file_system));
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("step") ||
      !json["step"].is_number_unsigned() || !json.contains("score") ||
      !json["score"].is_number()) {
    return absl::DataLossError(
        path + ": is damaged: expected a JSON object with 'step' and 'score'");
  }
  const BestCheckpoint best = {json["step"].get<uint64_t>(),
                               json["score"].get<double>()};
  // Those of older programs have no checksum, and no fields but these.
  const bool whole = json.contains("checksum")
                         ? json["checksum"] == ChecksumOfFields(json)
                         : json.size() == 3 && json.contains("checkpoint") &&
                               json["checkpoint"] == FolderName(best.step);
  if (!whole) {
    return absl::DataLossError(
        path + ": is damaged: its fields do not agree with its checksum");
  }
  return std::optional<BestCheckpoint>(best);
}

std::string BestPath(const std::string& run_folder) {
  return JoinPath(CheckpointsFolder(run_folder), kBestName);
}

}  // namespace

std::string CheckpointsFolder(const std::string& run_folder) {
  return JoinPath(run_folder, "checkpoints");
}

std::string CheckpointFolder(const std::string& run_folder, uint64_t step) {
  return JoinPath(CheckpointsFolder(run_folder), FolderName(step));
}

absl::StatusOr<std::vector<uint64_t>> ListCheckpoints(
    FileSystem* file_system, const std::string& run_folder) {
  ASSIGN_OR_RETURN(std::vector<uint64_t> steps,
                   ListFolders(file_system, run_folder));
  std::erase_if(steps, [&](uint64_t step) {
    return !HasManifest(file_system, CheckpointFolder(run_folder, step));
  });
  return steps;
}

absl::StatusOr<LatestCheckpointResult> LatestCheckpoint(
    FileSystem* file_system, const std::string& run_folder, Collective* ranks) {
  LatestCheckpointResult result;
  ASSIGN_OR_RETURN(const std::vector<uint64_t> steps,
                   ListFoldersOfRank0(file_system, run_folder, ranks));
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    const std::string folder = CheckpointFolder(run_folder, *step);
    absl::StatusOr<Manifest> manifest =
        VerifyCheckpoint(file_system, folder, ranks);
    // Of a group that lost a rank, every error looks like the checkpoint's.
    if (ranks != nullptr) RETURN_IF_ERROR(ranks->Barrier());
    if (manifest.ok() && manifest->step == *step) {
      result.step = *step;
      result.folder = folder;
      result.manifest = *std::move(manifest);
      break;
    }
    result.warnings.push_back(
        manifest.ok()
            ? absl::StrCat(folder, ": its manifest is of step ", manifest->step)
            : std::string(manifest.status().message()));
  }
  return result;
}

absl::Status PruneCheckpoints(FileSystem* file_system,
                              const std::string& run_folder, size_t keep_last,
                              const std::set<uint64_t>& keep, uint64_t newest) {
  ASSIGN_OR_RETURN(std::vector<uint64_t> complete,
                   ListCheckpoints(file_system, run_folder));
  std::erase_if(complete, [newest](uint64_t step) { return step > newest; });
  if (complete.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<uint64_t> folders,
                   ListFolders(file_system, run_folder));
  std::set<uint64_t> kept = keep;
  kept.insert(complete.end() - std::min(keep_last, complete.size()),
              complete.end());
  const auto best = ReadMarker(file_system, BestPath(run_folder));
  RETURN_IF_ERROR(best.status());  // rather than remove the best one
  if (best->has_value()) kept.insert((*best)->step);
  for (const uint64_t step : folders) {
    // What is newer may be being written.
    if (step > complete.back()) continue;
    const std::string folder = CheckpointFolder(run_folder, step);
    const bool wanted =
        kept.count(step) > 0 && HasManifest(file_system, folder);
    if (!wanted) RETURN_IF_ERROR(RemoveCheckpoint(file_system, folder));
  }
  return absl::OkStatus();
}

absl::Status MarkBestCheckpoint(FileSystem* file_system,
                                const std::string& run_folder,
                                const BestCheckpoint& best) {
  if (!std::isfinite(best.score)) {
    return absl::InvalidArgumentError(
        absl::StrCat(run_folder, ": the score ", best.score, " of step ",
                     best.step, " is not a finite number"));
  }
  RETURN_IF_ERROR(
      ReadManifest(file_system, CheckpointFolder(run_folder, best.step))
          .status());
  Json json = {{"checkpoint", FolderName(best.step)},
               {"step", best.step},
               {"score", best.score}};
  json["checksum"] = ChecksumOfFields(json);
  return file_system->WriteFileAtomically(BestPath(run_folder),
                                          json.dump(2) + "\n");
}

absl::Status VerifyBestMarker(FileSystem* file_system,
                              const std::string& run_folder) {
  return ReadMarker(file_system, BestPath(run_folder)).status();
}

absl::StatusOr<std::optional<BestCheckpoint>> ReadBestCheckpoint(
    FileSystem* file_system, const std::string& run_folder) {
  const std::string path = BestPath(run_folder);
  ASSIGN_OR_RETURN(const std::optional<BestCheckpoint> best,
                   ReadMarker(file_system, path));
  if (best.has_value()) {
    RETURN_IF_ERROR(Annotate(
        ReadManifest(file_system, CheckpointFolder(run_folder, best->step))
            .status(),
        path));
  }
  return best;
}

}  // namespace caracal
