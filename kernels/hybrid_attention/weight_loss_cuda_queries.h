// Queries of the attention-weight loss: losses, what the keys need to know of a
// row, dphi_q and the window factor's share. For weight_loss_cuda.cu only.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_CUDA_QUERIES_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_CUDA_QUERIES_H_

#include "kernels/hybrid_attention/weight_loss_cuda_tiles.h"

namespace caracal::kernels::cuda::weight_loss {

struct Running {
  float top = -INFINITY, mass = 0, entropy = 0;  // of the teacher
  float most = -INFINITY, weights = 0;           // of the softmax set
  float linear = 0;
};

// Of two parts of a row.
__device__ __forceinline__ void Join(float top, float mass, float entropy,
                                     float most, float weights, Running& r) {
  const auto shift = [](float from, float to) {
    return from == -INFINITY ? 0.0f : from - to;
  };
  const float highest = fmaxf(r.top, top);
  const float mine = shift(r.top, highest), other = shift(top, highest);
  r.entropy = expf(mine) * (r.entropy + mine * r.mass) +
              expf(other) * (entropy + other * mass);
  r.mass = expf(mine) * r.mass + expf(other) * mass;
  r.top = highest;
  const float limit = fmaxf(r.most, most);
  r.weights = expf(shift(r.most, limit)) * r.weights +
              expf(shift(most, limit)) * weights;
  r.most = limit;
}

// One tile of queries of a head: losses, statistics, dphi_q, the window
// factor's share.
template <int kTiles>
__global__ void __launch_bounds__(kThreads)
    QueryTiles(const __grid_constant__ Problem p, float scale) {
  extern __shared__ __align__(128) char memory[];
  const Args& a = p.a;
  const Place place = PlaceOf(p);
  if (place.count <= 0) return;
  const Shared s = Cut(p, memory);
  const Query q = QueryOf(a, place, place.first, place.count);
  const bool linear = AnyLinear(q.terms);
  // Another block does the rest of what there is without features.
  if (!linear && place.first_feature > 0) return;
  const int64_t row = place.begin + place.first;
  LoadInputs(a.q, row, place.count, place.head, a.D, s.d_stride, s.q);
  if (linear) {
    LoadFeatures(p, p.plain.phi_q, row, place.count, place.head, s.f_stride,
                 s.phi_q);
  }
  const int keys = place.first + place.count;
  // Calls use(first key) with the tile's scores and linear terms in place.
  const auto for_tiles = [&](const auto& use) {
    for (int first = 0; first < keys; first += kTile) {
      const int count = min(kTile, keys - first);
      __syncthreads();
      LoadInputs(a.k, place.begin + first, count, place.kv, a.D, s.d_stride,
                 s.k);
      if (linear) {
        LoadFeatures(p, p.plain.phi_k, place.begin + first, count, place.head,
                     s.f_stride, s.phi_k);
      }
      __syncthreads();
      Products(s.q, s.k, a.D, s.d_stride, s.scores);
      if (linear) {
        Products(s.phi_q, s.phi_k, p.features, s.f_stride, s.linear);
      }
      __syncwarp();
      use(first);
      __syncwarp();
    }
  };

  Running r;
  for_tiles([&](int first) {
    float top = -INFINITY, most = -INFINITY;
    ForKeys(a, s, q, first,
            [&](int, float score, float, bool softmax, bool is_linear,
                bool in_set) {
              if (softmax || is_linear) top = fmaxf(top, score);
              if (in_set) most = fmaxf(most, score);
            });
    float mass = 0, entropy = 0, weights = 0;
    ForKeys(
        a, s, q, first,
        [&](int, float score, float term, bool softmax, bool is_linear, bool) {
          if (softmax) weights += expf(score - most);
          if (is_linear) r.linear += term;
          if (!softmax && !is_linear) return;
          const float e = expf(score - top);
          mass += e;
          entropy += e * (score - top);
        });
    Join(top, mass, entropy, most, weights, r);
  });
  Join(__shfl_xor_sync(~0u, r.top, 1), __shfl_xor_sync(~0u, r.mass, 1),
       __shfl_xor_sync(~0u, r.entropy, 1), __shfl_xor_sync(~0u, r.most, 1),
       __shfl_xor_sync(~0u, r.weights, 1), r);
  const float den = q.gamma * r.weights + q.alpha * Both(r.linear);
  const bool any = !(den <= 0);  // NaN, too
  const float inverse_den = any ? 1.0f / den : 0.0f;
  const float inverse_mass = any ? 1.0f / r.mass : 0.0f;

  float kept = 0, cross = 0;
  for_tiles([&](int first) {
    ForKeys(
        a, s, q, first,
        [&](int, float score, float term, bool softmax, bool is_linear, bool) {
          if (!softmax && !is_linear) return;
          const float teacher = expf(score - r.top) * inverse_mass;
          const float weight =
              StudentTerm(q, score, r.most, term, softmax, is_linear) *
              inverse_den;
          if (weight > kAttentionWeightFloor) kept += teacher;
          cross -= teacher * logf(fmaxf(weight, kAttentionWeightFloor));
        });
  });
  kept = Both(kept);
  cross = Both(cross);

  Sums sums[kTiles];
#pragma unroll
  for (int b = 0; b < kTiles; ++b) wmma::fill_fragment(sums[b], 0.0f);
  GradientSums of;
  for_tiles([&](int first) {
    GradientOf(a, s, q, first, scale, r.top, inverse_mass, r.most, inverse_den,
               kept, &of);
    if (!linear) return;
    __syncwarp();
    AddFeatures<Rows>(s.gradient + threadIdx.x / 32 * 16 * kGradients, 16,
                      s.phi_k, s.f_stride, place.first_feature, p.features,
                      sums);
  });
  if (linear) {
    __syncwarp();
    StoreFeatures<kTiles>(p, place, sums,
                          s.scores + threadIdx.x / 32 * 16 * kScores,
                          p.plain.dphi_q);
  }
  if (place.first_feature > 0) return;
  const float dgamma = Both(of.gamma), dalpha = Both(of.alpha);
  if (q.n < 0 || threadIdx.x % 2 != 0) return;
  const int64_t at = place.head * a.rows + place.begin + q.n;
  p.rows.top[at] = r.top;
  p.rows.inverse_mass[at] = inverse_mass;
  p.rows.row_max[at] = r.most;
  p.rows.inverse_den[at] = inverse_den;
  p.rows.kept[at] = kept;
  // What is not finite shows, whatever maxima and comparisons make of it.
  p.rows.cross[at] = any ? cross + 0.0f * den : 0.0f;
  p.rows.entropy[at] = any ? logf(r.mass) - r.entropy * inverse_mass : 0.0f;
  p.plain.dfactor[at] =
      (a.affine ? dgamma - dalpha : dgamma) * q.gamma * (1 - q.gamma);
}

}  // namespace caracal::kernels::cuda::weight_loss

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_CUDA_QUERIES_H_
