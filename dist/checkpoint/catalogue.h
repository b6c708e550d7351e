// The checkpoints of a run: `checkpoints/checkpoint-<step, 8 digits>/` in the
// run's folder, and `checkpoints/best.json`, which points to one of them.
//
// Only folders with a manifest count. All functions may run while one other
// thread writes a newer checkpoint.
#ifndef CARACAL_DIST_CHECKPOINT_CATALOGUE_H_
#define CARACAL_DIST_CHECKPOINT_CATALOGUE_H_

#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/file_system.h"
#include "core/collective/collective.h"
#include "dist/checkpoint/manifest.h"

namespace caracal {

// "<run>/checkpoints" and "<run>/checkpoints/checkpoint-00000012".
std::string CheckpointsFolder(const std::string& run_folder);
std::string CheckpointFolder(const std::string& run_folder, uint64_t step);

// Steps of the folders that have a manifest, rising; it may still be damaged.
// None when the run has no checkpoints folder yet.
absl::StatusOr<std::vector<uint64_t>> ListCheckpoints(
    FileSystem* file_system, const std::string& run_folder);

struct LatestCheckpointResult {
  std::optional<uint64_t> step;  // none: the run has no usable checkpoint
  std::string folder;            // of that step
  Manifest manifest;             // likewise
  // One sentence for each newer folder that was passed over.
  std::vector<std::string> warnings;
};

// The newest checkpoint whose files all agree with its manifest. With `ranks`
// they all call, look at what rank 0 sees, each read their share of the files,
// and get the same answer.
absl::StatusOr<LatestCheckpointResult> LatestCheckpoint(
    FileSystem* file_system, const std::string& run_folder,
    Collective* ranks = nullptr);

// Removes all checkpoints but the `keep_last` newest, those in `keep` and the
// best one, and what crashes left behind: folders without a manifest that are
// older than the newest checkpoint. A checkpoint stops existing (its manifest
// goes, durably) before its files do.
//
// What is newer than step `newest` neither counts nor goes: a run that went on
// from before damaged checkpoints keeps none of them in place of a whole one.
//
// kDataLoss, and nothing goes, while the mark of the best one is damaged.
absl::Status PruneCheckpoints(
    FileSystem* file_system, const std::string& run_folder, size_t keep_last,
    const std::set<uint64_t>& keep = {},
    uint64_t newest = std::numeric_limits<uint64_t>::max());

struct BestCheckpoint {
  uint64_t step = 0;
  double score = 0;  // whatever the job minimises
};

// Replaces the marker. The checkpoint must be there (kNotFound).
absl::Status MarkBestCheckpoint(FileSystem* file_system,
                                const std::string& run_folder,
                                const BestCheckpoint& best);
// kDataLoss naming the file when there is a marker and it is damaged.
absl::Status VerifyBestMarker(FileSystem* file_system,
                              const std::string& run_folder);
// nullopt without a marker. kDataLoss when it can't be read, kNotFound when
// the checkpoint it names is gone.
absl::StatusOr<std::optional<BestCheckpoint>> ReadBestCheckpoint(
    FileSystem* file_system, const std::string& run_folder);

}  // namespace caracal

#endif  // CARACAL_DIST_CHECKPOINT_CATALOGUE_H_
