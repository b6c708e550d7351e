// Forward: one task a (sequence, head), spread over the threads.
#include "kernels/hybrid_attention/hybrid_attention.h"

#include "kernels/common/dispatch.h"
#include "kernels/hybrid_attention/bind_args.h"
#include "kernels/hybrid_attention/hybrid_attention_ref.h"
#include "kernels/hybrid_attention/hybrid_attention_simd.h"

namespace caracal::kernels {
namespace {

const HybridAttentionVersion& Version() {
  return ForCurrentIsa(kHybridAttentionReference, avx2::kHybridAttentionVersion,
                       avx512::kHybridAttentionVersion);
}

}  // namespace

size_t HybridAttentionForwardWorkspaceBytes(const Context& ctx,
                                            const HybridAttentionConfig& config,
                                            const HybridAttentionInputs& in) {
  const HybridAttentionArgs<float> args = BindInputs(config, in);
  return ctx.pool->threads() *
         Version().forward_arena(args, LongestSequence(in));
}

void HybridAttentionForward(const Context& ctx,
                            const HybridAttentionConfig& config,
                            const HybridAttentionInputs& in,
                            const HybridAttentionPast* past,
                            const HybridAttentionOutputs& out,
                            Workspace workspace) {
  HybridAttentionArgs<float> args = BindInputs(config, in);
  if (past != nullptr && past->length != nullptr) BindPast(*past, args);
  BindOutputs(out, args);
  const HybridAttentionVersion& version = Version();
  const size_t arena = version.forward_arena(args, LongestSequence(in));
  CARACAL_CHECK(workspace.bytes >= ctx.pool->threads() * arena)
      << workspace.bytes;
  char* const arenas = static_cast<char*>(workspace.data);
  ctx.pool->ParallelFor(args.sequences * args.heads, [&](int64_t task,
                                                         int thread) {
    const int64_t sequence = task / args.heads;
    if (args.length(sequence) == 0) return;
    version.forward(args, sequence, task % args.heads, arenas + thread * arena);
  });
}

}  // namespace caracal::kernels
