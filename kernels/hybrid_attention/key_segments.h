// The keys a block of queries looks at one by one (the state covers the
// rest), cut into segments of at most kBlock keys that lie in one piece and
// play one role, and which queries of the block see which key. Included only
// by hybrid attention's SIMD sources.
//
// Scores and weights of a block are tiles [keys, kBlock]: a key a row, a query
// a lane. Since keys leave windows in order, the queries for which a key has
// one kind of term are always one interval of lanes, and both its ends grow
// with the key.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_KEY_SEGMENTS_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_KEY_SEGMENTS_H_

#include <cstdint>

#include "kernels/hybrid_attention/head_plan.h"

namespace caracal::kernels::CARACAL_SIMD_NS {

// Queries [q0, q0 + count), count <= kBlock; lanes: count in whole vectors.
struct QueryBlock {
  int64_t q0;
  int count;
  int lanes;
};

// Lanes [begin, end).
struct LaneInterval {
  int begin, end;
  bool empty() const { return begin >= end; }
};

// Whether a key has a kind of term while it is in the window and after.
struct Role {
  bool near, far;
  bool any() const { return near || far; }
};

struct Segment {
  int64_t position;  // of the first key
  int row;           // in the tile
  int count;
  KeyRun keys;
  Role attend;       // is in A_n: the row maximum runs over it
  Role softmax;      // has a softmax term
  Role linear;       // has a linear term; none if no query of the block sees it
  Role weight;       // either
  const float* phi;  // [Fout, kBlock] from the first key's lane on, if linear
};

// The lanes where keys [first, last] of a segment have the role: exact for a
// single key, the union for several.
inline LaneInterval LanesOf(const HeadPlan& plan, const QueryBlock& block,
                            Role role, int64_t first, int64_t last) {
  if (!role.any()) return {0, 0};
  const auto lane = [&](int64_t position) {
    return static_cast<int>(Clamp(position - block.q0, 0, block.count));
  };
  return {role.near ? lane(first) : lane(plan.NearEnd(first)),
          role.far ? block.count : lane(plan.NearEnd(last))};
}

inline LaneInterval WholeVectors(LaneInterval lanes) {
  return {lanes.begin / Vec::kLanes * Vec::kLanes, LanesFor(lanes.end)};
}

// Calls fn(row, rows, lanes) for runs of the segment's keys that share an
// interval of whole vectors of lanes; empty ones are left out.
template <typename Fn>
inline void ForKeyGroups(const HeadPlan& plan, const QueryBlock& block,
                         const Segment& segment, Role role, Fn fn) {
  int start = 0;
  LaneInterval held = {0, 0};
  for (int row = 0; row <= segment.count; row += kTileRows) {
    LaneInterval lanes = {-1, -1};
    if (row < segment.count) {
      const int last = Least(row + kTileRows, segment.count) - 1;
      lanes = LanesOf(plan, block, role, segment.position + row,
                      segment.position + last);
      lanes = lanes.empty() ? LaneInterval{0, 0} : WholeVectors(lanes);
    }
    if (row > 0 && lanes.begin == held.begin && lanes.end == held.end) continue;
    if (!held.empty()) fn(start, Least(row, segment.count) - start, held);
    if (row >= segment.count) return;
    start = row;
    held = lanes;
  }
  if (!held.empty()) fn(start, segment.count - start, held);
}

// Calls fn(query, queries, key, keys) for runs of kStep queries that see the
// same keys of the segment in this role; empty ones are left out.
template <int kStep, typename Fn>
inline void ForQueryGroups(const HeadPlan& plan, const QueryBlock& block,
                           const Segment& segment, Role role, Fn fn) {
  if (!role.any()) return;
  const auto lanes = [&](int key) {
    return LanesOf(plan, block, role, segment.position + key,
                   segment.position + key);
  };
  int begin = 0, end = 0;
  int start = 0, held_begin = 0, held_end = 0;
  for (int m = 0; m < block.count; m += kStep) {
    while (begin < segment.count && lanes(begin).end <= m) ++begin;
    while (end < segment.count && lanes(end).begin < m + kStep) ++end;
    if (m > 0 && begin == held_begin && end == held_end) continue;
    if (held_begin < held_end) {
      fn(start, m - start, held_begin, held_end - held_begin);
    }
    start = m;
    held_begin = begin;
    held_end = end;
  }
  if (held_begin < held_end) {
    fn(start, block.count - start, held_begin, held_end - held_begin);
  }
}

// Appends the segments of keys [begin, end) and returns the new number.
// `row` is the tile row of the first; `phi_of(position)` gives the features
// from that key's lane on, and is asked only where they are needed.
template <typename PhiOf>
inline int AppendSegments(const HeadPlan& plan, const QueryBlock& block,
                          int64_t begin, int64_t end, int64_t grid, int row,
                          PhiOf phi_of, Segment* segments, int count) {
  const int64_t last_query = block.q0 + block.count - 1;
  for (int64_t j = begin; j < end;) {
    const bool sink = j < plan.S;
    // Up to the border of the feature block, of the sinks, of the memory.
    int64_t stop = Least(end, grid + ((j - grid) / kBlock + 1) * kBlock);
    if (sink) stop = Least(stop, plan.S);
    Segment& s = segments[count++];
    s.position = j;
    s.row = row;
    s.keys = plan.Keys(j, stop);
    s.count = static_cast<int>(s.keys.count);
    s.attend = {true, sink};
    s.softmax = sink ? Role{plan.near_sink_softmax, plan.far_sink_softmax}
                     : Role{plan.near_softmax, false};
    s.linear = {plan.linear_near, sink ? plan.linear_near : plan.linear_past};
    if (!s.linear.near && plan.NearEnd(j) > last_query) s.linear.far = false;
    s.weight = {s.softmax.near || s.linear.near, s.softmax.far || s.linear.far};
    s.phi = s.linear.any() ? phi_of(j) : nullptr;
    row += s.count;
    j += s.count;
  }
  return count;
}

// Bounds for any call with these arguments, with a past or without: keys of a
// tile that are no far sinks, and segments.
inline int64_t MaxLocalKeys(const HybridAttentionConfig& config) {
  const int64_t W = Least(config.window, int64_t{1} << 40);
  return (config.window_kind == WindowKind::kSliding ? W : 2 * W) + 2 * kBlock;
}
inline int64_t MaxSegments(const HybridAttentionConfig& config,
                           int64_t local_keys) {
  return (config.sinks + local_keys) / kBlock + 8;
}

}  // namespace caracal::kernels::CARACAL_SIMD_NS

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_KEY_SEGMENTS_H_
