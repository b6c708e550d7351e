// Hopper version: the sums at the borders of segments. Of each segment: its own
// keys that leave the windows while its rows pass (for suffixes, the rows whose
// windows' left borders lie in it). One warpgroup keeps the sum; three make
// features of tiles in turn, which takes longest; tiles come by the copy
// engine, several ahead.
#include "kernels/common/cuda_check.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_hopper_kernels.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_pair.h"

namespace caracal::kernels::cuda {
namespace {

inline constexpr int kDeltaPanel = 8 * 128;  // [8, 64]: two rows add up to it
inline constexpr int kMakers = 3;            // warpgroups that make features
inline constexpr int kSumsBlock = (1 + kMakers) * kGroup;
// Registers a thread, of 128 on average: whoever keeps the sum needs more.
inline constexpr int kMakerRegisters = 112, kKeeperRegisters = 176;

template <int DP>
struct Shared {
  // Tiles. What features are made of comes to places of each maker's own: one
  // behind in a barrier's phases would be taken for one ahead.
  static constexpr int kXs = 128 / DP * kMakers, kValues = 768 / DP;

  char weight[kWeightBytes<DP>];
  char x[kXs][kRowsBytes<DP>];
  char values[kValues][kRowsBytes<DP>];
  char phi[kMakers][kPhiBytes];
  char deltas[kMakers][kDeltaPanel];  // of a suffix: rows' dy . y
  char ones[kOnesBytes];
  Barrier x_full[kXs], x_empty[kXs];
  Barrier values_full[kValues], values_empty[kValues];
  Barrier phi_full[kMakers], phi_empty[kMakers];  // phi, deltas
};

// First tile that the rows from tile i on look at one by one.
__device__ __forceinline__ int FirstTile(const Args& a, int i) {
  return StateEnd(a, i * kTile) / kTile;
}
// The first tile of rows, of those up to `end`, for which it is at least
// `tile`.
__device__ __forceinline__ int FirstRows(const Args& a, int end, int tile) {
  int low = min(tile, end), high = end;
  while (low < high) {
    const int middle = (low + high) / 2;
    if (FirstTile(a, middle) < tile) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

// A block's share: tiles [tile, tile + count) of a sequence.
struct Share {
  int head, terms;
  Segment segment;
  int tile = 0, count = 0;
  bool used;

  __device__ __forceinline__ Share(const Args& a, const HopperScratch& scratch,
                                   bool suffix) {
    // Heads next to each other: they share keys.
    head = blockIdx.x % a.H;
    const int piece = blockIdx.x / a.H % scratch.pieces;
    segment = scratch.segments[blockIdx.x / a.H / scratch.pieces];
    terms = a.terms[segment.sequence * a.H + head];
    used = AnyLinear(terms) &&
           (suffix ? segment.number > 0 : segment.number < segment.count - 1);
    if (!used) return;
    const int first = segment.first / kTile;
    const int last = (segment.last + kTile - 1) / kTile;
    int end;
    if (suffix) {
      const int tiles = (segment.length + kTile - 1) / kTile;
      tile = FirstRows(a, tiles, first);
      end = FirstRows(a, tiles, last);
    } else {
      tile = FirstTile(a, first);
      end = FirstTile(a, last);
    }
    const int all = end - tile, from = tile;
    tile = from + all * piece / scratch.pieces;
    count = from + all * (piece + 1) / scratch.pieces - tile;
  }
};

// One thread: announces the i-th tile and fetches it.
template <int DP>
__device__ __forceinline__ void Fetch(const CUtensorMap& map,
                                      const Share& share, int head, int i,
                                      char* to, Barrier& full) {
  full.ArriveExpecting(DP / 64 * kBoxBytes);
#pragma unroll
  for (int panel = 0; panel < DP / 64; ++panel) {
    LoadBox(map, SharedAddress(to) + panel * kPanel, panel * 64, head,
            share.segment.begin + (share.tile + i) * kTile, full);
  }
}

// What a thread's rows of a tile weigh, and (suffix) row `member`'s dy . y.
template <bool suffix>
struct RowWeights {
  float weight[2] = {0, 0}, delta = 0;

  __device__ __forceinline__ void Load(const Args& a,
                                       const HopperScratch& scratch,
                                       const Share& share, int i, float alpha) {
    const int member = threadIdx.x % kGroup, n0 = (share.tile + i) * kTile;
    const int64_t from = share.head * a.rows + share.segment.begin + n0;
    const int rows = i < share.count ? share.segment.length - n0 : 0;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int row = ThreadRow() + 8 * r;
      weight[r] = 0;
      if (row >= rows) continue;
      if (suffix) {
        weight[r] = alpha * scratch.inv_den[from + row];
      } else {
        weight[r] = StateTerm(a, share.terms, n0 + row) ? 1 : 0;
      }
    }
    if (suffix) {
      delta = member < min(rows, kTile) ? scratch.delta[from + member] : 0;
    }
  }
};

// Features of every third tile, times what its rows weigh.
template <int DP, bool suffix, bool kAll>
__device__ __forceinline__ void MakeFeatures(Shared<DP>& shared, const Args& a,
                                             const HopperScratch& scratch,
                                             const CUtensorMap& map,
                                             const Share& share, int x_head,
                                             int turn) {
  constexpr int kXs = Shared<DP>::kXs;
  const bool leads = threadIdx.x % kGroup == 0;
  const int member = threadIdx.x % kGroup;
  const float alpha = Alpha(a, Gamma(a, share.head));
  const uint32_t phi = SharedAddress(shared.phi[turn]);
  // Fetched a turn ahead.
  RowWeights<suffix> rows, next;
  rows.Load(a, scratch, share, turn, alpha);
#pragma unroll 1
  for (int i = turn; i < share.count; i += kMakers) {
    const int stage = i % kXs;
    shared.x_full[stage].Wait(i / kXs);
    float z[32], up[32], down[32];
    Pin(z);
    WgmmaFence();
    Multiply<DP>(z, KMajor{SharedAddress(shared.x[stage]), kPanel},
                 MnMajor{SharedAddress(shared.weight), kWeightBytes<DP>},
                 false);
    WgmmaCommit();
    next.Load(a, scratch, share, i + kMakers, alpha);
    WgmmaWait();
    Pin(z);
    ArriveWarp(shared.x_empty[stage]);
    if (leads && i + kXs < share.count) {
      shared.x_empty[stage].Wait(i / kXs);
      Fetch<DP>(map, share, x_head, i + kXs, shared.x[stage],
                shared.x_full[stage]);
    }
    __syncwarp();
    Hedgehog<kAll>(z, a.F, rows.weight[0], rows.weight[1], up, down);
    if (i >= kMakers) shared.phi_empty[turn].Wait(i / kMakers - 1);
    StorePanel(phi, up);
    StorePanel(phi + kPanel, down);
    if (suffix && member < kTile) {
      const bf16 high = __float2bfloat16(rows.delta);
      char* const deltas = shared.deltas[turn];
      *reinterpret_cast<bf16*>(deltas + TileOffset(kDeltaPanel, 0, member)) =
          high;
      *reinterpret_cast<bf16*>(deltas + TileOffset(kDeltaPanel, 1, member)) =
          __float2bfloat16(rows.delta - __bfloat162float(high));
    }
    FenceShared();
    shared.phi_full[turn].Arrive();
    rows = next;
  }
}

// The sum over the tiles.
template <int DP, bool suffix>
__device__ __forceinline__ void AddUp(Shared<DP>& shared,
                                      const BorderSums& sums,
                                      const CUtensorMap& map,
                                      const Share& share, int values_head) {
  constexpr int kValues = Shared<DP>::kValues;
  const bool leads = threadIdx.x == 0;
  float low[DP / 2] = {}, high[DP / 2] = {};  // features 0 to 63, 64 to 127
  float norm_low[4] = {}, norm_high[4] = {};
#pragma unroll 1
  for (int i = 0; i < share.count; ++i) {
    const int stage = i % kValues, turn = i % kMakers;
    const MnMajor values{SharedAddress(shared.values[stage]), kPanel};
    const uint32_t phi = SharedAddress(shared.phi[turn]);
    const MnMajor phi_low{phi, kPanel}, phi_high{phi + kPanel, kPanel};
    shared.values_full[stage].Wait(i / kValues);
    shared.phi_full[turn].Wait(i / kMakers);
    Pin(low);
    Pin(high);
    Pin(norm_low);
    Pin(norm_high);
    WgmmaFence();
    Multiply<kTile>(low, phi_low, values, true);
    Multiply<kTile>(high, phi_high, values, true);
    if constexpr (suffix) {
      const KMajor deltas{SharedAddress(shared.deltas[turn]), kDeltaPanel};
      Multiply<kTile>(norm_low, phi_low, deltas, true);
      Multiply<kTile>(norm_high, phi_high, deltas, true);
    } else {
      const Ones ones{SharedAddress(shared.ones)};
      Multiply<kTile>(norm_low, phi_low, ones, true);
      Multiply<kTile>(norm_high, phi_high, ones, true);
    }
    WgmmaCommit();
    WgmmaWait();
    Pin(low);
    Pin(high);
    Pin(norm_low);
    Pin(norm_high);
    ArriveWarp(shared.phi_empty[turn]);
    ArriveWarp(shared.values_empty[stage]);
    if (leads && i + kValues < share.count) {
      shared.values_empty[stage].Wait(i / kValues);
      Fetch<DP>(map, share, values_head, i + kValues, shared.values[stage],
                shared.values_full[stage]);
    }
    __syncwarp();
  }

  float4* to =
      reinterpret_cast<float4*>(sums.state + static_cast<int64_t>(blockIdx.x) *
                                                 kOutputs * DP) +
      threadIdx.x;
#pragma unroll
  for (int b = 0; b < DP / 8; ++b) {
    to[b * kGroup] =
        make_float4(low[4 * b], low[4 * b + 1], low[4 * b + 2], low[4 * b + 3]);
    to[(DP / 8 + b) * kGroup] = make_float4(high[4 * b], high[4 * b + 1],
                                            high[4 * b + 2], high[4 * b + 3]);
  }
  if (ThreadColumn() != 0) return;
  // Columns 0 and 1 of a product with ones are the same.
  float* norm =
      sums.norm + static_cast<int64_t>(blockIdx.x) * kOutputs + ThreadRow();
  norm[0] = norm_low[0] + (suffix ? norm_low[1] : 0);
  norm[8] = norm_low[2] + (suffix ? norm_low[3] : 0);
  norm[64] = norm_high[0] + (suffix ? norm_high[1] : 0);
  norm[72] = norm_high[2] + (suffix ? norm_high[3] : 0);
}

// kAll: F is 64.
template <int DP, bool suffix, bool kAll>
__global__ void __launch_bounds__(kSumsBlock, 1)
    Sums(const __grid_constant__ Args a,
         const __grid_constant__ HopperScratch scratch,
         const __grid_constant__ PairMaps maps) {
  extern __shared__ __align__(1024) char memory[];
  Shared<DP>& shared = *reinterpret_cast<Shared<DP>*>(memory);
  if (threadIdx.x == 0) {
    for (int i = 0; i < shared.kXs; ++i) {
      shared.x_full[i].Init(1);
      shared.x_empty[i].Init(kWarps);
    }
    for (int i = 0; i < shared.kValues; ++i) {
      shared.values_full[i].Init(1);
      shared.values_empty[i].Init(kWarps);
    }
    for (int i = 0; i < kMakers; ++i) {
      shared.phi_full[i].Init(kGroup);
      shared.phi_empty[i].Init(kWarps);
    }
    FenceBarriers();
  }
  FillOnes(shared.ones);
  if (suffix) Clear(shared.deltas[0], kMakers * kDeltaPanel, kSumsBlock);
  const Share share(a, scratch, suffix);
  if (!share.used) return;
  const int head = suffix ? share.head : KvHead(a, share.head);
  const CUtensorMap& x_map = suffix ? maps.q : maps.k;
  const CUtensorMap& values_map = suffix ? maps.dy : maps.v;
  if (threadIdx.x == 0) {
    for (int i = 0; i < min(share.count, shared.kXs); ++i) {
      Fetch<DP>(x_map, share, head, i, shared.x[i], shared.x_full[i]);
    }
    for (int i = 0; i < min(share.count, shared.kValues); ++i) {
      Fetch<DP>(values_map, share, head, i, shared.values[i],
                shared.values_full[i]);
    }
  }
  LoadWeight<DP>(SharedAddress(shared.weight),
                 suffix ? scratch.weight_q : scratch.weight_k, share.head,
                 kSumsBlock);
  CopyCommit();
  CopyWait();
  FenceShared();
  __syncthreads();

  const int group = Warpgroup();
  if (group == 0) {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kKeeperRegisters));
    AddUp<DP, suffix>(shared, suffix ? scratch.suffixes : scratch.states,
                      values_map, share, head);
  } else {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kMakerRegisters));
    MakeFeatures<DP, suffix, kAll>(shared, a, scratch, x_map, share, head,
                                   group - 1);
  }
}

