// A stage of a job laid out over ranks, and what each of them holds: worked out
// from sizes alone, nothing is loaded.
#ifndef CARACAL_JOBS_PLAN_STAGE_LAYOUT_H_
#define CARACAL_JOBS_PLAN_STAGE_LAYOUT_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "core/io/model_config.h"
#include "core/model/adapters.h"
#include "core/model/shard.h"
#include "dist/gradients/bucket_plan.h"
#include "dist/mesh/mesh.h"
#include "proto/job.pb.h"

namespace caracal {

// Rows whose logits a GPU has at a time.
inline constexpr int64_t kGpuLossRows = 2048;

struct StageLayout {
  ModelConfig model;
  StudentConfig student;
  MeshShape mesh;
  bool transfer = false;
  std::vector<ParameterGroup> trained;
  // What transfer learns from: attention's outputs (mse), its weights (xent,
  // kl).
  bool output_loss = false, weight_loss = false;
  bool logit_kl = false;    // fine-tuning that runs the teacher, too
  int64_t rows = 1;         // of a step, over all ranks; mesh.data divides it
  int64_t micro_rows = 1;   // that a rank runs at a time
  int64_t seq_len = 0;      // tokens of a row
  bool by_clock = false;    // checkpoints by time: ranks agree when
  bool curriculum = false;  // whose values the leading rank tells the others
  bool on_gpus = false;     // which keep what hosts gather again
  int64_t value_bytes = 4;  // of a value of the residual stream

  // Rows of each micro-batch of a data rank.
  std::vector<int64_t> MicroBatches() const;
};

// Of an expanded job's stage on `mesh`. kInvalidArgument as StudentConfigOf.
absl::StatusOr<StageLayout> LayOut(const proto::Job& job, int stage,
                                   const ModelConfig& model, int64_t seq_len,
                                   const MeshShape& mesh);

// Outputs of a feature map, of a head.
int64_t FeatureOutputs(const StageLayout& layout);

// The mesh that a job runs a stage on.
MeshShape MeshOf(const proto::Job& job, int stage);

// What one rank has of the model.
struct RankPart {
  IndexRange layers;
  HeadSplit split;  // query and key/value heads
  IndexRange columns, vocabulary;
  int64_t layer_weights = 0;       // elements, of all its layers
  int64_t vocabulary_weights = 0;  // embedding, last norm and head
  std::vector<TrainedTensor> trained;
  int64_t weights() const { return layer_weights + vocabulary_weights; }
  int64_t trained_elements() const;
};

// kInvalidArgument when the model cannot be split so.
absl::StatusOr<RankPart> PartOf(const StageLayout& layout,
                                const MeshPlace& place);

// Trained elements that a data rank updates and has the moments of.
int64_t UpdatedElements(const RankPart& part, int data_ranks, int data_rank);

// The tensors of `groups` among those that Adapters(shape, student) has, as
// its store lays them out.
std::vector<TrainedTensor> TrainedTensors(
    const AdapterShape& shape, const StudentConfig& student,
    const std::vector<ParameterGroup>& groups);

}  // namespace caracal

#endif  // CARACAL_JOBS_PLAN_STAGE_LAYOUT_H_
