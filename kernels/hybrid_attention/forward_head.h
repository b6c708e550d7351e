// The forward of one (sequence, head): walks the blocks of queries, carrying
// the linear state. Included only by hybrid attention's SIMD sources.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_FORWARD_HEAD_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_FORWARD_HEAD_H_

#include <cstdint>

#include "kernels/hybrid_attention/block_forward.h"

namespace caracal::kernels::CARACAL_SIMD_NS {

// state += the keys of [begin, end), which lie in one feature block whose
// first key is `block`; sinks are left out.
inline void UpdateState(const HeadPlan& plan, int64_t begin, int64_t end,
                        int64_t block, const float* phi, LinearState& state) {
  begin = Greatest(begin, plan.S);
  if (begin >= end) return;
  if (state.empty) {
    for (int64_t i = 0; i < plan.Fout * plan.D; ++i) state.sum[i] = 0;
    for (int64_t f = 0; f < plan.Fout; ++f) state.norm[f] = 0;
    state.empty = false;
  }
  for (int64_t j = begin; j < end;) {
    const KeyRun run = plan.Keys(j, end);
    Gemm<Layout::kRows, Update::kAdd>(plan.Fout, plan.D, run.count,
                                      phi + (j - block), kBlock, run.v,
                                      run.v_stride, state.sum, plan.D);
    j += run.count;
  }
  const int first = static_cast<int>(begin - block);
  const int last = static_cast<int>(end - block);
  for (int64_t f = 0; f < plan.Fout; ++f) {
    Vec sum = Zero();
    for (int l = 0; l < last; l += Vec::kLanes) {
      sum = sum + SelectOrZero(LaneRange(first - l, last - l),
                               Load(phi + f * kBlock + l));
    }
    state.norm[f] += ReduceAdd(sum);
  }
}

// Features of the key blocks a tile can reach, computed once each, in order.
class KeyFeatureRing {
 public:
  KeyFeatureRing(const HybridAttentionArgs<float>& args, int64_t local_keys,
                 Arena& arena)
      : slots_(local_keys / kBlock + 2) {
    xt_ = arena.Floats(args.D * kBlock);
    data_ = arena.Floats(slots_ * args.Fout * kBlock);
    sinks_ = arena.Floats((args.config.sinks + kBlock - 1) / kBlock *
                          args.Fout * kBlock);
  }

  // From the lane of key j on; its block is computed if it is new.
  const float* At(const HeadPlan& plan, int64_t j) {
    const int64_t block = (j - plan.grid) / kBlock;
    for (; next_ <= block; ++next_) {
      const int64_t begin = plan.grid + next_ * kBlock;
      KeyFeatures(plan, begin, Least(begin + kBlock, plan.end), xt_,
                  data_ + next_ % slots_ * plan.Fout * kBlock);
    }
    return data_ + block % slots_ * plan.Fout * kBlock +
           (j - plan.grid) % kBlock;
  }
  // Blocks before key j's will not be asked for.
  void SkipTo(const HeadPlan& plan, int64_t j) {
    next_ = Greatest(next_, (j - plan.grid) / kBlock);
  }

  // Far sinks keep their features for the whole call.
  void ComputeSinks(const HeadPlan& plan) {
    const int64_t count = Least(plan.S, plan.end);
    for (int64_t j = 0; j < count; j += kBlock) {
      KeyFeatures(plan, j, Least(j + kBlock, count), xt_,
                  sinks_ + j * plan.Fout);
    }
  }
  const float* AtSink(const HeadPlan& plan, int64_t j) const {
    return sinks_ + j / kBlock * kBlock * plan.Fout + j % kBlock;
  }

