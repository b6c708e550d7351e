// The checkpoints of a job's run, for those who look.
#ifndef CARACAL_JOBS_COORDINATOR_ENGINE_CHECKPOINT_LIST_H_
#define CARACAL_JOBS_COORDINATOR_ENGINE_CHECKPOINT_LIST_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/file_system.h"
#include "dist/checkpoint/catalogue.h"

namespace caracal {

struct ListedCheckpoint {
  uint64_t step = 0;
  uint64_t bytes = 0;
  int64_t ranks = 0;
  // One that is removed or damaged meanwhile is listed with what is known.
  std::string problem = "";
};

struct CheckpointList {
  std::vector<ListedCheckpoint> checkpoints;  // the newest first
  std::optional<BestCheckpoint> best;
};

// Empty when the run has none yet.
absl::StatusOr<CheckpointList> ReadCheckpointList(
    FileSystem* files, const std::string& run_folder);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_ENGINE_CHECKPOINT_LIST_H_
