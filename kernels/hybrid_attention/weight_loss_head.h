// The attention-weight loss of one (sequence, head), a block of queries at a
// time against all keys before it. Included only by hybrid attention's SIMD
// sources.
//
// With A the teacher's mass on keys above the student's floor,
//     dL/du_j = A / sum_i u_i - [p_j above the floor] a_j / u_j
// and sum_j u_j dL/du_j = 0, so that the gradient of the window factor follows
// from lambda = phi_q . dphi_q as in the backward of attention.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_HEAD_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_HEAD_H_

#include "kernels/hybrid_attention/backward_head.h"
#include "kernels/hybrid_attention/weight_loss.h"

namespace caracal::kernels::CARACAL_SIMD_NS {

inline BackwardArena WeightLossArena(const HybridAttentionArgs<float>& args,
                                     int64_t longest, void* memory) {
  return {args, longest, longest + kBlock, memory};
}

// fwd.scores: q.k of all keys, not yet divided by sqrt(D).
inline void AllScores(const HeadPlan& plan, const QueryBlock& block,
                      BlockForward& fwd) {
  for (int i = 0; i < fwd.segment_count; ++i) {
    const Segment& s = fwd.segments[i];
    Gemm<Layout::kRows, Update::kAssign>(s.count, block.lanes, plan.D, s.keys.k,
                                         s.keys.k_stride, fwd.qt, kBlock,
                                         fwd.scores + s.row * kBlock, kBlock);
  }
}

// Calls fn(tile offset, segment, overlap) for the keys that have a term in
// some of the lanes [l, l + kLanes).
template <typename Fn>
inline void ForServedKeys(const HeadPlan& plan, const QueryBlock& block,
                          const BlockForward& fwd, int l, Fn fn) {
  for (int i = 0; i < fwd.segment_count; ++i) {
    const Segment& s = fwd.segments[i];
    for (int r = 0; r < s.count; ++r) {
      const int64_t j = s.position + r;
      const Overlap served(LanesOf(plan, block, s.weight, j, j), l);
      if (!served.none) fn((s.row + r) * kBlock + l, s, j, served);
    }
  }
}

// The teacher's weights (not normalised) go to fwd.scores, the student's to
// fwd.weights. Keys without a term are left as they were.
struct RowSums {
  Vec mass, entropy;  // of the teacher's weights: sum, and sum of a log a
  Vec den;            // of the student's
};
inline RowSums WeightsOfLanes(const HeadPlan& plan, const QueryBlock& block,
                              int l, BlockForward& fwd) {
  const Vec lowest = Set(-3.402823466e38f), scale = Set(plan.score_scale);
  const Vec gamma = Set(plan.gamma);
  Vec top = lowest;
  ForServedKeys(plan, block, fwd, l,
                [&](int64_t at, const Segment&, int64_t, const Overlap& lanes) {
                  const Vec score = Load(fwd.scores + at);
                  const Mask higher = And(LaneRange(lanes.begin, lanes.end),
                                          Greater(score, top));
                  top = Select(higher, score, top);
                });
  const Vec row_max = plan.any_softmax ? Load(fwd.row_max + l) : top;
  RowSums sums = {Zero(), Zero(), Zero()};
  ForServedKeys(
      plan, block, fwd, l,
      [&](int64_t at, const Segment& s, int64_t j, const Overlap& lanes) {
        const Vec score = Load(fwd.scores + at);
        const Vec log_weight = (score - top) * scale;
        const Vec teacher = lanes.Keep(Exp(log_weight));
        const Overlap softmax(LanesOf(plan, block, s.softmax, j, j), l);
        const Overlap linear(LanesOf(plan, block, s.linear, j, j), l);
        Vec student = Zero();
        if (!softmax.none) {
          student = softmax.Keep(gamma * Exp((score - row_max) * scale));
        }
        if (!linear.none) {
          student = student + linear.Keep(Load(fwd.linear + at));
        }
        Store(fwd.scores + at, teacher);
        Store(fwd.weights + at, student);
        sums.mass = sums.mass + teacher;
        sums.entropy = sums.entropy + lanes.Keep(teacher * log_weight);
        sums.den = sums.den + student;
      });
  return sums;
}

// Turns the weights into losses, added up, and fwd.linear into the gradient of
// the linear terms; 0 where a key has none.
inline void LossOfLanes(const HeadPlan& plan, const QueryBlock& block, int l,
                        float scale, BlockForward& fwd,
                        AttentionWeightLoss* loss) {
  const RowSums sums = WeightsOfLanes(plan, block, l, fwd);
  const Mask any = NotLessEqual(sums.den, Zero());
  const Vec one = Set(1.0f), floor = Set(kAttentionWeightFloor);
  const Vec inverse_den = SelectOrZero(any, one / Select(any, sums.den, one));
  const Vec inverse_mass = SelectOrZero(any, one / Select(any, sums.mass, one));
  Vec kept = Zero(), cross = Zero();
  ForServedKeys(plan, block, fwd, l,
                [&](int64_t at, const Segment&, int64_t, const Overlap& lanes) {
                  const Vec teacher = Load(fwd.scores + at) * inverse_mass;
                  const Vec p = Load(fwd.weights + at) * inverse_den;
                  const Vec floored = Max(floor, p);
                  const Vec above =
                      SelectOrZero(Greater(p, floor), lanes.Keep(teacher));
                  kept = kept + above;
                  cross = cross - lanes.Keep(teacher * Log(floored));
                  Store(fwd.weights + at, above / floored);
                });
  // What is not finite shows, whatever maxima and masks make of it.
  cross = cross + SelectOrZero(any, sums.den * Zero());
  const Vec factor = Set(scale) * inverse_den;
  for (int i = 0; i < fwd.segment_count; ++i) {
    const Segment& s = fwd.segments[i];
    if (!s.linear.any()) continue;
    for (int r = 0; r < s.count; ++r) {
      const int64_t j = s.position + r, at = (s.row + r) * kBlock + l;
      const Overlap linear(LanesOf(plan, block, s.linear, j, j), l);
      Vec g = Zero();
      if (!linear.none) {
        g = linear.Keep(factor * (kept - Load(fwd.weights + at)));
      }
      Store(fwd.linear + at, g);
    }
  }
  const Vec entropy =
      Log(Select(any, sums.mass, one)) - sums.entropy * inverse_mass;
  const Mask rows = LaneRange(-l, block.count - l);
  loss->cross_entropy += ReduceAdd(SelectOrZero(rows, cross));
  loss->teacher_entropy += ReduceAdd(SelectOrZero(And(rows, any), entropy));
}

inline void WeightLossHead(const HybridAttentionArgs<float>& args,
                           const BackwardTask& task, AttentionWeightLoss* loss,
                           void* memory) {
  const HeadPlan plan(args, task.sequence, task.head);
  BackwardArena a = WeightLossArena(args, plan.end, memory);
  const Wanted want(plan, task);
  StartSums(plan, task, want, a);
  *loss = {};
  const int64_t feature_block = plan.Fout * kBlock;
  int64_t ready = 0;
  const auto phi_of = [&](int64_t j) -> const float* {
    for (; ready <= j / kBlock; ++ready) {
      const int64_t begin = ready * kBlock;
      KeyFeatures(plan, begin, Least(begin + kBlock, plan.end), a.xt,
                  a.phi_k + ready * feature_block);
      if (want.phi_k) Fill(a.dphi_k + ready * feature_block, feature_block);
    }
    return a.phi_k + j / kBlock * feature_block + j % kBlock;
  };

  double lambda = 0;
  Fill(a.block_delta, kBlock);
  for (int64_t q0 = 0; q0 < plan.end; q0 += kBlock) {
    const int count = static_cast<int>(Least(kBlock, plan.end - q0));
    const QueryBlock block = {q0, count, LanesFor(count)};
    PrefetchBlock(plan, q0 + kBlock);
    a.fwd.phi_q = a.phi_q;
    a.fwd.segment_count = AppendSegments(plan, block, 0, q0 + count, 0, 0,
                                         phi_of, a.fwd.segments, 0);
    LoadQueries(plan, block, a.fwd.qt);
    AllScores(plan, block, a.fwd);
    if (plan.any_softmax) RowMax(plan, block, a.fwd);
    if (plan.any_linear) {
      QueryFeatures(plan, block, a.fwd);
      LinearTile(plan, block, a.fwd);
    }
    for (int l = 0; l < block.lanes; l += Vec::kLanes) {
      LossOfLanes(plan, block, l, task.scale, a.fwd, loss);
    }
    if (want.phi_q) {
      lambda += QueryFeatureGradient(plan, block, a);
      FinishQueryBlock(plan, block, task, want, a);
    }
    if (want.phi_k) KeyFeatureGradient(plan, block, a);
  }
  if (want.dfactor) PutWindowFactor(plan, task, lambda);
  for (int64_t i = 0; want.phi_k && i < ready; ++i) {
    FinishKeyBlock(plan, task, want, i * kBlock, a);
  }
  PutSums(plan, task, want, a);
}

}  // namespace caracal::kernels::CARACAL_SIMD_NS

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_HEAD_H_
