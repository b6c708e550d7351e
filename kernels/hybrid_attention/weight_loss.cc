#include "kernels/hybrid_attention/weight_loss.h"

#include <algorithm>

#include "kernels/common/dispatch.h"
#include "kernels/hybrid_attention/bind_args.h"
#include "kernels/hybrid_attention/gradient_parts.h"
#include "kernels/hybrid_attention/weight_loss_version.h"

namespace caracal::kernels {
namespace {

using Args = HybridAttentionArgs<float>;

const WeightLossVersion& Version() {
  return ForCurrentIsa(kWeightLossReference, avx2::kWeightLossVersion,
                       avx512::kWeightLossVersion);
}

struct Plan {
  Plan(const Context& ctx, const Args& args,
       const HybridAttentionGradients& grads, int64_t longest, void* memory)
      : wave(std::min(kGradientWave, args.sequences)),
        arena(Version().arena(args, longest)),
        carver(memory),
        parts(args, grads, wave, carver) {
    carver.Take(ctx.pool->threads() * arena, arenas);
    carver.Take(wave * args.heads * sizeof(AttentionWeightLoss), losses);
  }

  int64_t wave;
  size_t arena;
  WorkspaceCarver carver;
  GradientParts parts;
  char* arenas = nullptr;
  AttentionWeightLoss* losses = nullptr;  // [wave, H]
};

}  // namespace

size_t AttentionWeightLossWorkspaceBytes(
    const Context& ctx, const HybridAttentionConfig& config,
    const HybridAttentionInputs& in, const HybridAttentionGradients& grads) {
  const Args args = BindInputs(config, in);
  return Plan(ctx, args, grads, LongestSequence(in), nullptr).carver.used();
}

void AttentionWeightLossBackward(const Context& ctx,
                                 const HybridAttentionConfig& config,
                                 const HybridAttentionInputs& in, float scale,
                                 const HybridAttentionGradients& grads,
                                 AttentionWeightLoss* loss,
                                 Workspace workspace) {
  const Args args = BindInputs(config, in);
  const int64_t H = args.heads;
  const Plan plan(ctx, args, grads, LongestSequence(in), workspace.data);
  CARACAL_CHECK(workspace.bytes >= plan.carver.used())
      << workspace.bytes << " of " << plan.carver.used();
  CARACAL_CHECK(!grads.dq.defined() && !grads.dk.defined() &&
                !grads.dv.defined());
  const WeightLossVersion& version = Version();
  for (int64_t first = 0; first < args.sequences; first += plan.wave) {
    const int64_t slots = std::min(plan.wave, args.sequences - first);
    ctx.pool->ParallelFor(slots * H, [&](int64_t i, int thread) {
      HybridAttentionBackwardTask<float> task;
      task.sequence = first + i / H;
      task.head = i % H;
      task.scale = scale;
      plan.parts.Assign(i / H, i % H, task);
      version.run(args, task, &plan.losses[i],
                  plan.arenas + thread * plan.arena);
    });
    plan.parts.Add(*ctx.pool, slots);
    for (int64_t i = 0; i < slots * H; ++i) {
      loss->cross_entropy += plan.losses[i].cross_entropy;
      loss->teacher_entropy += plan.losses[i].teacher_entropy;
    }
  }
}

}  // namespace caracal::kernels
