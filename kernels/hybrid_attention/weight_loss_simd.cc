#include "kernels/hybrid_attention/weight_loss_head.h"
#include "kernels/hybrid_attention/weight_loss_version.h"

namespace caracal::kernels::CARACAL_SIMD_NS {
namespace {

size_t ArenaBytes(const HybridAttentionArgs<float>& args, int64_t longest) {
  return WeightLossArena(args, longest, nullptr).arena.used();
}

void Run(const HybridAttentionArgs<float>& args, const BackwardTask& task,
         AttentionWeightLoss* loss, void* memory) {
  WeightLossHead(args, task, loss, memory);
}

}  // namespace

const WeightLossVersion kWeightLossVersion = {ArenaBytes, Run};

}  // namespace caracal::kernels::CARACAL_SIMD_NS
