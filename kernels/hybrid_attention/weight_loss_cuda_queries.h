// Queries of the attention-weight loss: losses, what the keys need to know of a
// row, dphi_q and the window factor's share. For weight_loss_cuda.cu only.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_CUDA_QUERIES_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_CUDA_QUERIES_H_

#include "kernels/hybrid_attention/weight_loss_cuda_tiles.h"

namespace caracal::kernels::cuda::weight_loss {

// A part of a row; scores in units of log2, exponentials of 2.
struct Running {
  float top = -INFINITY, mass = 0, entropy = 0;  // of the teacher
  float most = -INFINITY, weights = 0;           // of the softmax set
  float linear = 0;
};

// How far below `to` sums lie whose largest was `from`: they are nothing if
// there was none.
__device__ __forceinline__ float Below(float from, float to) {
  return from == -INFINITY ? 0.0f : from - to;
}

__device__ __forceinline__ void MoveTop(float top, Running& r) {
  const float by = Below(r.top, top), factor = Exp2(by);
  r.entropy = factor * fmaf(by, r.mass, r.entropy);
  r.mass *= factor;
  r.top = top;
}
__device__ __forceinline__ void MoveMost(float most, Running& r) {
  r.weights *= Exp2(Below(r.most, most));
  r.most = most;
}

// Joins what a row's four threads have; all get the sum of the first.
__device__ __forceinline__ void Join(Running& r) {
#pragma unroll
  for (int m = 1; m < 4; m *= 2) {
    Running other;
    other.top = __shfl_xor_sync(~0u, r.top, m);
    other.mass = __shfl_xor_sync(~0u, r.mass, m);
    other.entropy = __shfl_xor_sync(~0u, r.entropy, m);
    other.most = __shfl_xor_sync(~0u, r.most, m);
    other.weights = __shfl_xor_sync(~0u, r.weights, m);
    other.linear = __shfl_xor_sync(~0u, r.linear, m);
    const float top = fmaxf(r.top, other.top);
    const float most = fmaxf(r.most, other.most);
    MoveTop(top, r);
    MoveTop(top, other);
    MoveMost(most, r);
    MoveMost(most, other);
    r.mass += other.mass;
    r.entropy += other.entropy;
    r.weights += other.weights;
    r.linear += other.linear;
  }
  for (float* x :
       {&r.top, &r.mass, &r.entropy, &r.most, &r.weights, &r.linear}) {
    *x = __shfl_sync(~0u, *x, threadIdx.x % 32 / 4 * 4);
  }
}

// One more tile. kLinear: all pairs have linear terms alone.
template <bool kLinear>
__device__ __forceinline__ void AddTile(const Pairs& scores,
                                        const Pairs& linear,
                                        const PairTerms& of, float unit,
                                        Running (&rows)[2]) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    Running& run = rows[r];
    float top = -INFINITY, most = -INFINITY;
#pragma unroll
    for (int b = 0; b < kTile / 8; ++b) {
#pragma unroll
      for (int c = 2 * r; c < 2 * r + 2; ++c) {
        const int bit = 4 * b + c;
        if (kLinear || of.teacher(bit)) top = fmaxf(top, scores[b][c]);
        if (!kLinear && of.in_set >> bit & 1) most = fmaxf(most, scores[b][c]);
      }
    }
    top = fmaxf(run.top, top * unit);
    // Scores that are not finite have no largest: sums show them.
    if (top != -INFINITY) MoveTop(top, run);
    const float base = top == -INFINITY ? 0.0f : top;
    float base_most = 0;
    if (!kLinear) {
      most = fmaxf(run.most, most * unit);
      if (most != -INFINITY) MoveMost(most, run);
      base_most = most == -INFINITY ? 0.0f : most;
    }
#pragma unroll
    for (int b = 0; b < kTile / 8; ++b) {
#pragma unroll
      for (int c = 2 * r; c < 2 * r + 2; ++c) {
        const int bit = 4 * b + c;
        if (!kLinear && (of.softmax >> bit & 1)) {
          run.weights += Exp2(fmaf(scores[b][c], unit, -base_most));
        }
        if (kLinear || (of.linear >> bit & 1)) run.linear += linear[b][c];
        if (!kLinear && !of.teacher(bit)) continue;
        const float x = fmaf(scores[b][c], unit, -base), e = Exp2(x);
        run.mass += e;
        run.entropy = fmaf(e, x, run.entropy);
      }
    }
  }
}

// A row, once all its keys were seen.
struct Row {
  float shift, student_shift;  // as RowStatistics
  float linear;                // alpha / den: of a linear term its weight
  float gradient;              // of a linear term, but for kept - a / p
};

