// GPU memory of a rank on paper: bf16 weights and activations, fp32 for what is
// trained.
#ifndef CARACAL_JOBS_PLAN_MEMORY_H_
#define CARACAL_JOBS_PLAN_MEMORY_H_

#include <cstdint>

#include "jobs/plan/stage_layout.h"

namespace caracal {

// Bytes.
struct MemoryEstimate {
  uint64_t layer_weights = 0;
  uint64_t vocabulary_weights = 0;  // embedding, last norm, head
  uint64_t trained = 0;      // fp32 and bf16 values, gradients, own moments
  uint64_t activations = 0;  // kept by a micro-batch for its gradients
  uint64_t ahead = 0;        // of a chain: micro-batches the teacher is ahead
  uint64_t scratch = 0;      // what layers share, a chunk of logits
  uint64_t runtime = 0;      // CUDA's context, NCCL's buffers
  uint64_t total() const {
    return layer_weights + vocabulary_weights + trained + activations + ahead +
           scratch + runtime;
  }
};

// Nothing is recomputed in a fine-tune's backward.
MemoryEstimate EstimateMemory(const StageLayout& layout, const RankPart& part,
                              const MeshPlace& place);

// What the rank writes of a checkpoint: values and moments of what it updates.
uint64_t CheckpointBytes(const StageLayout& layout, const RankPart& part,
                         const MeshPlace& place);

}  // namespace caracal

#endif  // CARACAL_JOBS_PLAN_MEMORY_H_
