// Hopper version: a block stays and takes one item after another, the next that
// nobody has taken; who takes which does not show in the results. A warpgroup
// of which one thread works brings tiles of 128 keys and values by the copy
// engine; two more take 64 rows each, newest tile first. While a tile's scores
// are formed, the tile before meets its values.
#include "kernels/causal_attention/causal_attention_cuda_args.h"
#include "kernels/common/cuda_accumulators.h"
#include "kernels/common/cuda_check.h"
#include "kernels/common/cuda_early_launch.h"
#include "kernels/common/cuda_pipeline.h"
#include "kernels/common/cuda_tensor_map.h"

namespace caracal::kernels::cuda {
namespace {

constexpr int kKeys = 128;  // of a tile
constexpr int kStages = 2;
constexpr int kConsumers = 2;  // warpgroups
constexpr int kThreads = (1 + kConsumers) * kGroup;
constexpr int kWarps = kGroup / 32;
constexpr int kQueryPanel = 64 * 128;  // bytes of 64 columns of a tile
constexpr int kKeyPanel = kKeys * 128;
// Registers of a thread: 65,536 in all.
constexpr int kProducerRegisters = 40;
constexpr int kConsumerRegisters = 232;

// How the copy engine reads the operands.
struct Maps {
  CUtensorMap q, k, v;
};

// DP: D, padded.
template <int DP>
struct Shared {
  char q[kConsumers][DP / 64 * kQueryPanel];
  char k[kStages][DP / 64 * kKeyPanel];
  char v[kStages][DP / 64 * kKeyPanel];
  CausalItem item;  // belongs to q; no rows: there is no more
  Barrier q_full, q_empty;
  Barrier k_full[kStages], k_empty[kStages];
  Barrier v_full[kStages], v_empty[kStages];
};

// Tiles of keys that a block of rows looks at.
__device__ __forceinline__ int TilesOf(const CausalItem& item) {
  return (item.position + item.count - 1) / kKeys + 1;
}

template <int DP>
__device__ __forceinline__ void FetchKeys(const CUtensorMap& map, int head,
                                          int row, char* tile, Barrier& full) {
  full.ArriveExpecting(DP / 64 * kKeyPanel);
#pragma unroll
  for (int panel = 0; panel < DP / 64; ++panel) {
#pragma unroll
    for (int half = 0; half < kKeys / 64; ++half) {
      LoadBox(map, SharedAddress(tile) + panel * kKeyPanel + half * kBoxBytes,
              panel * 64, head, row + half * 64, full);
    }
  }
}

// One thread: everything the block reads.
template <int DP>
__device__ __forceinline__ void Produce(Shared<DP>& shared, const CausalArgs& a,
                                        const Maps& maps) {
  int tile = 0;  // counted over all items
  int next = blockIdx.x;
  for (int number = 0;; ++number) {
    const bool more = next < a.items;
    CausalItem item = {};
    if (more) item = ItemOf(a, next);
    if (number > 0) shared.q_empty.Wait(number - 1);
    shared.item = item;
    if (!more) {
      shared.q_full.Arrive();
      return;
    }
    const int kv = item.head / (a.H / a.Hkv);
    shared.q_full.ArriveExpecting(kConsumers * DP / 64 * kQueryPanel);
#pragma unroll
    for (int i = 0; i < kConsumers; ++i) {
#pragma unroll
      for (int panel = 0; panel < DP / 64; ++panel) {
        LoadBox(maps.q, SharedAddress(shared.q[i]) + panel * kQueryPanel,
                panel * 64, item.head, item.query + 64 * i, shared.q_full);
      }
    }
    next = static_cast<int>(gridDim.x) + atomicAdd(a.taken, 1);
    for (int j = TilesOf(item) - 1; j >= 0; --j, ++tile) {
      const int stage = tile % kStages, turn = tile / kStages;
      if (turn > 0) shared.k_empty[stage].Wait(turn - 1);
      FetchKeys<DP>(maps.k, kv, item.keys + j * kKeys, shared.k[stage],
                    shared.k_full[stage]);
      if (turn > 0) shared.v_empty[stage].Wait(turn - 1);
      FetchKeys<DP>(maps.v, kv, item.keys + j * kKeys, shared.v[stage],
                    shared.v_full[stage]);
    }
  }
}

// A row's softmax so far; maxima are times log2(e) / sqrt(D), sums are of this
// thread's columns.
struct Running {
  float top[2] = {-INFINITY, -INFINITY};
  float sum[2] = {0, 0};
};

// Scores to weights, -inf beyond `last` (the last column to look at, relative
// to the thread's first); factor: of what was added up before.
template <bool kMask>
__device__ __forceinline__ void Soften(float (&s)[kKeys / 2], float scale,
                                       const int (&last)[2], Running& running,
                                       float (&factor)[2]) {
  if constexpr (kMask) {
#pragma unroll
    for (int i = 0; i < kKeys / 2; ++i) {
      if (i / 4 * 8 + i % 2 > last[i % 4 / 2]) s[i] = -INFINITY;
    }
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float most = s[2 * r];
#pragma unroll
    for (int i = 1; i < kKeys / 4; ++i) {
      most = fmaxf(most, s[i / 2 * 4 + 2 * r + i % 2]);
    }
    most = fmaxf(running.top[r], QuadMax(most) * scale);
    // Rows that have seen no key yet.
    const float shift = kMask && most == -INFINITY ? 0.0f : most;
    factor[r] = Exp2(running.top[r] - shift);
    running.top[r] = most;
    float sums[2] = {0, 0};
#pragma unroll
    for (int i = 0; i < kKeys / 4; ++i) {
      float& x = s[i / 2 * 4 + 2 * r + i % 2];
      x = Exp2(fmaf(x, scale, -shift));
      sums[i % 2] += x;
    }
    running.sum[r] = running.sum[r] * factor[r] + (sums[0] + sums[1]);
  }
}

// One warpgroup's whole job: 64 rows of each item.
template <int DP>
__device__ __forceinline__ void Consume(Shared<DP>& shared, const CausalArgs& a,
                                        int group) {
  const float scale = rsqrtf(static_cast<float>(a.D)) * kLog2e;
  const KMajor q{SharedAddress(shared.q[group]), kQueryPanel};
  const uint32_t k = SharedAddress(shared.k), v = SharedAddress(shared.v);
  constexpr int kTileBytes = DP / 64 * kKeyPanel;
  const auto keys = [&](int tile) {
    return KMajor{k + tile % kStages * kTileBytes, kKeyPanel};
  };
  const auto values = [&](int tile) {
    return MnMajor{v + tile % kStages * kTileBytes, kKeyPanel};
  };
  int tile = 0;  // counted over all items
  for (int number = 0;; ++number) {
    shared.q_full.Wait(number);
    const CausalItem item = shared.item;
    if (item.count == 0) return;
    const int first = item.position + 64 * group;  // position of a row
    const auto soften = [&](int j, float(&s)[kKeys / 2], Running& running,
                            float(&factor)[2]) {
      const int row = first + ThreadRow() - j * kKeys - ThreadColumn();
      const int last[2] = {row, row + 8};
      if (j * kKeys + kKeys - 1 > first) {
        Soften<true>(s, scale, last, running, factor);
      } else {
        Soften<false>(s, scale, last, running, factor);
      }
    };
    Running running;
    float s[kKeys / 2], o[DP / 2] = {}, factor[2];
    uint32_t p[kKeys / 16][4];

    int j = TilesOf(item) - 1;
    shared.k_full[tile % kStages].Wait(tile / kStages);
    Pin(s);
    WgmmaFence();
    Multiply<DP>(s, q, keys(tile), false);
    WgmmaCommit();
    WgmmaWait();
    Pin(s);
    ArriveWarp(shared.k_empty[tile % kStages]);
    soften(j, s, running, factor);
    ToOperand(s, p);
#pragma unroll 1
    for (--j; j >= 0; --j, ++tile) {
      const int next = tile + 1;
      shared.k_full[next % kStages].Wait(next / kStages);
      Pin(s);
      Pin(o);
      Pin(p);
      WgmmaFence();
      Multiply<DP>(s, q, keys(next), false);
      WgmmaCommit();
      shared.v_full[tile % kStages].Wait(tile / kStages);
      Multiply<kKeys>(o, p, values(tile), true);
      WgmmaCommit();
      WgmmaWait<1>();
      Pin(s);
      ArriveWarp(shared.k_empty[next % kStages]);
      soften(j, s, running, factor);
      WgmmaWait();
      Pin(o);
      ArriveWarp(shared.v_empty[tile % kStages]);
#pragma unroll
      for (int i = 0; i < DP / 2; ++i) o[i] *= factor[i % 4 / 2];
      ToOperand(s, p);
    }
    shared.q_empty.Arrive();  // each thread, for it has read the item, too
    shared.v_full[tile % kStages].Wait(tile / kStages);
    Pin(o);
    Pin(p);
    WgmmaFence();
    Multiply<kKeys>(o, p, values(tile), true);
    WgmmaCommit();
    float inv[2], lse[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const float sum = QuadSum(running.sum[r]);
      inv[r] = 1.0f / sum;
      lse[r] = (running.top[r] + __log2f(sum)) * kLn2;
    }
    WgmmaWait();
    Pin(o);
    ArriveWarp(shared.v_empty[tile % kStages]);
    ++tile;

    const int head = item.head, count = item.count - 64 * group;
    const int64_t row = item.query + 64 * group;
#pragma unroll
    for (int i = 0; i < DP / 2; ++i) o[i] *= inv[i % 4 / 2];
    StoreRows(a.y, row, count, head, a.D, 0, o);
    if (a.lse != nullptr && ThreadColumn() == 0) {
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const int at = ThreadRow() + 8 * r;
        if (at < count) a.lse[head * a.rows + row + at] = lse[r];
      }
    }
  }
}

template <int DP>
__global__ void __launch_bounds__(kThreads, 1)
    Forward(const __grid_constant__ CausalArgs a,
            const __grid_constant__ Maps maps) {
  extern __shared__ __align__(1024) char memory[];
  Shared<DP>& shared = *reinterpret_cast<Shared<DP>*>(memory);
  if (threadIdx.x == 0) {
    shared.q_full.Init(1);
    shared.q_empty.Init(kConsumers * kGroup);
    for (int i = 0; i < kStages; ++i) {
      shared.k_full[i].Init(1);
      shared.v_full[i].Init(1);
      shared.k_empty[i].Init(kConsumers * kWarps);
      shared.v_empty[i].Init(kConsumers * kWarps);
    }
    FenceBarriers();
  }
  __syncthreads();
  const int group = __shfl_sync(~0u, threadIdx.x / kGroup, 0);
  if (group == kConsumers) {
    asm volatile(
        "setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kProducerRegisters));
    if (threadIdx.x % kGroup == 0) Produce(shared, a, maps);
  } else {
    asm volatile(
        "setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kConsumerRegisters));
    Consume(shared, a, group);
  }
}

template <int DP>
void Launch(const CausalArgs& a, cudaStream_t stream) {
  CARACAL_LAUNCHER_CHECK(cudaFuncSetAttribute(
      Forward<DP>, cudaFuncAttributeMaxDynamicSharedMemorySize,
      sizeof(Shared<DP>)));
  const Maps maps = {
      CudaRowsMap(a.q.data, a.rows, a.q.row, a.H, a.q.head, a.D),
      CudaRowsMap(a.k.data, a.key_rows, a.k.row, a.Hkv, a.k.head, a.D),
      CudaRowsMap(a.v.data, a.key_rows, a.v.row, a.Hkv, a.v.head, a.D)};
  Forward<DP><<<min(Multiprocessors(), a.items), kThreads, sizeof(Shared<DP>),
                stream>>>(a, maps);
  CARACAL_CUDA_CHECK_LAUNCH();
}

}  // namespace

void CausalForwardHopper(const CausalArgs& a, cudaStream_t stream) {
  a.D <= 64 ? Launch<64>(a, stream) : Launch<128>(a, stream);
}

}  // namespace caracal::kernels::cuda