struct Learned {
  float cross = 0;
  float missed = 0;               // the teacher's mass below the floor
  float softmax = 0, linear = 0;  // sums of its terms' weights a / p
};

// One more tile: losses; `linear` becomes the gradients of the linear terms,
// were all of the teacher's mass kept.
template <bool kLinear>
__device__ __forceinline__ void Learn(const Pairs& scores, Pairs& linear,
                                      const PairTerms& of, float unit,
                                      const Row (&rows)[2],
                                      Learned (&sums)[2]) {
#pragma unroll
  for (int b = 0; b < kTile / 8; ++b) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int bit = 4 * b + i;
      const Row& row = rows[i / 2];
      Learned& sum = sums[i / 2];
      float& out = linear[b][i];
      if (!kLinear && !of.teacher(bit)) {
        out = 0;
        continue;
      }
      const float teacher = Exp2(fmaf(scores[b][i], unit, -row.shift));
      const bool is_linear = kLinear || (of.linear >> bit & 1);
      const float part = is_linear ? out * row.linear : 0.0f;
      float softmax = 0;
      if (!kLinear && (of.softmax >> bit & 1)) {
        softmax = Exp2(fmaf(scores[b][i], unit, -row.student_shift));
      }
      const float weight = softmax + part;
      const float floored = fmaxf(weight, kAttentionWeightFloor);
      const float above = weight > kAttentionWeightFloor ? teacher : 0.0f;
      sum.cross = fmaf(-teacher, Log2(floored), sum.cross);
      sum.missed += teacher - above;
      const float ratio = above * Reciprocal(floored);
      if (kLinear) {
        sum.linear += above;
      } else {
        sum.softmax = fmaf(softmax, ratio, sum.softmax);
        sum.linear = fmaf(part, ratio, sum.linear);
      }
      out = is_linear ? fmaf(-row.gradient, ratio, row.gradient) : 0.0f;
    }
  }
}

// The same gradients where less is kept.
__device__ __forceinline__ void LearnAgain(const Pairs& scores, Pairs& linear,
                                           const PairTerms& of, float unit,
                                           const Row (&rows)[2],
                                           const float (&kept)[2]) {
#pragma unroll
  for (int b = 0; b < kTile / 8; ++b) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int bit = 4 * b + i;
      const Row& row = rows[i / 2];
      float& out = linear[b][i];
      const float teacher = Exp2(fmaf(scores[b][i], unit, -row.shift));
      const float softmax =
          of.softmax >> bit & 1
              ? Exp2(fmaf(scores[b][i], unit, -row.student_shift))
              : 0.0f;
      const float weight = softmax + out * row.linear;
      const float ratio =
          weight > kAttentionWeightFloor ? teacher * Reciprocal(weight) : 0.0f;
      out = of.linear >> bit & 1 ? row.gradient * (kept[i / 2] - ratio) : 0.0f;
    }
  }
}

