// Bytes that a rank sends in one optimiser step of a stage: what
// Gang::traffic() counts, worked out beforehand. Steps with a validation, a
// probe or a checkpoint, and the first of a stage, send more.
#ifndef CARACAL_JOBS_PLAN_COMMUNICATION_H_
#define CARACAL_JOBS_PLAN_COMMUNICATION_H_

#include <cstdint>
#include <string>

#include "dist/gang/gang.h"
#include "jobs/plan/stage_layout.h"

namespace caracal {

// How often a rank's tensor group moves a residual stream [R, C] of a
// micro-batch of R tokens (core/model/ops).
struct StreamOperations {
  int64_t gathers = 0;  // of all rows, each rank's to all others
  int64_t sums = 0;     // of partial rows, each rank getting its share
  // All-reduces of a float a target, and of the gradient [n, C] of the normed
  // rows, of a fine-tune's loss.
  int64_t target_sums = 0, row_sums = 0;
};
StreamOperations StreamOperationsOf(const StageLayout& layout,
                                    const MeshPlace& place);

// Floats that the ranks of a tensor group sum because several hold the same
// trained tensor.
int64_t SharedElements(const RankPart& part);

// Every target counts towards the loss: where the data masks some, a fine-tune
// sends that much less in `tensor`.
GangTraffic StepTraffic(const StageLayout& layout, const RankPart& part,
                        const MeshPlace& place);

// One line for each group of StepTraffic with more than one rank: what the
// numbers are made of, in the symbols that SymbolWords explains.
struct TrafficFormulas {
  std::string tensor, data, layer, world;
};
TrafficFormulas FormulasOf(const StageLayout& layout, const MeshPlace& place);
std::string SymbolWords(const StageLayout& layout);

}  // namespace caracal

#endif  // CARACAL_JOBS_PLAN_COMMUNICATION_H_
