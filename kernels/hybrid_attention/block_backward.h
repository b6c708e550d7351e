// The backward of one block of queries, given its recomputed forward. Included
// only by hybrid attention's SIMD sources.
//
// With weights p_nj (both kinds), y_n = sum p_nj v_j / den_n and
//     dv_j += p_nj dy_n / den_n
//     dL/dp_nj = g_nj = (dy_n . v_j - dy_n . y_n) / den_n
//     ds_nj = (softmax weight) g_nj        dphi: alpha g_nj times the other phi
// y does not change when all p_nj of a row are scaled, so sum_j p_nj g_nj = 0:
//     lambda_n = alpha sum_{linear} l_nj g_nj = phi_q . dphi_q
// is what the softmax terms lack, hence dL/dc_n = lambda_n and
// gamma dL/dgamma = -lambda_n at no further cost.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_BLOCK_BACKWARD_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_BLOCK_BACKWARD_H_

#include <cstdint>

#include "kernels/hybrid_attention/block_forward.h"

namespace caracal::kernels::CARACAL_SIMD_NS {

using BackwardTask = HybridAttentionBackwardTask<float>;

// Lanes of a half block: the grain at which triangular products are cut.
inline constexpr int kHalfBlock = 16;

// Which gradients this head's terms and the caller's wishes call for.
struct Wanted {
  Wanted(const HeadPlan& plan, const BackwardTask& task)
      : dq(task.dq.data != nullptr),
        dk(task.dk != nullptr),
        dv(task.dv != nullptr),
        dweight_q(plan.any_linear && task.dweight_q != nullptr),
        dweight_k(plan.any_linear && task.dweight_k != nullptr),
        dbias_q(plan.any_linear && task.dbias_q != nullptr),
        dbias_k(plan.any_linear && task.dbias_k != nullptr),
        dfactor(plan.any_linear && plan.any_softmax &&
                task.dwindow_factor != nullptr),
        softmax(plan.any_softmax && (dq || dk)),
        phi_q(plan.any_linear &&
              (dq || dweight_q || dbias_q || dfactor || softmax)),
        phi_k(plan.any_linear && (dk || dweight_k || dbias_k)) {}
  bool dq, dk, dv, dweight_q, dweight_k, dbias_q, dbias_k, dfactor;
  bool softmax;  // gradient of the scores
  bool phi_q, phi_k;
};

// Memory of the pass over a (sequence, head), all sizes in floats.
struct BackwardArena {
  // `local_keys`: of a tile, at most, far sinks apart.
  BackwardArena(const HybridAttentionArgs<float>& args, int64_t longest,
                int64_t local_keys, void* memory);