// Lets each segment's place hold the sum of the segments before it in its
// sequence (suffix: after it). Grid: pieces of a head's values; heads;
// segments, of which a sequence's first does all.
template <bool suffix>
__global__ void Scan(const __grid_constant__ Args a,
                     const __grid_constant__ HopperScratch scratch, int DP) {
  constexpr int kAhead = 4;
  const int head = blockIdx.y, slot = blockIdx.z;
  const Segment segment = scratch.segments[slot];
  if (segment.number > 0 || segment.count == 1) return;
  if (!AnyLinear(a.terms[segment.sequence * a.H + head])) return;
  const BorderSums& sums = suffix ? scratch.suffixes : scratch.states;
  const bool norms = blockIdx.x + 1 == gridDim.x;
  const int size = norms ? kOutputs : kOutputs * DP;
  const int i = norms ? threadIdx.x * 4
                      : static_cast<int>(blockIdx.x * kBlock + threadIdx.x) * 4;
  if (i >= size) return;
  float* const place = norms ? sums.norm : sums.state;
  const auto at = [&](int number) {
    const int64_t from = slot + (suffix ? segment.count - 1 - number : number);
    return reinterpret_cast<float4*>(place + (from * a.H + head) * size + i);
  };
  float4 running = make_float4(0, 0, 0, 0);
  for (int first = 0; first < segment.count; first += kAhead) {
    float4 own[kAhead];
#pragma unroll
    for (int x = 0; x < kAhead; ++x) {
      // The last one's own is not there.
      if (first + x < segment.count - 1) own[x] = *at(first + x);
    }
#pragma unroll
    for (int x = 0; x < kAhead; ++x) {
      if (first + x >= segment.count) break;
      *at(first + x) = running;
      if (first + x < segment.count - 1) running = running + own[x];
    }
  }
}

