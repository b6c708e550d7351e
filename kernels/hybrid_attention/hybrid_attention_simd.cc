#include "kernels/hybrid_attention/hybrid_attention_simd.h"

#include "kernels/hybrid_attention/backward_head.h"
#include "kernels/hybrid_attention/decode_row.h"
#include "kernels/hybrid_attention/forward_head.h"

namespace caracal::kernels::CARACAL_SIMD_NS {
namespace {

size_t ForwardArenaBytes(const HybridAttentionArgs<float>& args, int64_t) {
  return ForwardArena(args, nullptr).arena.used();
}

size_t BackwardArenaBytes(const HybridAttentionArgs<float>& args,
                          int64_t longest) {
  return AttentionBackwardArena(args, longest, nullptr).arena.used();
}

void Forward(const HybridAttentionArgs<float>& args, int64_t sequence,
             int64_t head, void* memory) {
  const HeadPlan plan(args, sequence, head);
  ForwardArena arena(args, memory);
  LinearState state = StateOf(args, sequence, head, arena);
  if (CanDecode(plan)) {
    DecodeRow(args, plan, head, state, arena.block);
  } else {
    ForwardBlocks(args, plan, head, state, arena);
  }
}

void Backward(const HybridAttentionArgs<float>& args, const BackwardTask& task,
              void* memory) {
  BackwardHead(args, task, memory);
}

}  // namespace

const HybridAttentionVersion kHybridAttentionVersion = {
    ForwardArenaBytes, BackwardArenaBytes, Forward, Backward};

}  // namespace caracal::kernels::CARACAL_SIMD_NS
