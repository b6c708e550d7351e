// Hopper version, backward by keys, for rows that are OneKeyPair: dk, dv and
// the gradient of the keys' features as dz, from a segment's last tile of keys
// to its first. Products are transposed: their rows are keys, their columns
// rows of queries, those of the keys' own tile and of the later one. Rows
// further on reach a key through
//     R = sum_n phi'_q(n) dy_n^T,   r = sum_n phi'_q(n) (dy_n . y_n)
// with phi'_q = alpha / den phi_q: dv_j = R^T phi_k(j), dphi_k(j) = R v_j - r.
// Three warpgroups, a job each, on the same 64 keys:
//  0 keeps R and r;
//  1 has the linear terms: both tiles' features, dphi_k and through the feature
//    map dz, and the later rows' linear weights for dv;
//  2 has the softmax terms, dk and dv. It has nothing to do if neither is asked
//    for.
// Rows are counted in tiles from the one after the segment: number i is the
// later one of the i-th tile of keys (from the end), number i + 1 its own.
#include "kernels/common/cuda_check.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_hopper_kernels.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_pair_keys.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_pair_keys_linear.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_pair_keys_softmax.h"

namespace caracal::kernels::cuda {
namespace keys {
namespace {

template <int DP>
__global__ void __launch_bounds__(kPairBlock, 1)
    BackwardKeys(const __grid_constant__ Args a,
                 const __grid_constant__ HopperScratch scratch,
                 const __grid_constant__ PairMaps maps) {
  extern __shared__ __align__(1024) char memory[];
  Shared<DP>& shared = *reinterpret_cast<Shared<DP>*>(memory);
  const PairBlock b(a, scratch);
  if (!OneKeyPair(a, b.terms)) return;
  const Jobs jobs(a, b);
  if (!jobs.linear && !jobs.softmax) return;

  if (threadIdx.x == 0) {
    InitBarriers(shared, jobs);
    FetchRows(shared, maps, b, 0);
    FetchKeys(shared, maps, b, 0);
    FetchRows(shared, maps, b, 1);
  }
  if (jobs.linear) {
    LoadWeight<DP>(SharedAddress(shared.weight_q), scratch.weight_q, b.head,
                   kPairBlock);
    LoadWeight<DP>(SharedAddress(shared.weight_k), scratch.weight_k, b.head,
                   kPairBlock);
    Clear(shared.deltas, kDeltaPanel, kPairBlock);
  } else {
    Clear(shared.weight_k, kWeightBytes<DP>, kPairBlock);
    Clear(shared.phi_k, kPhiBytes, kPairBlock);
    Clear(shared.suffix, kStateBytes<DP>, kPairBlock);
    Clear(shared.dz, kPanel, kPairBlock);
    Clear(shared.linear, kPanel, kPairBlock);
  }
  CopyCommit();
  CopyWait();
  FenceShared();
  __syncthreads();

  const int group = Warpgroup();
  if (group == 0) {
    if (jobs.linear) SuffixJob(shared, scratch, a, b);
  } else if (group == 1) {
    if (jobs.linear) LinearJob(shared, a, scratch, maps, b, jobs);
  } else {
    if (jobs.softmax) SoftmaxJob(shared, a, scratch, maps, b, jobs);
  }
}

template <int DP>
void Launch(const Args& a, const HopperScratch& s, const PairMaps& maps,
            cudaStream_t stream) {
  CARACAL_CUDA_CHECK(cudaFuncSetAttribute(
      BackwardKeys<DP>, cudaFuncAttributeMaxDynamicSharedMemorySize,
      sizeof(Shared<DP>)));
  BackwardKeys<DP>
      <<<s.count * a.H, kPairBlock, sizeof(Shared<DP>), stream>>>(a, s, maps);
  CARACAL_CUDA_CHECK_LAUNCH();
}

}  // namespace
}  // namespace keys

void HopperBackwardKeyPairs(const Args& a, const HopperScratch& s,
                            const PairMaps& maps, cudaStream_t stream) {
  a.D <= 64 ? keys::Launch<64>(a, s, maps, stream)
            : keys::Launch<128>(a, s, maps, stream);
}

}  // namespace caracal::kernels::cuda
