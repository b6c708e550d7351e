#include "kernels/causal_attention/causal_attention_simd.h"

#include "kernels/causal_attention/backward_pass.h"
#include "kernels/causal_attention/forward_pass.h"

namespace caracal::kernels::CARACAL_SIMD_NS {
namespace {

// Fewer queries than this go one by one.
constexpr int64_t kFewQueries = 4;

size_t ForwardArenaBytes(const CausalAttentionArgs<float>& args) {
  return CausalForwardArena(args.D, nullptr).arena.used();
}

size_t BackwardArenaBytes(const CausalAttentionArgs<float>& args,
                          int64_t longest) {
  return CausalBackwardArena(args.D, longest, nullptr).arena.used();
}

void Forward(const CausalAttentionArgs<float>& args, int64_t sequence,
             int64_t h, void* memory) {
  const CausalHead head(args, sequence, h);
  CausalForwardArena arena(head.D, memory);
  const bool few = head.queries < kFewQueries;
  for (int64_t query = 0; query < head.queries; query += few ? 1 : kQueries) {
    if (few) {
      CausalForwardRow(args, head, h, query, arena);
    } else {
      CausalForwardBlock(args, head, h, query, arena);
    }
  }
}

void Backward(const CausalAttentionArgs<float>& args,
              const CausalAttentionBackwardTask<float>& task, void* memory) {
  CausalBackwardHead(args, task, memory);
}

}  // namespace

const CausalAttentionVersion kCausalAttentionVersion = {
    ForwardArenaBytes, BackwardArenaBytes, Forward, Backward};

}  // namespace caracal::kernels::CARACAL_SIMD_NS