 private:
  int64_t slots_;
  int64_t next_ = 0;
  float* xt_;
  float* data_;
  float* sinks_;
};

struct ForwardArena {
  ForwardArena(const HybridAttentionArgs<float>& args, void* memory)
      : arena(memory),
        block(args, MaxLocalKeys(args.config), arena),
        ring(args, MaxLocalKeys(args.config), arena) {
    state = {arena.Floats(args.Fout * args.D), arena.Floats(args.Fout), true};
  }
  Arena arena;
  BlockForward block;
  KeyFeatureRing ring;
  LinearState state;
};

// Divides by the denominators and writes y and the statistics wanted.
inline void WriteBlock(const HybridAttentionArgs<float>& args,
                       const HeadPlan& plan, const QueryBlock& block,
                       int64_t head, const BlockForward& fwd) {
  const int64_t row = plan.first_row + block.q0 - plan.past;
  for (int i = 0; i < block.count; ++i) {
    const float den = fwd.softmax_den[i] + fwd.linear_den[i];
    const Vec scale = Set(den > 0 ? 1.0f / den : 0.0f);
    const float* num = fwd.y + i * plan.D;
    float* y = args.y.at(row + i, head);
    int64_t d = 0;
    for (; d + Vec::kLanes <= plan.D; d += Vec::kLanes) {
      Store(y + d, scale * Load(num + d));
    }
    const int tail = static_cast<int>(plan.D - d);
    if (tail > 0) StoreN(y + d, scale * LoadN(num + d, tail), tail);
  }
  for (int i = 0; i < block.count; ++i) {
    const int64_t at = head * args.rows + row + i;
    if (args.row_max != nullptr) {
      args.row_max[at] = fwd.row_max[i] * plan.score_scale;
    }
    if (args.softmax_den != nullptr) args.softmax_den[at] = fwd.softmax_den[i];
    if (args.linear_den != nullptr) args.linear_den[at] = fwd.linear_den[i];
  }
}

// The state carried by the call, or the arena's, empty.
inline LinearState StateOf(const HybridAttentionArgs<float>& args,
                           int64_t sequence, int64_t head,
                           const ForwardArena& arena) {
  if (args.past_length == nullptr || args.state == nullptr) return arena.state;
  return {
      args.state + sequence * args.state_sequence + head * args.state_head,
      args.state_norm + sequence * args.norm_sequence + head * args.norm_head,
      false};
}

inline void ForwardBlocks(const HybridAttentionArgs<float>& args,
                          const HeadPlan& plan, int64_t head, LinearState state,
                          ForwardArena& arena) {
  BlockForward& fwd = arena.block;
  KeyFeatureRing& ring = arena.ring;
  const bool keeps_state = !state.empty;
  const bool needs_state = plan.linear_past || keeps_state;
  if (plan.linear_near) ring.ComputeSinks(plan);

  int64_t k0 = plan.grid;  // keys before it are in the state or are sinks
  const auto advance = [&](int64_t to) {
    if (needs_state) {
      const float* phi = ring.At(plan, k0);
      UpdateState(plan, k0, to, k0, phi, state);
    }
    k0 = to;
    if (!needs_state) ring.SkipTo(plan, k0);
  };

  for (int64_t q0 = plan.past; q0 < plan.end; q0 += kBlock) {
    const int count = static_cast<int>(Least(kBlock, plan.end - q0));
    const QueryBlock block = {q0, count, LanesFor(count)};
    PrefetchBlock(plan, q0 + kBlock);
    PrefetchRows(args.y.at(plan.first_row + q0 - plan.past, head), args.y.row,
                 count, plan.D);
    while (k0 + kBlock <= plan.WindowBegin(q0)) advance(k0 + kBlock);

    const int64_t far_sinks = Least(plan.S, k0);
    fwd.segment_count = AppendSegments(
        plan, block, 0, far_sinks, 0, 0,
        [&](int64_t j) { return ring.AtSink(plan, j); }, fwd.segments, 0);
    fwd.segment_count = AppendSegments(
        plan, block, k0, q0 + count, plan.grid, static_cast<int>(far_sinks),
        [&](int64_t j) { return ring.At(plan, j); }, fwd.segments,
        fwd.segment_count);
    RunBlockForward<false>(plan, block, state,
                           plan.any_softmax || args.row_max != nullptr, fwd);
    WriteBlock(args, plan, block, head, fwd);
  }
  if (!keeps_state) return;
  for (const int64_t to = plan.WindowBegin(plan.end); k0 < to;) {
    advance(Least(k0 + kBlock, to));
  }
}

}  // namespace caracal::kernels::CARACAL_SIMD_NS

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_FORWARD_HEAD_H_
