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
#include "dist/checkpoint/catalogue.h"
#include "dist/checkpoint/reader.h"
#include "dist/gang/gang.h"
#include "jobs/train/train_state.h"

namespace caracal {

// The base model that a checkpoint's tensors go with.
struct BaseModel {
  std::string path;  // for people
  std::string fingerprint;
};

// A file of rows that a run trains or validates on.
struct RunData {
  std::string path;         // for people
  std::string fingerprint;  // of its contents
};

struct CheckpointingOptions {
  std::string run_folder;  // checkpoints lie in its checkpoints/
  BaseModel model;
  RunData data;
  RunData validation;  // both "": none
  std::string job_fingerprint;
  // Of the generator all draws come from, as JSON: for whoever reads the file.
  // Draws are functions of this key and the cursors of the training state.
  std::string random;
  int keep_last = 2;
  // As the trainer was told: the best state's checkpoint is marked.
  bool keep_best = true;
  FileSystem* files = FileSystem::Posix();
  // The ranks that train together: each writes what it owns, and all make the
  // same calls. Null: one process.
  Gang* gang = nullptr;
};

// Saves off the training thread's path, at most one save in flight; restores,
// whatever the layout that saved. Used by one thread.
class Checkpointing {
 public:
  explicit Checkpointing(CheckpointingOptions options);

  // Copies all trained tensors (and the optimizer's moments, unless null) and
  // hands them to the writer; nothing to do when the state of this step was
  // saved last. With a `best` score the checkpoint is marked as the best so far
  // and kept. Errors of the save before come back here. Old checkpoints are
  // pruned.
  absl::Status Save(const TrainState& state, const Llama& model,
                    AdamW* optimizer, std::optional<double> best);
  // Until the save in flight is durable.
  absl::Status Wait();

  // Where the newest whole checkpoint goes on; ranks share out the files to
  // verify. Empty when there is none. `warnings`: what was passed over, and
  // why. kFailedPrecondition when it is of another job, model or data.
  absl::StatusOr<std::optional<TrainState>> Find(
      std::vector<std::string>* warnings);
  // The parameters of the checkpoint that was found or saved last, for a model
  // laid out in whatever way; waits for a save in flight. Nothing when there is
  // none.
  absl::Status RestoreParameters(Llama& model);
  // The optimizer's moments of the checkpoint that Find() opened, once.
  absl::Status RestoreMoments(AdamW& optimizer);

  // Reads the parameters of the best checkpoint, which must be that of
  // `global_step`; waits for the save in flight. kNotFound naming the folder
  // when it is gone.
  absl::Status RestoreBestParameters(int64_t global_step, Llama& model);

  // Checkpoint folder that Find() found.
  const std::string& restored_from() const { return restored_from_; }

 private:
  absl::Status AfterWrite();
  absl::Status ReadParametersOf(int64_t global_step, Llama& model);
  absl::Status Prune(uint64_t newest);
  // A kill between a checkpoint and the mark of the best one leaves the mark
  // at an older one; the state of a checkpoint knows better. Likewise when the
  // mark is damaged; where the state does not say, nothing is pruned for now.
  absl::Status MarkBestOf(const TrainState& state,
                          std::vector<std::string>* warnings);
  // Whether the state's best checkpoint is there, and marked.
  absl::StatusOr<bool> MarkBestIn(const TrainState& state, bool damaged);
  // The ranks, unless there is just one process.
  Collective* Ranks() {
    return options_.gang == nullptr || options_.gang->alone()
               ? nullptr
               : &options_.gang->world();
  }
  absl::Status Agree(const absl::Status& mine) {
    return options_.gang == nullptr ? mine : options_.gang->Agree(mine);
  }

  CheckpointingOptions options_;
  std::string restored_from_;
  std::optional<CheckpointReader> restored_;
  TrainState last_saved_;
  bool saved_any_ = false;
  // Of the checkpoint in flight; read by the writing thread.
  uint64_t writing_step_ = 0;
  std::optional<double> writing_best_;
  bool prune_waits_ = false;  // which one is the best is not known
  CheckpointContents contents_;
  AsyncCheckpointer writer_;  // last: its thread uses the above
};

// Reads the trained tensors of a checkpoint into the adapters; for everyone
// who only wants the model. kFailedPrecondition, naming both fingerprints and
// the model's path, when it was trained from another model.
absl::Status ReadCheckpointParameters(const CheckpointReader& reader,
                                      const BaseModel& model,
                                      Adapters* adapters);

}  // namespace caracal

#endif  // CARACAL_JOBS_TRAIN_CHECKPOINTING_H_
