#include "kernels/causal_attention/causal_attention.h"

#include <algorithm>

#include "kernels/causal_attention/causal_attention_ref.h"
#include "kernels/causal_attention/causal_attention_simd.h"
#include "kernels/common/dispatch.h"
#include "kernels/common/grouped_heads.h"

namespace caracal::kernels {
namespace {

using Args = CausalAttentionArgs<float>;

const CausalAttentionVersion& Version() {
  return ForCurrentIsa(kCausalAttentionReference, avx2::kCausalAttentionVersion,
                       avx512::kCausalAttentionVersion);
}

Args BindInputs(const CausalAttentionInputs& in) {
  CARACAL_CHECK_EQ(in.q.rank, 3);
  CARACAL_CHECK_EQ(in.k.rank, 3);
  CARACAL_CHECK(in.offsets != nullptr);
  Args args;
  args.rows = in.q.shape[0];
  args.heads = in.q.shape[1];
  args.D = in.q.shape[2];
  args.kv_heads = in.k.shape[1];
  CARACAL_CHECK(args.D >= 1) << "head dimension " << args.D;
  CARACAL_CHECK(args.kv_heads >= 1 && args.heads % args.kv_heads == 0)
      << args.heads << " heads over " << args.kv_heads;
  args.sequences = in.sequences;
  args.offsets = in.offsets;
  args.key_offsets = in.key_offsets == nullptr ? in.offsets : in.key_offsets;
  CARACAL_CHECK_EQ(args.offsets[0], 0);
  CARACAL_CHECK_EQ(args.offsets[in.sequences], args.rows);
  for (int64_t i = 0; i < in.sequences; ++i) {
    CARACAL_CHECK(args.queries(i) >= 0 && args.queries(i) <= args.keys(i))
        << "sequence " << i;
  }
  const int64_t key_rows = in.k.shape[0];
  CARACAL_CHECK(args.key_offsets[0] >= 0 &&
                args.key_offsets[in.sequences] <= key_rows);
  args.q = BindHeadRows<const float>(in.q, args.rows, args.heads, args.D);
  args.k = BindHeadRows<const float>(in.k, key_rows, args.kv_heads, args.D);
  args.v = BindHeadRows<const float>(in.v, key_rows, args.kv_heads, args.D);
  return args;
}

// [H, rows] or null.
template <typename View>
auto* Statistics(View view, const Args& args) {
  using Pointer = decltype(view.f32());
  if (!view.defined()) return Pointer{nullptr};
  CARACAL_CHECK(view.contiguous());
  CARACAL_CHECK_EQ(view.size(), args.heads * args.rows);
  return view.f32();
}

int64_t Longest(const Args& args) {
  int64_t longest = 0;
  for (int64_t i = 0; i < args.sequences; ++i) {
    longest = std::max(longest, args.queries(i));
  }
  return longest;
}

// How a backward is cut up, and where its workspace goes.
struct BackwardPlan {
  BackwardPlan(const Context& ctx, const Args& args)
      : arena(Version().backward_arena(args, Longest(args))),
        split(SplitGroups(args.sequences * args.kv_heads,
                          args.heads / args.kv_heads, ctx.pool->threads())),
        parts(split ? args.heads * args.rows * args.D : 0),
        arenas(ctx.pool->threads() * arena) {}
  size_t bytes() const { return arenas + 2 * parts * sizeof(float); }

