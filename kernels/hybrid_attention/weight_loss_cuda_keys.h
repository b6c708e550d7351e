// Keys of the attention-weight loss: dphi_k. For weight_loss_cuda.cu only.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_CUDA_KEYS_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_CUDA_KEYS_H_

#include "kernels/hybrid_attention/weight_loss_cuda_tiles.h"

namespace caracal::kernels::cuda::weight_loss {

// One tile of keys of a head: dphi_k.
template <int kTiles>
__global__ void __launch_bounds__(kThreads)
    KeyTiles(const __grid_constant__ Problem p, float scale) {
  extern __shared__ __align__(128) char memory[];
  const Args& a = p.a;
  const Place place = PlaceOf(p);
  if (place.count <= 0) return;
  if (!AnyLinear(TermsOf(a, place.sequence, place.head))) return;
  const Shared s = Cut(p, memory);
  const int64_t key = place.begin + place.first;
  LoadInputs(a.k, key, place.count, place.kv, a.D, s.d_stride, s.k);
  LoadFeatures(p, p.plain.phi_k, key, place.count, place.head, s.f_stride,
               s.phi_k);
  Sums sums[kTiles];
#pragma unroll
  for (int b = 0; b < kTiles; ++b) wmma::fill_fragment(sums[b], 0.0f);
  const float* const statistics[] = {p.rows.top, p.rows.inverse_mass,
                                     p.rows.row_max, p.rows.inverse_den,
                                     p.rows.kept};
  for (int first = place.first; first < place.length; first += kTile) {
    const int count = min(kTile, place.length - first);
    const int64_t row = place.begin + first;
    __syncthreads();
    LoadInputs(a.q, row, count, place.head, a.D, s.d_stride, s.q);
    LoadFeatures(p, p.plain.phi_q, row, count, place.head, s.f_stride, s.phi_q);
    for (int i = threadIdx.x; i < Memory::kStatistics * kTile; i += kThreads) {
      const int r = i % kTile;
      s.rows[i] = r < count
                      ? statistics[i / kTile][place.head * a.rows + row + r]
                      : 0.0f;
    }
    __syncthreads();
    Products(s.q, s.k, a.D, s.d_stride, s.scores);
    Products(s.phi_q, s.phi_k, p.features, s.f_stride, s.linear);
    __syncwarp();
    const Query q = QueryOf(a, place, first, count);
    const float* const own = s.rows + threadIdx.x / 2;
    GradientSums unused;
    GradientOf(a, s, q, place.first, scale, own[0], own[kTile], own[2 * kTile],
               own[3 * kTile], own[4 * kTile], &unused);
    __syncthreads();
    AddFeatures<Turned>(s.gradient + threadIdx.x / 32 * 16, 16 * kGradients,
                        s.phi_q, s.f_stride, place.first_feature, p.features,
                        sums);
  }
  __syncthreads();
  StoreFeatures<kTiles>(p, place, sums,
                        s.scores + threadIdx.x / 32 * 16 * kScores,
                        p.plain.dphi_k);
}

}  // namespace caracal::kernels::cuda::weight_loss

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_CUDA_KEYS_H_
