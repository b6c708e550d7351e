// Backward: who computes which part of the gradients, and in which order the
// parts are summed.
#include <algorithm>

#include "kernels/common/dispatch.h"
#include "kernels/common/grouped_heads.h"
#include "kernels/hybrid_attention/bind_args.h"
#include "kernels/hybrid_attention/gradient_parts.h"
#include "kernels/hybrid_attention/hybrid_attention.h"
#include "kernels/hybrid_attention/hybrid_attention_ref.h"
#include "kernels/hybrid_attention/hybrid_attention_simd.h"

namespace caracal::kernels {
namespace {

using Args = HybridAttentionArgs<float>;
using Task = HybridAttentionBackwardTask<float>;

const HybridAttentionVersion& Version() {
  return ForCurrentIsa(kHybridAttentionReference, avx2::kHybridAttentionVersion,
                       avx512::kHybridAttentionVersion);
}

// How a call is cut up, and where its workspace goes.
struct Plan {
  Plan(const Context& ctx, const Args& args,
       const HybridAttentionGradients& grads, int64_t longest, void* memory)
      : wave(std::min(kGradientWave, args.sequences)),
        wants_kv(grads.dk.defined() || grads.dv.defined()),
        arena(Version().backward_arena(args, longest)),
        carver(memory),
        parts(args, grads, wave, carver) {
    const int64_t group = args.heads / args.kv_heads;
    const int64_t tasks = wave * args.kv_heads, threads = ctx.pool->threads();
    // A task takes all query heads of a key head, which then share dk and dv,
    // unless that would leave threads idle.
    split = wants_kv && SplitGroups(tasks, group, threads);
    heads_per_task = wants_kv && !split ? group : 1;

    carver.Take(threads * arena, arenas);
    carver.Take(wave * args.heads * sizeof(double), squared_error);
    if (!split) return;
    for (int64_t i = 0; i < args.sequences; i += wave) {
      const int64_t last = std::min(i + wave, args.sequences);
      wave_rows = std::max(wave_rows, args.offsets[last] - args.offsets[i]);
    }
    const size_t bytes = args.heads * wave_rows * args.D * sizeof(float);
    if (grads.dk.defined()) carver.Take(bytes, dk);
    if (grads.dv.defined()) carver.Take(bytes, dv);
  }

  int64_t wave;
  bool wants_kv, split = false;
  int64_t heads_per_task = 1;
  size_t arena;
  WorkspaceCarver carver;
  GradientParts parts;
  char* arenas = nullptr;
  double* squared_error = nullptr;  // [wave, H]
  float* dk = nullptr;              // [H, wave_rows, D], if split
  float* dv = nullptr;
  int64_t wave_rows = 0;
};

}  // namespace

size_t HybridAttentionBackwardWorkspaceBytes(
    const Context& ctx, const HybridAttentionConfig& config,
    const HybridAttentionInputs& in, const HybridAttentionGradients& grads) {
  const Args args = BindInputs(config, in);
  return Plan(ctx, args, grads, LongestSequence(in), nullptr).carver.used();
}

void HybridAttentionBackward(const Context& ctx,
                             const HybridAttentionConfig& config,
                             const HybridAttentionInputs& in,
                             const HybridAttentionCotangent& cotangent,
                             const HybridAttentionGradients& grads,
                             Workspace workspace) {
  const Args args = BindInputs(config, in);
  const int64_t H = args.heads, group = H / args.kv_heads;
  const Plan plan(ctx, args, grads, LongestSequence(in), workspace.data);
  CARACAL_CHECK(workspace.bytes >= plan.carver.used())
      << workspace.bytes << " of " << plan.carver.used();
  CARACAL_CHECK(cotangent.dy.defined() != cotangent.target.defined());

  Task common;
  common.dy = BindHeadRows<const float>(cotangent.dy, args.rows, H, args.D);
  common.target =
      BindHeadRows<const float>(cotangent.target, args.rows, H, args.D);
  common.scale = cotangent.scale;
  common.dq = BindHeadRows<float>(grads.dq, args.rows, H, args.D);
  const HeadRows<float> dk =
      BindHeadRows<float>(grads.dk, args.rows, args.kv_heads, args.D);
  const HeadRows<float> dv =
      BindHeadRows<float>(grads.dv, args.rows, args.kv_heads, args.D);
  const bool wants_error =
      cotangent.target.defined() && cotangent.squared_error != nullptr;

  const HybridAttentionVersion& version = Version();
  const auto run_head = [&](int64_t first, int64_t slot, int64_t head,
                            int thread) {
    Task task = common;
    task.sequence = first + slot;
    task.head = head;
    const int64_t row = args.offsets[task.sequence];
    if (plan.split) {
      const int64_t at =
          (head * plan.wave_rows + row - args.offsets[first]) * args.D;
      if (dk.data != nullptr) task.dk = plan.dk + at;
      if (dv.data != nullptr) task.dv = plan.dv + at;
      task.dk_row = task.dv_row = args.D;
    } else {
      const int64_t kv = args.kv_head(head);
      if (dk.data != nullptr) task.dk = dk.at(row, kv);
      if (dv.data != nullptr) task.dv = dv.at(row, kv);
      task.dk_row = dk.row;
      task.dv_row = dv.row;
      task.add_kv = head % group != 0;
    }
    plan.parts.Assign(slot, head, task);
    if (wants_error) {
      task.squared_error = plan.squared_error + slot * H + head;
    }
    version.backward(args, task, plan.arenas + thread * plan.arena);
  };

  double squared_error = 0;
  for (int64_t first = 0; first < args.sequences; first += plan.wave) {
    const int64_t slots = std::min(plan.wave, args.sequences - first);
    const int64_t per_sequence = H / plan.heads_per_task;
    ctx.pool->ParallelFor(slots * per_sequence, [&](int64_t task, int thread) {
      const int64_t head = task % per_sequence * plan.heads_per_task;
      for (int64_t i = 0; i < plan.heads_per_task; ++i) {
        run_head(first, task / per_sequence, head + i, thread);
      }
    });
    const int64_t row = args.offsets[first];
    const int64_t rows = args.offsets[first + slots] - row;
    if (plan.split && dk.data != nullptr) {
      ReduceGroups(*ctx.pool, plan.dk, plan.wave_rows, H, group, rows, args.D,
                   row, dk);
    }
    if (plan.split && dv.data != nullptr) {
      ReduceGroups(*ctx.pool, plan.dv, plan.wave_rows, H, group, rows, args.D,
                   row, dv);
    }
    plan.parts.Add(*ctx.pool, slots);
    for (int64_t i = 0; wants_error && i < slots * H; ++i) {
      squared_error += plan.squared_error[i];
    }
  }
  if (wants_error) *cotangent.squared_error += squared_error;
}

}  // namespace caracal::kernels