  size_t arena;
  bool split;     // heads of a group are tasks of their own
  int64_t parts;  // [H, rows, D], for dk and for dv
  size_t arenas;  // bytes
};

}  // namespace

size_t CausalAttentionWorkspaceBytes(const Context& ctx,
                                     const CausalAttentionInputs& in) {
  return ctx.pool->threads() * Version().forward_arena(BindInputs(in));
}

void CausalAttentionForward(const Context& ctx, const CausalAttentionInputs& in,
                            TensorView y, TensorView lse, Workspace workspace) {
  Args args = BindInputs(in);
  args.y = BindHeadRows<float>(y, args.rows, args.heads, args.D);
  args.lse = Statistics(lse, args);
  CARACAL_CHECK(args.y.data != nullptr);
  const CausalAttentionVersion& version = Version();
  const size_t arena = version.forward_arena(args);
  CARACAL_CHECK(workspace.bytes >= ctx.pool->threads() * arena)
      << workspace.bytes;
  char* const arenas = static_cast<char*>(workspace.data);
  ctx.pool->ParallelFor(
      args.sequences * args.heads, [&](int64_t task, int thread) {
        version.forward(args, task / args.heads, task % args.heads,
                        arenas + thread * arena);
      });
}

size_t CausalAttentionBackwardWorkspaceBytes(const Context& ctx,
                                             const CausalAttentionInputs& in) {
  return BackwardPlan(ctx, BindInputs(in)).bytes();
}

void CausalAttentionBackward(const Context& ctx,
                             const CausalAttentionInputs& in, ConstTensorView y,
                             ConstTensorView lse, ConstTensorView dy,
                             TensorView dq, TensorView dk, TensorView dv,
                             Workspace workspace) {
  CARACAL_CHECK(in.key_offsets == nullptr);
  const Args args = BindInputs(in);
  const BackwardPlan plan(ctx, args);
  CARACAL_CHECK(workspace.bytes >= plan.bytes())
      << workspace.bytes << " of " << plan.bytes();
  const int64_t H = args.heads, D = args.D, group = H / args.kv_heads;
  char* const arenas = static_cast<char*>(workspace.data);
  float* const dk_parts = reinterpret_cast<float*>(arenas + plan.arenas);
  float* const dv_parts = dk_parts + plan.parts;

  CausalAttentionBackwardTask<float> common;
  common.y = BindHeadRows<const float>(y, args.rows, H, D);
  common.dy = BindHeadRows<const float>(dy, args.rows, H, D);
  common.lse = Statistics(lse, args);
  common.dq = BindHeadRows<float>(dq, args.rows, H, D);
  const auto dk_rows = BindHeadRows<float>(dk, args.rows, args.kv_heads, D);
  const auto dv_rows = BindHeadRows<float>(dv, args.rows, args.kv_heads, D);
  CARACAL_CHECK(common.y.data && common.dy.data && common.lse &&
                common.dq.data && dk_rows.data && dv_rows.data);

  const CausalAttentionVersion& version = Version();
  const int64_t heads_per_task = plan.split ? 1 : group;
  const int64_t per_sequence = H / heads_per_task;
  ctx.pool->ParallelFor(
      args.sequences * per_sequence, [&](int64_t index, int thread) {
        auto task = common;
        task.sequence = index / per_sequence;
        const int64_t row = args.offsets[task.sequence];
        for (int64_t i = 0; i < heads_per_task; ++i) {
          task.head = index % per_sequence * heads_per_task + i;
          if (plan.split) {
            task.dk = dk_parts + (task.head * args.rows + row) * D;
            task.dv = dv_parts + (task.head * args.rows + row) * D;
            task.dk_row = task.dv_row = D;
          } else {
            task.dk = dk_rows.at(row, args.kv_head(task.head));
            task.dv = dv_rows.at(row, args.kv_head(task.head));
            task.dk_row = dk_rows.row;
            task.dv_row = dv_rows.row;
            task.add_kv = i > 0;
          }
          version.backward(args, task, arenas + thread * plan.arena);
        }
      });
  if (!plan.split) return;
  ReduceGroups(*ctx.pool, dk_parts, args.rows, H, group, args.rows, D, 0,
               dk_rows);
  ReduceGroups(*ctx.pool, dv_parts, args.rows, H, group, args.rows, D, 0,
               dv_rows);
}

}  // namespace caracal::kernels
