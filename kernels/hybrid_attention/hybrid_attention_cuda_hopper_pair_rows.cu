// Hopper version, backward by rows, for rows that are OneKeyPair: dq, the
// gradient of the queries' features as dz, and what the backward by keys needs
// of each row (c_n, its gradient and its key). Reads 1 / den and dy . y of the
// rows. Three warpgroups, a job each, on the same 64 rows:
//  0 keeps the state;
//  1 has the linear terms: with P = dy V^T, g = alpha / den (P - dy . y),
//        dphi_q = g phi_k + alpha / den (S dy - dy . y norm),
//    which goes through the feature map to dz;
//  2 has the softmax terms: ds = p (P - dy . y), and dq from ds and dz. It has
//    nothing to do if no gradient of rows is asked for. Of rows that are
//    LinearAlone, dq from dz; c_n has no gradient there.
// The gradients of c_n and w_h follow from the sums of weight gradients: those
// of a row's softmax terms and of its linear terms, sum p (P - dy . y), cancel,
// so that with A = phi_q . dphi_q
//     dc_n = A,    dw_h = sum_n -A (1 - gamma)   (affine: sum_n -A).
#include "kernels/common/cuda_check.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_hopper_kernels.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_pair_rows.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_pair_rows_alone.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_pair_rows_linear.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_pair_rows_softmax.h"

namespace caracal::kernels::cuda {
namespace rows {
namespace {

// kAlone: some heads may be LinearAlone. What they take costs the others
// registers.
template <int DP, bool kSinks, bool kAlone>
__global__ void __launch_bounds__(kPairBlock, 1)
    BackwardRows(const __grid_constant__ Args a,
                 const __grid_constant__ HopperScratch scratch,
                 const __grid_constant__ PairMaps maps) {
  extern __shared__ __align__(1024) char memory[];
  Shared<DP>& shared = *reinterpret_cast<Shared<DP>*>(memory);
  const PairBlock b(a, scratch, kAlone);
  if (!OneKeyPair(a, scratch, b.terms) || (scratch.rows_done && !b.own)) return;
  const Jobs jobs(a, b);
  if (!jobs.linear && threadIdx.x == 0) scratch.dfactor[blockIdx.x] = 0;
  if (!jobs.linear && !jobs.softmax) return;

  if (threadIdx.x == 0) {
    InitBarriers(shared, jobs);
    FetchTile<DP>(maps.q, b, b.head, 1, shared.q, shared.q_full);
    FetchTile<DP>(maps.dy, b, b.head, 1, shared.dy, shared.dy_full);
    for (int i = 0; i < min(b.count + 1, kStages); ++i) {
      FetchTile<DP>(maps.k, b, b.kv, i, shared.k[i], shared.k_full[i]);
      FetchTile<DP>(maps.v, b, b.kv, i, shared.v[i], shared.v_full[i]);
    }
  }
  FillOnes(shared.ones);
  if (kSinks) {
    LoadSinks<DP>(SharedAddress(shared.sink_k), a.k, b.segment.begin, a.sinks,
                  b.kv, a.D, kPairBlock);
    LoadSinks<DP>(SharedAddress(shared.sink_v), a.v, b.segment.begin, a.sinks,
                  b.kv, a.D, kPairBlock);
  }
  if (jobs.linear) {
    LoadWeight<DP>(SharedAddress(shared.weight_q), scratch.weight_q, b.head,
                   kPairBlock);
    LoadWeight<DP>(SharedAddress(shared.weight_k), scratch.weight_k, b.head,
                   kPairBlock);
  } else {
    Clear(shared.weight_q, kWeightBytes<DP>, kPairBlock);
    Clear(shared.dz, kPanel, kPairBlock);
  }
  CopyCommit();
  CopyWait();
  FenceShared();
  __syncthreads();

  const int group = Warpgroup();
  if (group == 0) {
    if (b.own) {
      KeepState<DP, 1>(shared, scratch, a, b);
    } else if (jobs.linear) {
      KeepState<DP, 0>(shared, scratch, a, b);
    }
  } else if (group == 1) {
    if (b.own) {
      LinearJob<true>(shared, a, scratch, maps, b, jobs);
    } else if (jobs.linear) {
      LinearJob<false>(shared, a, scratch, maps, b, jobs);
    }
  } else {
    if (b.own) {
      LinearAloneJob(shared, a, b);
    } else if (jobs.softmax) {
      SoftmaxJob<DP, kSinks>(shared, a, scratch, maps, b, jobs);
    }
  }
  if (!jobs.linear) return;
  __syncthreads();
  if (threadIdx.x > 0) return;
  // Without softmax terms y does not depend on their factor.
  float sum = 0;
  if (AnySoftmax(b.terms)) {
    for (float factor : shared.factors) sum += factor;
  }
  scratch.dfactor[blockIdx.x] = sum;
}

template <int DP, bool kSinks, bool kAlone>
void Launch(const Args& a, const HopperScratch& s, const PairMaps& maps,
            cudaStream_t stream) {
  constexpr auto kKernel = BackwardRows<DP, kSinks, kAlone>;
  CARACAL_LAUNCHER_CHECK(
      cudaFuncSetAttribute(kKernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                           sizeof(Shared<DP>)));
  kKernel<<<s.count * a.H, kPairBlock, sizeof(Shared<DP>), stream>>>(a, s,
                                                                     maps);
  CARACAL_CUDA_CHECK_LAUNCH();
}

template <int DP, bool kSinks>
void LaunchFor(const Args& a, const HopperScratch& s, const PairMaps& maps,
               cudaStream_t stream) {
  s.alone ? Launch<DP, kSinks, true>(a, s, maps, stream)
          : Launch<DP, kSinks, false>(a, s, maps, stream);
}

}  // namespace
}  // namespace rows

void HopperBackwardRowPairs(const Args& a, const HopperScratch& s,
                            const PairMaps& maps, cudaStream_t stream) {
  if (a.D <= 64) {
    a.sinks > 0 ? rows::LaunchFor<64, true>(a, s, maps, stream)
                : rows::LaunchFor<64, false>(a, s, maps, stream);
  } else {
    a.sinks > 0 ? rows::LaunchFor<128, true>(a, s, maps, stream)
                : rows::LaunchFor<128, false>(a, s, maps, stream);
  }
}

}  // namespace caracal::kernels::cuda
