// Hopper version, forward, for rows that look one by one only at their own and
// the previous tile of keys (OnePair), and at a few far sinks. Warpgroup 0
// keeps the state; the other two take 64 rows in turn, each its rows' whole
// softmax and linear terms, and make the features of their own tile's keys for
// the next rows and the state.
//
// In a backward (scratch.delta set) it makes the rows' statistics instead of y:
// from a target dy as well, otherwise for the dy given. In transfer, where no
// gradient of rows is asked for, the rows' part of the backward follows right
// here, for those that are OneKeyPair: all that it takes lies ready (but not of
// rows that are LinearAlone).
#include "kernels/common/cuda_check.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_hopper_kernels.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_pair_forward.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_pair_forward_rows.h"

namespace caracal::kernels::cuda {
namespace forward {
namespace {

template <int DP, bool kSinks, Leaves kLeaves>
__global__ void __launch_bounds__(kPairBlock, 1)
    ForwardRows(const __grid_constant__ Args a,
                const __grid_constant__ HopperScratch scratch,
                const __grid_constant__ PairMaps maps) {
  extern __shared__ __align__(1024) char memory[];
  using Memory = Shared<DP, kLeaves>;
  Memory& shared = *reinterpret_cast<Memory*>(memory);
  const PairBlock b(a, scratch);
  if (!OnePair(a, b.terms)) return;
  const int group = Warpgroup();

  if (threadIdx.x == 0) {
    InitBarriers(shared, b.linear);
    FetchTile<DP>(maps.q, b, b.head, 1, shared.q, shared.q_full[0]);
    for (int i = 0; i < min(b.count + 1, Memory::kKeyStages); ++i) {
      FetchTile<DP>(maps.k, b, b.kv, i, shared.k[i], shared.k_full[i]);
    }
    for (int i = 0; i < min(b.count + 1, kStages); ++i) {
      FetchTile<DP>(maps.v, b, b.kv, i, shared.v[i], shared.v_full[i]);
    }
  }
  Clear(shared.norm, sizeof(shared.norm), kPairBlock);
  FillOnes(shared.ones);
  if (kSinks) {
    LoadSinks<DP>(SharedAddress(shared.sink_k), a.k, b.segment.begin, a.sinks,
                  b.kv, a.D, kPairBlock);
    LoadSinks<DP>(SharedAddress(shared.sink_v), a.v, b.segment.begin, a.sinks,
                  b.kv, a.D, kPairBlock);
  }
  if (b.linear) {
    LoadWeight<DP>(SharedAddress(shared.weight_q), scratch.weight_q, b.head,
                   kPairBlock);
    LoadWeight<DP>(SharedAddress(shared.weight_k), scratch.weight_k, b.head,
                   kPairBlock);
  } else {
    Clear(shared.state, kStateBytes<DP>, kPairBlock);
  }
  CopyCommit();
  CopyWait();
  FenceShared();
  __syncthreads();

  RowSums sums;
  if (group == 0) {
    if (b.linear) KeepState<DP, 0>(shared, scratch, a, b);
  } else {
    // The second in turn would wait anyway.
    if (group == 2) MakeFirstFeatures<DP>(shared, a, b);
    sums =
        AttendRows<DP, kSinks, kLeaves>(shared, a, scratch, maps, b, group - 1);
  }

  if (kLeaves == Leaves::kOutput || a.target.data == nullptr) return;
  if (group > 0) {
    const int warp = threadIdx.x / 32 - kWarps;
    const float error = WarpSum(sums.squared_error), dots = WarpSum(sums.dots);
    if (threadIdx.x % 32 == 0) {
      shared.errors[warp] = error;
      shared.factors[warp] = dots;
    }
  }
  __syncthreads();
  if (threadIdx.x > 0) return;
  float error = 0;
  for (float x : shared.errors) error += x;
  scratch.error[blockIdx.x] = error;
  if constexpr (kLeaves == Leaves::kTransfer) {
    if (!OneKeyPair(a, scratch, b.terms) || b.own) return;
    // Without softmax terms y does not depend on their factor.
    float dots = 0;
    if (AnySoftmax(b.terms)) {
      for (float x : shared.factors) dots += x;
    }
    scratch.dfactor[blockIdx.x] =
        -dots * (a.affine ? 1.0f : 1.0f - Gamma(a, b.head));
  }
}

template <int DP, bool kSinks, Leaves kLeaves>
void Launch(const Args& a, const HopperScratch& s, const PairMaps& maps,
            cudaStream_t stream) {
  constexpr auto kKernel = ForwardRows<DP, kSinks, kLeaves>;
  constexpr size_t kBytes = sizeof(Shared<DP, kLeaves>);
  CARACAL_LAUNCHER_CHECK(cudaFuncSetAttribute(
      kKernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes));
  kKernel<<<s.count * a.H, kPairBlock, kBytes, stream>>>(a, s, maps);
  CARACAL_CUDA_CHECK_LAUNCH();
}

template <int DP, bool kSinks>
void LaunchFor(const Args& a, const HopperScratch& s, const PairMaps& maps,
               cudaStream_t stream) {
  if (s.delta == nullptr) {
    Launch<DP, kSinks, Leaves::kOutput>(a, s, maps, stream);
  } else if (TransferOnly(a)) {
    Launch<DP, kSinks, Leaves::kTransfer>(a, s, maps, stream);
  } else {
    Launch<DP, kSinks, Leaves::kStatistics>(a, s, maps, stream);
  }
}

}  // namespace
}  // namespace forward

void HopperForwardPairs(const Args& a, const HopperScratch& s,
                        const PairMaps& maps, cudaStream_t stream) {
  if (a.D <= 64) {
    a.sinks > 0 ? forward::LaunchFor<64, true>(a, s, maps, stream)
                : forward::LaunchFor<64, false>(a, s, maps, stream);
  } else {
    a.sinks > 0 ? forward::LaunchFor<128, true>(a, s, maps, stream)
                : forward::LaunchFor<128, false>(a, s, maps, stream);
  }
}

}  // namespace caracal::kernels::cuda
