// Checkpoints of a training run: what goes in, and how a run goes on from one.
#ifndef CARACAL_JOBS_TRAIN_CHECKPOINTING_H_
#define CARACAL_JOBS_TRAIN_CHECKPOINTING_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/file_system.h"
#include "core/model/llama.h"
#include "core/optim/adamw.h"
#include "dist/checkpoint/async_checkpointer.h"
#include "dist/checkpoint/checkpoint_reader.h"
#include "jobs/train/train_state.h"

namespace caracal {

struct CheckpointingOptions {
  std::string folder;  // the run's checkpoints/
  std::string model_fingerprint;
  std::string job_fingerprint;
  int keep_last = 2;
  FileSystem* files = FileSystem::Posix();
};

// Saves off the training thread's path, at most one save in flight; restores.
// Used by one thread.
class Checkpointing {
 public:
  explicit Checkpointing(CheckpointingOptions options);

  // Copies all trained tensors (and the optimizer's moments, unless null) and
  // hands them to the writer. `best`: the best validation loss so far. Errors
  // of the save before come back here. Old checkpoints are pruned.
  absl::Status Save(const TrainState& state, const Llama& model,
                    AdamW* optimizer, bool best);
  // Until the save in flight is durable.
  absl::Status Wait();

  // Reads the newest whole checkpoint into the model's parameters. Empty when
  // there is none. `warnings`: what was passed over, and why.
  absl::StatusOr<std::optional<TrainState>> Restore(
      Llama& model, std::vector<std::string>* warnings);
  // The optimizer's moments of the checkpoint that Restore() read.
  absl::Status RestoreMoments(AdamW& optimizer);

  // Checkpoint folder that Restore() read.
  const std::string& restored_from() const { return restored_from_; }

 private:
  CheckpointingOptions options_;
  AsyncCheckpointer writer_;
  std::string restored_from_;
};

// Reads the trained tensors of a checkpoint folder into the adapters; for
// everyone who only wants the model.
absl::Status ReadCheckpointParameters(const std::string& folder,
                                      const std::string& model_fingerprint,
                                      Adapters* adapters);

}  // namespace caracal

#endif  // CARACAL_JOBS_TRAIN_CHECKPOINTING_H_