  Arena arena;
  BlockForward fwd;
  // Per block of queries or keys, i < (longest + kBlock - 1) / kBlock:
  float* phi_q;         // [i][Fout, kBlock]
  float* phi_k;         // [i][Fout, kBlock]
  float* dphi_k;        // [i][Fout, kBlock]
  float* dy;            // [longest, D]: alpha dy / den
  float* delta;         // [longest]: alpha dy.y / den
  float* dk;            // [longest, D]
  float* dv;            // [longest, D]
  LinearState state;    // of the keys behind
  LinearState reverse;  // alpha phi_q (dy / den)^T of the queries ahead
  float* weight_q_t;    // [F, D]
  float* weight_k_t;    // [F, D]
  float* dweight_q_t;   // [F, D]
  float* dweight_k_t;   // [F, D]
  // Of the current block:
  float* block_dy;     // [kBlock, D]: dy / den
  float* block_dyt;    // [D, kBlock]: its transpose
  float* block_delta;  // [kBlock]: dy.y / den
  float* lambda;       // [kBlock]
  float* dphi_q;       // [Fout, kBlock]
  float* turned;       // [kBlock, kBlock] a transposed segment of g
  float* xt;           // [D, kBlock]
};

inline BackwardArena::BackwardArena(const HybridAttentionArgs<float>& args,
                                    int64_t longest, int64_t local_keys,
                                    void* memory)
    : arena(memory), fwd(args, local_keys, arena) {
  const int64_t D = args.D, F = args.F, Fout = args.Fout;
  const int64_t rows = (longest + kBlock - 1) / kBlock * kBlock;
  phi_q = arena.Floats(rows * Fout);
  phi_k = arena.Floats(rows * Fout);
  dphi_k = arena.Floats(rows * Fout);
  dy = arena.Floats(rows * D);
  delta = arena.Floats(rows);
  dk = arena.Floats(rows * D);
  dv = arena.Floats(rows * D);
  state = {arena.Floats(Fout * D), arena.Floats(Fout), true};
  reverse = {arena.Floats(Fout * D), arena.Floats(Fout), true};
  weight_q_t = arena.Floats(F * D);
  weight_k_t = arena.Floats(F * D);
  dweight_q_t = arena.Floats(F * D);
  dweight_k_t = arena.Floats(F * D);
  block_dy = arena.Floats(kBlock * D);
  block_dyt = arena.Floats(D * kBlock);
  block_delta = arena.Floats(kBlock);
  lambda = arena.Floats(kBlock);
  dphi_q = arena.Floats(Fout * kBlock);
  turned = arena.Floats(kBlock * kBlock);
  xt = arena.Floats(D * kBlock);
}

// fwd.y becomes y; fills block_dy, block_dyt and block_delta. Returns the
// block's squared error if there is a target.
inline double Cotangent(const HeadPlan& plan, const QueryBlock& block,
                        const BackwardTask& task, BackwardArena& a) {
  const int64_t D = plan.D;
  double squared_error = 0;
  for (int i = 0; i < block.count; ++i) {
    const float den = a.fwd.softmax_den[i] + a.fwd.linear_den[i];
    const float inverse = den > 0 ? 1.0f / den : 0.0f;
    const int64_t row = plan.first_row + block.q0 + i;
    const bool regress = task.target.data != nullptr;
    const float* given =
        regress ? task.target.at(row, task.head) : task.dy.at(row, task.head);
    const float* num = a.fwd.y + i * D;
    float* out = a.block_dy + i * D;
    Vec error_sum = Zero(), delta = Zero();
    for (int64_t d = 0; d < D; d += Vec::kLanes) {
      const int n = static_cast<int>(Least(Vec::kLanes, D - d));
      const Vec y = LoadN(num + d, n) * Set(inverse);
      Vec dy = LoadN(given + d, n);
      if (regress) {
        const Vec error = y - dy;
        error_sum = Fma(error, error, error_sum);
        dy = Set(task.scale) * error;
      }
      delta = Fma(dy, y, delta);
      StoreN(out + d, dy * Set(inverse), n);
    }
    if (regress) squared_error += ReduceAdd(error_sum);
    a.block_delta[i] = ReduceAdd(delta) * inverse;
  }
  for (int i = block.count; i < block.lanes; ++i) {
    for (int64_t d = 0; d < D; ++d) a.block_dy[i * D + d] = 0;
    a.block_delta[i] = 0;
  }
  Transpose(block.lanes, D, a.block_dy, D, a.block_dyt, kBlock);
  return squared_error;
}

// g over the tile, into fwd.linear: dy'.v only, delta not yet subtracted.
inline void WeightGradientTile(const HeadPlan& plan, const QueryBlock& block,
                               const Wanted& want, BackwardArena& a) {
  const bool linear = want.phi_q || want.phi_k;
  for (int i = 0; i < a.fwd.segment_count; ++i) {
    const Segment& s = a.fwd.segments[i];
    const Role role = {
        (want.softmax && s.softmax.near) || (linear && s.linear.near),
        (want.softmax && s.softmax.far) || (linear && s.linear.far)};
    ForKeyGroups(
        plan, block, s, role, [&](int row, int rows, LaneInterval lanes) {
          Gemm<Layout::kRows, Update::kAssign>(
              rows, lanes.end - lanes.begin, plan.D,
              s.keys.v + row * s.keys.v_stride, s.keys.v_stride,
              a.block_dyt + lanes.begin, kBlock,
              a.fwd.linear + (s.row + row) * kBlock + lanes.begin, kBlock);
        });
  }
}

// fwd.scores becomes ds / sqrt(D), lambda's part for the row maximum still
// missing; fwd.linear becomes g where the terms are linear.
inline void SplitWeightGradient(const HeadPlan& plan, const QueryBlock& block,
                                const Wanted& want, BackwardArena& a) {
  const Vec scale = Set(plan.score_scale);
  for (int l = 0; l < block.lanes; l += Vec::kLanes) {
    const Vec delta = Load(a.block_delta + l);
    for (int i = 0; i < a.fwd.segment_count; ++i) {
      const Segment& s = a.fwd.segments[i];
      for (int r = 0; r < s.count; ++r) {
        const int64_t j = s.position + r;
        const int64_t at = (s.row + r) * kBlock + l;
        if (want.softmax) {
          const Overlap softmax(LanesOf(plan, block, s.softmax, j, j), l);
          Vec ds = Zero();
          if (!softmax.none) {
            const Vec g = softmax.Keep(Load(a.fwd.linear + at) - delta);
            ds = Load(a.fwd.scores + at) * g * scale;
          }
          Store(a.fwd.scores + at, ds);
        }
        if (s.linear.any()) {
          const Overlap linear(LanesOf(plan, block, s.linear, j, j), l);
          Vec g = Zero();
          if (!linear.none) g = linear.Keep(Load(a.fwd.linear + at) - delta);
          Store(a.fwd.linear + at, g);
        }
      }
    }
  }
}

// dphi_q of phi_left, and lambda. Returns the sum of lambda.
inline float QueryFeatureGradient(const HeadPlan& plan, const QueryBlock& block,
                                  BackwardArena& a) {
  const bool past = plan.linear_past && !a.state.empty;
  for (int64_t f = 0; f < plan.Fout; ++f) {
    const Vec norm = Set(past ? -a.state.norm[f] : 0.0f);
    for (int l = 0; l < block.lanes; l += Vec::kLanes) {
      Store(a.dphi_q + f * kBlock + l, norm * Load(a.block_delta + l));
    }
  }
  if (past) {
    Gemm<Layout::kRows, Update::kAdd>(plan.Fout, block.lanes, plan.D,
                                      a.state.sum, plan.D, a.block_dyt, kBlock,
                                      a.dphi_q, kBlock);
  }
  for (int i = 0; i < a.fwd.segment_count; ++i) {
    const Segment& s = a.fwd.segments[i];
    ForQueryGroups<kHalfBlock>(
        plan, block, s, s.linear,
        [&](int query, int queries, int key, int keys) {
          Gemm<Layout::kRows, Update::kAdd>(
              plan.Fout, LanesFor(queries), keys, s.phi + key, kBlock,
              a.fwd.linear + (s.row + key) * kBlock + query, kBlock,
              a.dphi_q + query, kBlock);
        });
  }
  float sum = 0;
  for (int l = 0; l < block.lanes; l += Vec::kLanes) {
    Vec lambda = Zero();
    for (int64_t f = 0; f < plan.Fout; ++f) {
      const int64_t at = f * kBlock + l;
      lambda = Fma(Load(a.fwd.phi_left + at), Load(a.dphi_q + at), lambda);
    }
    Store(a.lambda + l, lambda);
    sum += ReduceAdd(lambda);
  }
  return sum;
}

// The row maximum's gradient goes to the first key that attains it.
inline void AddRowMaxGradient(const HeadPlan& plan, const QueryBlock& block,
                              BackwardArena& a) {
  for (int i = 0; i < block.count; ++i) {
    const int64_t row = static_cast<int64_t>(a.fwd.argmax[i]);
    a.fwd.scores[row * kBlock + i] += a.lambda[i] * plan.score_scale;
  }
}

// dphi_k of the tile's keys += g phi_left.
inline void KeyFeatureGradient(const HeadPlan& plan, const QueryBlock& block,
                               BackwardArena& a) {
  for (int i = 0; i < a.fwd.segment_count; ++i) {
    const Segment& s = a.fwd.segments[i];
    if (!s.linear.any()) continue;
    Transpose(s.count, block.lanes, a.fwd.linear + s.row * kBlock, kBlock,
              a.turned, kBlock);
    float* const dphi = a.dphi_k + (s.phi - a.phi_k);
    for (int r = 0; r < s.count; r += kHalfBlock) {
      const int keys = Least(kHalfBlock, s.count - r);
      const LaneInterval lanes = LanesOf(plan, block, s.linear, s.position + r,
                                         s.position + r + keys - 1);
      if (lanes.empty()) continue;
      Gemm<Layout::kRows, Update::kAdd>(
          plan.Fout, keys, lanes.end - lanes.begin,
          a.fwd.phi_left + lanes.begin, kBlock,
          a.turned + lanes.begin * kBlock + r, kBlock, dphi + r, kBlock);
    }
  }
}

// out [tile keys, D] += tile [tile keys, queries] right [queries, D].
inline void AddToKeys(const HeadPlan& plan, const QueryBlock& block,
                      const BlockForward& fwd, Role Segment::*role,
                      const float* tile, const float* right, int64_t stride,
                      float* out) {
  for (int i = 0; i < fwd.segment_count; ++i) {
    const Segment& s = fwd.segments[i];
    ForKeyGroups(
        plan, block, s, s.*role, [&](int row, int rows, LaneInterval lanes) {
          Gemm<Layout::kRows, Update::kAdd>(
              rows, plan.D, Least(lanes.end, block.count) - lanes.begin,
              tile + (s.row + row) * kBlock + lanes.begin, kBlock,
              right + lanes.begin * stride, stride,
              out + (s.position + row) * plan.D, plan.D);
        });
  }
}

// dbias [F] += the sum of dz over lanes.
inline void AddLanes(int64_t F, int lanes, const float* dz, float* dbias) {
  for (int64_t f = 0; f < F; ++f) {
    Vec sum = Zero();
    for (int l = 0; l < lanes; l += Vec::kLanes) {
      sum = sum + Load(dz + f * kBlock + l);
    }
    dbias[f] += ReduceAdd(sum);
  }
}

// From the gradient of phi_left, which it turns into dz, to those of the
// feature map.
inline void FinishQueryBlock(const HeadPlan& plan, const QueryBlock& block,
                             const BackwardTask& task, const Wanted& want,
                             BackwardArena& a) {
  if (plan.alpha != 1.0f) {
    const Vec alpha = Set(plan.alpha);
    for (int64_t i = 0; i < plan.Fout * kBlock; i += Vec::kLanes) {
      Store(a.dphi_q + i, alpha * Load(a.dphi_q + i));
    }
  }
  plan.map->backward(plan.F, block.lanes, a.fwd.phi_q, a.dphi_q);
  if (want.dweight_q) {
    Gemm<Layout::kRows, Update::kAdd>(plan.F, plan.D, block.count, a.dphi_q,
                                      kBlock, plan.q + block.q0 * plan.q_stride,
                                      plan.q_stride, a.dweight_q_t, plan.D);
  }
  if (want.dbias_q) AddLanes(plan.F, block.lanes, a.dphi_q, task.dbias_q);
}

// From g on: all gradients of the block's queries, and what it adds to the
// keys of its tile. Returns the sum of lambda.
inline float RunBlockBackward(const HeadPlan& plan, const QueryBlock& block,
                              const BackwardTask& task, const Wanted& want,
                              BackwardArena& a) {
  const float* const q = plan.q + block.q0 * plan.q_stride;
  if (want.dv) {
    AddToKeys(plan, block, a.fwd, &Segment::weight, a.fwd.weights, a.block_dy,
              plan.D, a.dv);
  }
  if (want.softmax || want.phi_q || want.phi_k) {
    WeightGradientTile(plan, block, want, a);
    SplitWeightGradient(plan, block, want, a);
  }
  const bool linear = a.fwd.any_linear;
  float lambda = 0;
  if (want.phi_q && linear) {
    lambda = QueryFeatureGradient(plan, block, a);
    if (want.softmax) AddRowMaxGradient(plan, block, a);
    FinishQueryBlock(plan, block, task, want, a);
  }
  if (want.phi_k && linear) KeyFeatureGradient(plan, block, a);
  if (want.dq) {
    float* const dq = task.dq.at(plan.first_row + block.q0, task.head);
    if (linear) {
      Gemm<Layout::kColumns, Update::kAssign>(block.count, plan.D, plan.F,
                                              a.dphi_q, kBlock, a.weight_q_t,
                                              plan.D, dq, task.dq.row);
    } else {
      for (int i = 0; i < block.count; ++i) {
        for (int64_t d = 0; d < plan.D; ++d) dq[i * task.dq.row + d] = 0;
      }
    }
    for (int i = 0; want.softmax && i < a.fwd.segment_count; ++i) {
      const Segment& s = a.fwd.segments[i];
      ForQueryGroups<kTileRows>(
          plan, block, s, s.attend,
          [&](int query, int queries, int key, int keys) {
            Gemm<Layout::kColumns, Update::kAdd>(
                queries, plan.D, keys,
                a.fwd.scores + (s.row + key) * kBlock + query, kBlock,
                s.keys.k + key * s.keys.k_stride, s.keys.k_stride,
                dq + query * task.dq.row, task.dq.row);
          });
    }
  }
  if (want.dk && want.softmax) {
    AddToKeys(plan, block, a.fwd, &Segment::attend, a.fwd.scores, q,
              plan.q_stride, a.dk);
  }
  return lambda;
}

}  // namespace caracal::kernels::CARACAL_SIMD_NS

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_BLOCK_BACKWARD_H_
