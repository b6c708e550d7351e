// Keys of the attention-weight loss: dphi_k. For weight_loss_cuda.cu only.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_CUDA_KEYS_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_CUDA_KEYS_H_

#include "kernels/hybrid_attention/weight_loss_cuda_tiles.h"

namespace caracal::kernels::cuda::weight_loss {

// `linear`, keys by queries, becomes the gradients of the linear terms; `rows`
// are the queries' statistics. kLinear: all pairs have linear terms alone (or
// zeros for features, and no mass).
template <bool kLinear>
__device__ __forceinline__ void Gradients(const Pairs& scores, Pairs& linear,
                                          const PairTerms& of, float unit,
                                          float alpha, float scale,
                                          const float* rows) {
  const float* const own = rows + threadIdx.x % 4 * 2;
  const auto two = [&](int which, int b) {
    return *reinterpret_cast<const float2*>(own + which * kTile + 8 * b);
  };
#pragma unroll
  for (int b = 0; b < kTile / 8; ++b) {
    const float2 shifts = two(0, b), inverses = two(1, b), kept = two(2, b);
    float2 student = {};
    if (!kLinear) student = two(3, b);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int bit = 4 * b + i;
      float& out = linear[b][i];
      const float shift = i % 2 ? shifts.y : shifts.x;
      const float factor = alpha * (i % 2 ? inverses.y : inverses.x);
      const float teacher = Exp2(fmaf(scores[b][i], unit, -shift));
      float weight = out * factor;
      if (!kLinear && (of.softmax >> bit & 1)) {
        weight +=
            Exp2(fmaf(scores[b][i], unit, -(i % 2 ? student.y : student.x)));
      }
      const float ratio =
          weight > kAttentionWeightFloor ? teacher * Reciprocal(weight) : 0.0f;
      const float g = scale * factor * ((i % 2 ? kept.y : kept.x) - ratio);
      out = kLinear || (of.linear >> bit & 1) ? g : 0.0f;
    }
  }
}

// A block's keys of a head: dphi_k.
template <int kTiles>
__global__ void __launch_bounds__(kThreads, BlocksBeside(kTiles))
    KeyTiles(const __grid_constant__ Problem p, float scale) {
  extern __shared__ __align__(128) char memory[];
  const Args& a = p.a;
  const Place place = PlaceOf(p, blockIdx.x);
  if (place.count <= 0 || !AnyLinear(place.terms)) return;
  const Shared s = Cut(p, memory);
  const float alpha = Alpha(a, Gamma(a, place.head));
  const float unit = kLog2e * rsqrtf(static_cast<float>(a.D));
  const int lane = threadIdx.x % 32;
  const int first = threadIdx.x / 32 * 16;  // the warp's first row
  const int key = place.first + first;
  LoadRows(At(a.k, place.begin + place.first, place.kv), a.k.row, place.count,
           a.D, s.d_stride, s.own_x);
  LoadRows(FeaturesAt(p, p.phi_k, place, place.first), p.features, place.count,
           p.features, s.f_stride, s.own_phi);
  const float* const statistics[Memory::kStatistics] = {
      p.rows.shift, p.rows.inverse_den, p.rows.kept, p.rows.student_shift};
  float sums[2 * kTiles][4] = {};
  // No query further down has terms of these keys.
  int end = place.length;
  while (end - kTile > place.first &&
         Left(a, place, place.first, place.first + kTile - 1,
              (end - 1) / kTile * kTile)) {
    end = (end - 1) / kTile * kTile;
  }
  ForTiles(
      place.first, end,
      [&](int query) {
        const int count = min(kTile, place.length - query);
        const int64_t row = place.begin + query;
        LoadRows(At(a.q, row, place.head), a.q.row, count, a.D, s.d_stride,
                 s.x);
        LoadRows(FeaturesAt(p, p.phi_q, place, query), p.features, count,
                 p.features, s.f_stride, s.phi);
        // Who is not there has no mass and keeps none.
        for (int j = threadIdx.x; j < Memory::kStatistics * kTile;
             j += kThreads) {
          const int r = j % kTile, which = j / kTile;
          s.rows[j] = r < count
                          ? statistics[which][place.head * a.rows + row + r]
                          : (which == 0 || which == 3 ? INFINITY : 0.0f);
        }
      },
      [&](int query) {
        if (first >= place.count) return;
        Pairs scores, terms;
        Products(s.own_x, s.x, a.D, s.d_stride, scores);
        Products(s.own_phi, s.phi, p.features, s.f_stride, terms);
        PairTerms of;
        if (LinearThroughout(a, place, key, key + 15, query)) {
          Gradients<true>(scores, terms, of, unit, alpha, scale, s.rows);
        } else {
#pragma unroll 1
          for (int b = 0; b < kTile / 8; ++b) {
#pragma unroll
            for (int c = 0; c < 2; ++c) {
              const int at = query + 8 * b + lane % 4 * 2 + c;
              const int n = at < place.length ? at : -1;
              const int start = Start(a, n, place.phase);
              of.Add(a, place.terms, n, start, key + lane / 4, 4 * b + c);
              of.Add(a, place.terms, n, start, key + lane / 4 + 8,
                     4 * b + 2 + c);
            }
          }
          Gradients<false>(scores, terms, of, unit, alpha, scale, s.rows);
        }
        AddFeatures<kTiles>(terms, s.phi, s.f_stride, place.first_feature,
                            sums);
      });
  StoreFeatures<kTiles>(p, place, sums, p.plain.dphi_k);
}

}  // namespace caracal::kernels::cuda::weight_loss

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_CUDA_KEYS_H_
