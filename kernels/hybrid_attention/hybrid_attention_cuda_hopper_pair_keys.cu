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
//  2 has the softmax terms, dk and dv. If neither is asked for, another kernel
//    lets it take turns with warpgroup 1, but for rows that are LinearAlone.
// Of rows that are LinearAlone, the own tile has the linear terms instead of
// the later one, which is among the rows further on. Rows are counted in tiles
// from the one after the segment: number i is the later one of the i-th tile of
// keys (from the end), number i + 1 its own.
#include "kernels/common/cuda_check.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_hopper_kernels.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_pair_keys.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_pair_keys_alone.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_pair_keys_linear.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_pair_keys_softmax.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_pair_keys_suffix.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_pair_keys_transfer.h"

namespace caracal::kernels::cuda {
namespace keys {
namespace {

// kAlone: some heads may be LinearAlone. What they take costs the others
// registers.
template <int DP, bool kAlone>
__global__ void __launch_bounds__(kPairBlock, 1)
    BackwardKeys(const __grid_constant__ Args a,
                 const __grid_constant__ HopperScratch scratch,
                 const __grid_constant__ PairMaps maps) {
  extern __shared__ __align__(1024) char memory[];
  Shared<DP>& shared = *reinterpret_cast<Shared<DP>*>(memory);
  const PairBlock b(a, scratch, kAlone);
  const bool rows = a.dk.data != nullptr || a.dv.data != nullptr;
  if (!OneKeyPair(a, scratch, b.terms) || !(rows || b.own)) return;

  if (threadIdx.x == 0) {
    InitBarriers(shared, b);
    FetchRows(shared, maps, b, 0);
    FetchKeys(shared, maps, b, 0);
    FetchRows(shared, maps, b, 1);
  }
  if (b.linear) {
    LoadWeight<DP>(SharedAddress(shared.weight_q), scratch.weight_q, b.head,
                   kPairBlock);
    LoadWeight<DP>(SharedAddress(shared.weight_k), scratch.weight_k, b.head,
                   kPairBlock);
    Clear(shared.deltas[0], sizeof(shared.deltas), kPairBlock);
    Clear(shared.norm, sizeof(shared.norm), kPairBlock);
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
    if (b.own) {
      SuffixJob<DP, 1>(shared, scratch, a, b, [&](int number) {
        if (threadIdx.x == 0) FetchRows(shared, maps, b, number + 2);
        __syncwarp();
      });
    } else if (b.linear) {
      SuffixJob<DP, 0>(shared, scratch, a, b, [](int) {});
    }
  } else if (group == 1) {
    if (b.own) {
      LinearJob<true>(shared, a, scratch, maps, b);
    } else if (b.linear) {
      LinearJob<false>(shared, a, scratch, maps, b);
    }
  } else if (b.own) {
    LinearAloneJob(shared, a, scratch, b);
  } else {
    SoftmaxJob(shared, a, scratch, maps, b);
  }
}

// dz_k alone.
template <int DP>
__global__ void __launch_bounds__(kPairBlock, 1)
    TransferKeys(const __grid_constant__ Args a,
                 const __grid_constant__ HopperScratch scratch,
                 const __grid_constant__ PairMaps maps) {
  extern __shared__ __align__(1024) char memory[];
  auto& shared = *reinterpret_cast<TransferShared<DP>*>(memory);
  const PairBlock b(a, scratch);
  if (!OneKeyPair(a, scratch, b.terms) || !b.linear || b.own) return;

  if (threadIdx.x == 0) {
    InitBarriers(shared);
    FetchQueries(shared, maps, b, 0);
    FetchKeyTile(shared, maps, b, 0);
    for (int i = 0; i < 2; ++i) {
      if (i > 0) FetchQueries(shared, maps, b, i);
      FetchValueTile(shared, maps, b, i);
      FetchGradients(shared, maps, b, i);
    }
  }
  LoadWeight<DP>(SharedAddress(shared.weight_q), scratch.weight_q, b.head,
                 kPairBlock);
  LoadWeight<DP>(SharedAddress(shared.weight_k), scratch.weight_k, b.head,
                 kPairBlock);
  Clear(shared.deltas[0], sizeof(shared.deltas), kPairBlock);
  Clear(shared.norm, sizeof(shared.norm), kPairBlock);
  CopyCommit();
  CopyWait();
  FenceShared();
  __syncthreads();

  const int group = Warpgroup();
  if (group > 0) {
    KeysInTurn(shared, a, scratch, maps, b, group - 1);
    return;
  }
  SuffixJob<DP, 0>(shared, scratch, a, b, [&](int i) {
    if (threadIdx.x == 0) FetchGradients(shared, maps, b, i + 2);
    __syncwarp();
  });
}

template <typename Shared, typename Kernel>
void Launch(Kernel kernel, const Args& a, const HopperScratch& s,
            const PairMaps& maps, cudaStream_t stream) {
  CARACAL_LAUNCHER_CHECK(cudaFuncSetAttribute(
      kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, sizeof(Shared)));
  kernel<<<s.count * a.H, kPairBlock, sizeof(Shared), stream>>>(a, s, maps);
  CARACAL_CUDA_CHECK_LAUNCH();
}

template <int DP>
void LaunchFor(const Args& a, const HopperScratch& s, const PairMaps& maps,
               cudaStream_t stream) {
  if (a.dk.data != nullptr || a.dv.data != nullptr) {
    Launch<Shared<DP>>(
        s.alone ? BackwardKeys<DP, true> : BackwardKeys<DP, false>, a, s, maps,
        stream);
  } else {
    if (s.beside) {
      Launch<TransferShared<DP>>(TransferKeys<DP>, a, s, maps, stream);
    }
    if (s.alone) {
      Launch<Shared<DP>>(BackwardKeys<DP, true>, a, s, maps, stream);
    }
  }
}

}  // namespace
}  // namespace keys

void HopperBackwardKeyPairs(const Args& a, const HopperScratch& s,
                            const PairMaps& maps, cudaStream_t stream) {
  a.D <= 64 ? keys::LaunchFor<64>(a, s, maps, stream)
            : keys::LaunchFor<128>(a, s, maps, stream);
}

}  // namespace caracal::kernels::cuda
