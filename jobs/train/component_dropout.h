// Scheduled sliding-window dropout: which parts of a step run in the drop
// mode, as a function of the step and the drop probability alone.
//
// The draws are keyed by (seed, step of the whole job, sample of the batch,
// layer, head): the same for any split into micro-batches or ranks, under
// recomputation and after a resume.
#ifndef CARACAL_JOBS_TRAIN_COMPONENT_DROPOUT_H_
#define CARACAL_JOBS_TRAIN_COMPONENT_DROPOUT_H_

#include <cstdint>

#include "core/model/mode_plan.h"
#include "core/model/token_batch.h"
#include "kernels/hybrid_attention/hybrid_attention.h"
#include "proto/job.pb.h"

namespace caracal {

// What is dropped together, and what a dropped unit computes.
struct DropRule {
  uint64_t seed = 0;
  proto::Curriculum::Granularity granularity = proto::Curriculum::SAMPLE_LAYER;
  uint8_t terms = kernels::kLaOnlyTerms;  // of dropped heads
  int64_t first_head = 0;                 // of this shard
};
DropRule DropRuleOf(const proto::Curriculum& curriculum, uint64_t seed);

// Whether the unit is dropped. `head` counts over the whole model.
bool IsDropped(const DropRule& rule, double probability, int64_t global_step,
               int64_t sample, int64_t layer, int64_t head);

// Puts the dropped units of a batch, whose first row is `first_sample` of the
// step, into a plan that was filled for it. Returns how many (sample, layer,
// head) were dropped. Layers that are full softmax never are.
int64_t ApplyDrops(const DropRule& rule, double probability,
                   int64_t global_step, int64_t first_sample,
                   const TokenBatch& batch, ModePlan* plan);

}  // namespace caracal

#endif  // CARACAL_JOBS_TRAIN_COMPONENT_DROPOUT_H_