// A block's queries of a head: losses, statistics, dphi_q, the window factor's
// share.
template <int kTiles>
__global__ void __launch_bounds__(kThreads, BlocksBeside(kTiles))
    QueryTiles(const __grid_constant__ Problem p, float scale) {
  extern __shared__ __align__(128) char memory[];
  const Args& a = p.a;
  // Who has most keys begins.
  const Place place = PlaceOf(p, gridDim.x - 1 - blockIdx.x);
  if (place.count <= 0) return;
  const bool linear = AnyLinear(place.terms);
  // Another block does the rest of what there is without features.
  if (!linear && place.first_feature > 0) return;
  const Shared s = Cut(p, memory);
  const float gamma = Gamma(a, place.head), alpha = Alpha(a, gamma);
  const float unit = kLog2e * rsqrtf(static_cast<float>(a.D));
  const int lane = threadIdx.x % 32;
  const int first = threadIdx.x / 32 * 16;  // the warp's first row
  int n[2], start[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int row = first + lane / 4 + 8 * r;
    n[r] = row < place.count ? place.first + row : -1;
    start[r] = Start(a, n[r], place.phase);
  }
  LoadRows(At(a.q, place.begin + place.first, place.head), a.q.row, place.count,
           a.D, s.d_stride, s.own_x);
  if (linear) {
    LoadRows(FeaturesAt(p, p.phi_q, place, place.first), p.features,
             place.count, p.features, s.f_stride, s.own_phi);
  }
  const int keys = place.first + place.count;
  const int last = min(first + 15, place.count - 1) + place.first;
  const auto unseen = [&](int key) {
    return Left(a, place, key, key + kTile - 1, place.first);
  };
  Running run[2];
  Row row[2];
  float den[2], inverse_den[2], inverse_mass[2], kept[2];
  Learned learned[2];
  float sums[2 * kTiles][4] = {};
  // Statistics; losses and gradients; these again, where less is kept. One
  // loop: code of all three in a row would not fit the caches of instructions.
#pragma unroll 1
  for (int pass = 0; pass < 3; ++pass) {
    ForTiles(
        0, keys,
        [&](int key) {
          if (unseen(key)) return;
          const int count = min(kTile, keys - key);
          LoadRows(At(a.k, place.begin + key, place.kv), a.k.row, count, a.D,
                   s.d_stride, s.x);
          if (linear) {
            LoadRows(FeaturesAt(p, p.phi_k, place, key), p.features, count,
                     p.features, s.f_stride, s.phi);
          }
        },
        [&](int key) {
          if (first >= place.count || key > last || unseen(key)) return;
          Pairs scores, terms;
          Products(s.own_x, s.x, a.D, s.d_stride, scores);
          Products(s.own_phi, s.phi, linear ? p.features : 0, s.f_stride,
                   terms);
          PairTerms of;
          const bool throughout = LinearThroughout(
              a, place, key, key + kTile - 1, place.first + first);
          if (throughout) {
            of.linear = ~0u;
          } else {
#pragma unroll 1
            for (int b = 0; b < kTile / 8; ++b) {
              const int j = key + 8 * b + lane % 4 * 2;
#pragma unroll
              for (int i = 0; i < 4; ++i) {
                of.Add(a, place.terms, n[i / 2], start[i / 2], j + i % 2,
                       4 * b + i);
              }
            }
          }
          if (pass == 0) {
            if (throughout) {
              AddTile<true>(scores, terms, of, unit, run);
            } else {
              AddTile<false>(scores, terms, of, unit, run);
            }
            return;
          }
          if (pass == 2) {
            LearnAgain(scores, terms, of, unit, row, kept);
          } else if (throughout) {
            Learn<true>(scores, terms, of, unit, row, learned);
          } else {
            Learn<false>(scores, terms, of, unit, row, learned);
          }
          if (!linear) return;
          AddFeatures<kTiles>(terms, s.phi, s.f_stride, place.first_feature,
                              sums);
        });
    if (pass == 0) {
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        Join(run[r]);
        den[r] = gamma * run[r].weights + alpha * run[r].linear;
        const bool any = !(den[r] <= 0);  // NaN, too
        inverse_den[r] = any ? 1.0f / den[r] : 0.0f;
        inverse_mass[r] = any ? 1.0f / run[r].mass : 0.0f;
        row[r].shift = any ? run[r].top + log2f(run[r].mass) : INFINITY;
        row[r].student_shift =
            any ? run[r].most - log2f(gamma * inverse_den[r]) : INFINITY;
        row[r].linear = alpha * inverse_den[r];
        row[r].gradient = scale * row[r].linear;
      }
    } else if (pass == 1) {
      bool less = false;
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const float missed = QuadSum(learned[r].missed);
        less = less || missed > 0;
        kept[r] = 1.0f - missed;
      }
      if (!__syncthreads_or(linear && less)) break;
#pragma unroll
      for (auto& block : sums) {
#pragma unroll
        for (float& x : block) x = 0;
      }
    }
  }
  if (linear) StoreFeatures<kTiles>(p, place, sums, p.plain.dphi_q);
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const float cross = QuadSum(learned[r].cross);
    const float softmax = QuadSum(learned[r].softmax);
    const float terms = QuadSum(learned[r].linear);
    if (place.first_feature > 0 || n[r] < 0 || lane % 4 != 0) continue;
    const bool any = !(den[r] <= 0);
    const int64_t at = place.head * a.rows + place.begin + n[r];
    p.rows.shift[at] = row[r].shift;
    p.rows.student_shift[at] = row[r].student_shift;
    p.rows.inverse_den[at] = inverse_den[r];
    p.rows.kept[at] = kept[r];
    // What is not finite shows, whatever maxima and comparisons make of it.
    p.rows.cross[at] = any ? fmaf(0.0f, den[r], cross * kLn2) : 0.0f;
    p.rows.entropy[at] =
        any ? kLn2 * (log2f(run[r].mass) - run[r].entropy * inverse_mass[r])
            : 0.0f;
    // Of log gamma and log alpha.
    const float dgamma = scale * fmaf(kept[r] * gamma * inverse_den[r],
                                      run[r].weights, -softmax);
    const float dalpha =
        scale * fmaf(kept[r] * row[r].linear, run[r].linear, -terms);
    p.plain.dfactor[at] =
        (1 - gamma) * dgamma - (a.affine ? gamma * dalpha : 0.0f);
  }
}

}  // namespace caracal::kernels::cuda::weight_loss

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_CUDA_QUERIES_H_
