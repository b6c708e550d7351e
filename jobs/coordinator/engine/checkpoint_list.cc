#include "jobs/coordinator/engine/checkpoint_list.h"

#include "core/base/status.h"
#include "core/base/utf8.h"

namespace caracal {

absl::StatusOr<CheckpointList> ReadCheckpointList(
    FileSystem* files, const std::string& run_folder) {
  ASSIGN_OR_RETURN(const std::vector<uint64_t> steps,
                   ListCheckpoints(files, run_folder));
  CheckpointList list;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    ListedCheckpoint& entry = list.checkpoints.emplace_back();
    entry.step = *step;
    const auto manifest =
        ReadManifest(files, CheckpointFolder(run_folder, *step));
    if (!manifest.ok()) {
      entry.problem = AsValidUtf8(manifest.status().message());
      continue;
    }
    entry.bytes = manifest->bytes();
    entry.ranks = static_cast<int64_t>(manifest->rank_files.size());
  }
  if (auto best = ReadBestCheckpoint(files, run_folder); best.ok()) {
    list.best = *best;
  }
  return list;
}

}  // namespace caracal
