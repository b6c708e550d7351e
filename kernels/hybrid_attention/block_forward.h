// The forward of one block of queries: scores, weights, denominators and
// numerators. Shared by the forward pass and the backward's recomputation.
// Included only by hybrid attention's SIMD sources.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_BLOCK_FORWARD_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_BLOCK_FORWARD_H_

#include <cstdint>

#include "kernels/common/arena.h"
#include "kernels/hybrid_attention/key_segments.h"

namespace caracal::kernels::CARACAL_SIMD_NS {

// Sums over the keys left of the block's tile: phi_k v^T and phi_k.
struct LinearState {
  float* sum;   // [Fout, D]
  float* norm;  // [Fout]
  bool empty;   // nothing in it yet
};

// What one block leaves behind. Statistics are a query a lane.
struct BlockForward {
  BlockForward(const HybridAttentionArgs<float>& args, int64_t local_keys,
               Arena& arena);

  float* qt;        // [D, kBlock] the queries, transposed
  float* phi_q;     // [Fout, kBlock]
  float* phi_left;  // [Fout, kBlock] alpha * phi_q; phi_q itself if alpha = 1
  float* phi_scaled;
  float* scores;   // [tile rows, kBlock] q.k; then the softmax weights
  float* linear;   // [tile rows, kBlock] alpha phi_q.phi_k
  float* weights;  // [tile rows, kBlock] all terms of num and den
  float* y;        // [kBlock, D] num
  Segment* segments;
  int segment_count;
  bool any_linear;  // some query of the block has a linear term
  // [kBlock]
  float* row_max;  // of q.k, not yet divided by sqrt(D)
  float* argmax;   // its first tile row
  float* softmax_den;
  float* linear_den;
};

inline BlockForward::BlockForward(const HybridAttentionArgs<float>& args,
                                  int64_t local_keys, Arena& arena) {
  const int64_t tile = (args.config.sinks + local_keys) * kBlock;
  qt = arena.Floats(args.D * kBlock);
  phi_q = arena.Floats(args.Fout * kBlock);
  phi_scaled = arena.Floats(args.config.affine ? args.Fout * kBlock : 0);
  phi_left = phi_q;
  scores = arena.Floats(tile);
  linear = arena.Floats(tile);
  weights = arena.Floats(tile);
  y = arena.Floats(kBlock * args.D);
  segments = arena.Take<Segment>(MaxSegments(args.config, local_keys));
  segment_count = 0;
  any_linear = false;
  row_max = arena.Floats(kBlock);
  argmax = arena.Floats(kBlock);
  softmax_den = arena.Floats(kBlock);
  linear_den = arena.Floats(kBlock);
}

// q of the block, transposed; lanes beyond it are 0.
inline void LoadQueries(const HeadPlan& plan, const QueryBlock& block,
                        float* qt) {
  for (int64_t d = 0; d < plan.D; ++d) {
    for (int l = block.count; l < block.lanes; ++l) qt[d * kBlock + l] = 0;
  }
  Transpose(block.count, plan.D,
            plan.q + (block.q0 - plan.past) * plan.q_stride, plan.q_stride, qt,
            kBlock);
}

inline void QueryFeatures(const HeadPlan& plan, const QueryBlock& block,
                          BlockForward& fwd) {
  FeaturesOf(*plan.map, plan.D, plan.F, block.lanes, fwd.qt, plan.weight_q,
             plan.bias_q, fwd.phi_q);
  fwd.phi_left = fwd.phi_q;
  if (plan.alpha == 1.0f) return;
  fwd.phi_left = fwd.phi_scaled;
  const Vec alpha = Set(plan.alpha);
  for (int64_t i = 0; i < plan.Fout * kBlock; i += Vec::kLanes) {
    Store(fwd.phi_scaled + i, alpha * Load(fwd.phi_q + i));
  }
}

// The lanes [l, l + kLanes) that an interval covers.
struct Overlap {
  Overlap(LaneInterval lanes, int l)
      : none(lanes.begin >= l + Vec::kLanes || lanes.end <= l || lanes.empty()),
        all(lanes.begin <= l && lanes.end >= l + Vec::kLanes),
        begin(lanes.begin - l),
        end(lanes.end - l) {}
  Vec Keep(Vec a) const {
    return all ? a : SelectOrZero(LaneRange(begin, end), a);
  }
  bool none, all;
  int begin, end;
};

inline void ScoreTile(const HeadPlan& plan, const QueryBlock& block,
                      BlockForward& fwd) {
  for (int i = 0; i < fwd.segment_count; ++i) {
    const Segment& s = fwd.segments[i];
    ForKeyGroups(
        plan, block, s, s.attend, [&](int row, int rows, LaneInterval lanes) {
          Gemm<Layout::kRows, Update::kAssign>(
              rows, lanes.end - lanes.begin, plan.D,
              s.keys.k + row * s.keys.k_stride, s.keys.k_stride,
              fwd.qt + lanes.begin, kBlock,
              fwd.scores + (s.row + row) * kBlock + lanes.begin, kBlock);
        });
  }
}

inline void LinearTile(const HeadPlan& plan, const QueryBlock& block,
                       BlockForward& fwd) {
  for (int i = 0; i < fwd.segment_count; ++i) {
    const Segment& s = fwd.segments[i];
    ForKeyGroups(
        plan, block, s, s.linear, [&](int row, int rows, LaneInterval lanes) {
          Gemm<Layout::kColumns, Update::kAssign>(
              rows, lanes.end - lanes.begin, plan.Fout, s.phi + row, kBlock,
              fwd.phi_left + lanes.begin, kBlock,
              fwd.linear + (s.row + row) * kBlock + lanes.begin, kBlock);
        });
  }
}

// Exact maximum over A_n, and the first key that attains it.
inline void RowMax(const HeadPlan& plan, const QueryBlock& block,
                   BlockForward& fwd) {
  for (int l = 0; l < block.lanes; l += Vec::kLanes) {
    Vec top = Set(-3.402823466e38f), where = Zero();
    for (int i = 0; i < fwd.segment_count; ++i) {
      const Segment& s = fwd.segments[i];
      for (int r = 0; r < s.count; ++r) {
        const int64_t j = s.position + r;
        const Overlap seen(LanesOf(plan, block, s.attend, j, j), l);
        if (seen.none) continue;
        const int row = s.row + r;
        const Vec score = Load(fwd.scores + row * kBlock + l);
        const Mask higher =
            And(LaneRange(seen.begin, seen.end), Greater(score, top));
        top = Select(higher, score, top);
        where = Select(higher, Set(static_cast<float>(row)), where);
      }
    }
    Store(fwd.row_max + l, top);
    Store(fwd.argmax + l, where);
  }
}

// Turns scores and linear products into weights and sums them up. With
// kKeepParts the softmax weights stay in `scores`.
template <bool kKeepParts>
inline void WeightTile(const HeadPlan& plan, const QueryBlock& block,
                       BlockForward& fwd) {
  const Vec gamma = Set(plan.gamma), scale = Set(plan.score_scale);
  for (int l = 0; l < block.lanes; l += Vec::kLanes) {
    const Vec top = Load(fwd.row_max + l);
    Vec softmax_sum = Zero(), linear_sum = Zero();
    for (int i = 0; i < fwd.segment_count; ++i) {
      const Segment& s = fwd.segments[i];
      for (int r = 0; r < s.count; ++r) {
        const int64_t j = s.position + r;
        const int64_t at = (s.row + r) * kBlock + l;
        const Overlap softmax(LanesOf(plan, block, s.softmax, j, j), l);
        const Overlap linear(LanesOf(plan, block, s.linear, j, j), l);
        Vec soft = Zero(), lin = Zero();
        if (!softmax.none) {
          soft =
              softmax.Keep(gamma * Exp((Load(fwd.scores + at) - top) * scale));
        }
        if (!linear.none) lin = linear.Keep(Load(fwd.linear + at));
        softmax_sum = softmax_sum + soft;
        linear_sum = linear_sum + lin;
        Store(fwd.weights + at, soft + lin);
        if (kKeepParts) Store(fwd.scores + at, soft);
      }
    }
    Store(fwd.softmax_den + l, softmax_sum);
    Store(fwd.linear_den + l, linear_sum);
  }
}

// out [lanes] += phi^T norm.
inline void AddStateDen(int64_t Fout, int lanes, const float* phi,
                        const float* norm, float* out) {
  for (int l = 0; l < lanes; l += Vec::kLanes) {
    Vec sum[4] = {Load(out + l), Zero(), Zero(), Zero()};
    int64_t f = 0;
    for (; f + 4 <= Fout; f += 4) {
      for (int i = 0; i < 4; ++i) {
        sum[i] =
            Fma(Set(norm[f + i]), Load(phi + (f + i) * kBlock + l), sum[i]);
      }
    }
    for (; f < Fout; ++f) {
      sum[0] = Fma(Set(norm[f]), Load(phi + f * kBlock + l), sum[0]);
    }
    Store(out + l, (sum[0] + sum[1]) + (sum[2] + sum[3]));
  }
}

inline void Numerators(const HeadPlan& plan, const QueryBlock& block,
                       const LinearState& state, BlockForward& fwd) {
  const int64_t D = plan.D;
  if (plan.linear_past && !state.empty) {
    AddStateDen(plan.Fout, block.lanes, fwd.phi_left, state.norm,
                fwd.linear_den);
    Gemm<Layout::kColumns, Update::kAssign>(block.count, D, plan.Fout,
                                            fwd.phi_left, kBlock, state.sum, D,
                                            fwd.y, D);
  } else {
    for (int64_t i = 0; i < block.count * D; ++i) fwd.y[i] = 0;
  }
  for (int i = 0; i < fwd.segment_count; ++i) {
    const Segment& s = fwd.segments[i];
    ForQueryGroups<kTileRows>(
        plan, block, s, s.weight,
        [&](int query, int queries, int key, int keys) {
          Gemm<Layout::kColumns, Update::kAdd>(
              queries, D, keys, fwd.weights + (s.row + key) * kBlock + query,
              kBlock, s.keys.v + key * s.keys.v_stride, s.keys.v_stride,
              fwd.y + query * D, D);
        });
  }
}

// All of it, for a block whose segments are set. `scores`: even if no softmax
// term is on, because the row maximum is wanted.
template <bool kKeepParts>
inline void RunBlockForward(const HeadPlan& plan, const QueryBlock& block,
                            const LinearState& state, bool scores,
                            BlockForward& fwd) {
  LoadQueries(plan, block, fwd.qt);
  fwd.any_linear = plan.linear_past && !state.empty;
  for (int i = 0; i < fwd.segment_count; ++i) {
    fwd.any_linear |= fwd.segments[i].linear.any();
  }
  if (fwd.any_linear) {
    QueryFeatures(plan, block, fwd);
    LinearTile(plan, block, fwd);
  }
  if (scores) {
    ScoreTile(plan, block, fwd);
    RowMax(plan, block, fwd);
  }
  WeightTile<kKeepParts>(plan, block, fwd);
  Numerators(plan, block, state, fwd);
}

}  // namespace caracal::kernels::CARACAL_SIMD_NS

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_BLOCK_FORWARD_H_