template <int DP, bool suffix>
void Launch(const Args& a, const HopperScratch& s, const PairMaps& maps,
            cudaStream_t stream) {
  const auto kernel =
      a.F == kFeatures ? Sums<DP, suffix, true> : Sums<DP, suffix, false>;
  CARACAL_LAUNCHER_CHECK(cudaFuncSetAttribute(
      kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, sizeof(Shared<DP>)));
  kernel<<<s.count * s.pieces * a.H, kSumsBlock, sizeof(Shared<DP>), stream>>>(
      a, s, maps);
  CARACAL_CUDA_CHECK_LAUNCH();
  if (!s.scanned) return;
  const dim3 grid(kOutputs * DP / 4 / kBlock + 1, a.H, s.count);
  Scan<suffix><<<grid, kBlock, 0, stream>>>(a, s, DP);
  CARACAL_CUDA_CHECK_LAUNCH();
}

}  // namespace

void HopperStates(const Args& a, const HopperScratch& s, const PairMaps& maps,
                  cudaStream_t stream) {
  if (s.states.state == nullptr) return;
  a.D <= 64 ? Launch<64, false>(a, s, maps, stream)
            : Launch<128, false>(a, s, maps, stream);
}

void HopperSuffixes(const Args& a, const HopperScratch& s, const PairMaps& maps,
                    cudaStream_t stream) {
  if (s.suffixes.state == nullptr) return;
  a.D <= 64 ? Launch<64, true>(a, s, maps, stream)
            : Launch<128, true>(a, s, maps, stream);
}

}  // namespace caracal::kernels::cuda
