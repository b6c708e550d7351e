// Hopper version: the states at the borders of segments. Each segment's own
// sum first (keys that leave the windows while its rows pass; for suffixes, the
// rows whose windows' left borders lie in it), then running sums over segments.
#include "kernels/common/cuda_check.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_features.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_hopper_kernels.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_tiles.h"

namespace caracal::kernels::cuda {
namespace {

template <int DP>
struct Shared {
  char weight[kWeightBytes<DP>];
  // Two steps of two tiles: what features are made of, what they multiply.
  char x[2][2][kRowsBytes<DP>];
  char values[2][2][kRowsBytes<DP>];
  char phi[2][kPhiBytes];
  char ones[kOnesBytes];
  float delta[2][kTile];  // rows' dy . y, as the tiles of phi
};

// First tile that the rows from tile i on look at one by one.
__device__ __forceinline__ int FirstTile(const Args& a, int i) {
  return StateEnd(a, i * kTile) / kTile;
}

template <int DP, bool suffix>
__global__ void __launch_bounds__(kBlock, 1)
    Sums(const __grid_constant__ Args a,
         const __grid_constant__ HopperScratch scratch) {
  extern __shared__ __align__(1024) char memory[];
  Shared<DP>& shared = *reinterpret_cast<Shared<DP>*>(memory);
  // Heads next to each other, then pieces: they share keys.
  const int head = blockIdx.x % a.H, piece = blockIdx.x / a.H % kPieces;
  const int slot = blockIdx.x / a.H / kPieces;
  const Segment segment = scratch.segments[slot];
  const int terms = a.terms[segment.sequence * a.H + head];
  if (!AnyLinear(terms)) return;
  // The sum of the sequence's last segment (suffix: of its first) is not used.
  if (suffix ? segment.first == 0 : segment.last == segment.length) return;
  const int x_head = suffix ? head : KvHead(a, head), D = a.D, F = a.F;
  const float alpha = Alpha(a, Gamma(a, head));
  const int group = Warpgroup();
  const int row = ThreadRow(), column = ThreadColumn();

  int tile, end;
  if (suffix) {
    const int tiles = (segment.length + kTile - 1) / kTile;
    const int last = (segment.last + kTile - 1) / kTile;
    tile = segment.first / kTile;
    while (tile < tiles && FirstTile(a, tile) < segment.first / kTile) ++tile;
    end = tile;
    while (end < tiles && FirstTile(a, end) < last) ++end;
  } else {
    tile = FirstTile(a, segment.first / kTile);
    end = FirstTile(a, segment.last / kTile);
  }

  // This piece's share.
  const int all = end - tile, first_tile = tile;
  tile = first_tile + all * piece / kPieces;
  end = first_tile + all * (piece + 1) / kPieces;

  const HeadRows<const bf16>& x = suffix ? a.q : a.k;
  const HeadRows<const bf16>& values = suffix ? a.dy : a.v;
  const auto load = [&](int first, int step) {
    for (int i = 0; i < 2; ++i) {
      const int n = (first + i) * kTile;
      const int count = first + i < end ? min(segment.length - n, kTile) : 0;
      const int64_t at = segment.begin + (count > 0 ? n : 0);
      LoadRows<DP>(SharedAddress(shared.x[step][i]), x, at, count, x_head, D);
      LoadRows<DP>(SharedAddress(shared.values[step][i]), values, at, count,
                   x_head, D);
    }
    CopyCommit();
  };
  load(tile, 0);
  LoadWeight<DP>(SharedAddress(shared.weight),
                 suffix ? scratch.weight_q : scratch.weight_k, head);
  CopyCommit();
  FillOnes(shared.ones);
  const Ones ones{SharedAddress(shared.ones)};
  float state[DP / 2] = {}, norm[4] = {};
  for (int step = 0; tile < end; tile += 2, step ^= 1) {
    CopyWait();
    FenceShared();
    __syncthreads();
    load(tile + 2, step ^ 1);

    // This warpgroup's tile of features, times what its rows weigh.
    float z[32], up[32], down[32];
    Pin(z);
    WgmmaFence();
    Multiply<DP>(z, KMajor{SharedAddress(shared.x[step][group]), kPanel},
                 MnMajor{SharedAddress(shared.weight), kWeightBytes<DP>},
                 false);
    WgmmaCommit();
    WgmmaWait();
    Pin(z);
    float weight[2], delta[2] = {0, 0};
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int n = (tile + group) * kTile + row + 8 * r;
      weight[r] = 0;
      if (tile + group >= end || n >= segment.length) continue;
      if (suffix) {
        const int64_t at = head * a.rows + segment.begin + n;
        weight[r] = alpha * scratch.inv_den[at];
        delta[r] = scratch.delta[at];
      } else {
        weight[r] = StateTerm(a, terms, n) ? 1 : 0;
      }
    }
    Hedgehog(z, F, weight[0], weight[1], up, down);
    StorePanel(SharedAddress(shared.phi[group]), up);
    StorePanel(SharedAddress(shared.phi[group]) + kPanel, down);
    if (suffix && column == 0) {
      shared.delta[group][row] = delta[0];
      shared.delta[group][row + 8] = delta[1];
    }
    FenceShared();
    __syncthreads();
    if constexpr (suffix) {
      // phi^T delta, by the threads that own the feature.
      const int f = threadIdx.x % kOutputs;
      if (group == 0) {
        float sum = 0;
        for (int i = 0; i < 2 * kTile; ++i) {
          sum +=
              __bfloat162float(*reinterpret_cast<const bf16*>(
                  shared.phi[i / kTile] + TileOffset(kPanel, i % kTile, f))) *
              shared.delta[i / kTile][i % kTile];
        }
        norm[0] += sum;
      }
    }
    Pin(state);
    Pin(norm);
    WgmmaFence();
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const MnMajor phi{SharedAddress(shared.phi[i]) + group * kPanel, kPanel};
      Multiply<kTile>(state, phi,
                      MnMajor{SharedAddress(shared.values[step][i]), kPanel},
                      true);
      if constexpr (!suffix) Multiply<kTile>(norm, phi, ones, true);
    }
    WgmmaCommit();
    WgmmaWait();
    Pin(state);
    Pin(norm);
  }
  CopyWait();

  const int64_t at = blockIdx.x;
  float* to = scratch.sums + at * kOutputs * DP;
#pragma unroll
  for (int i = 0; i < DP / 2; i += 2) {
    const int f = 64 * group + row + i % 4 / 2 * 8;
    *reinterpret_cast<float2*>(to + f * DP + i / 4 * 8 + column) =
        make_float2(state[i], state[i + 1]);
  }
  if constexpr (suffix) {
    if (group == 0) {
      scratch.norm_sums[at * kOutputs + threadIdx.x] = norm[0];
    }
  } else if (column == 0) {
    scratch.norm_sums[at * kOutputs + 64 * group + row] = norm[0];
    scratch.norm_sums[at * kOutputs + 64 * group + row + 8] = norm[2];
  }
}

// Grid: heads; which weights; pieces of a head's.
template <int DP>
__global__ void Weights(const __grid_constant__ Args a,
                        const __grid_constant__ HopperScratch scratch) {
  const int head = blockIdx.x, D = a.D, F = a.F;
  const bool keys = blockIdx.y;
  const float* weight =
      (keys ? a.weight_k : a.weight_q) + static_cast<int64_t>(head) * D * F;
  bf16* tile =
      (keys ? scratch.weight_k : scratch.weight_q) + head * DP * kFeatures;
  for (int i = blockIdx.z * kBlock + threadIdx.x; i < DP * kFeatures;
       i += gridDim.z * kBlock) {
    const int d = i / kFeatures, f = i % kFeatures;
    tile[TileOffset(DP * 128, d, f) / 2] =
        __float2bfloat16(d < D && f < F ? weight[d * F + f] : 0.0f);
  }
}

// Each segment's state: the sums of the segments before it in its sequence
// (suffix: after it). Grid: pieces of a head's values; heads.
template <bool suffix>
__global__ void Scan(const __grid_constant__ Args a,
                     const __grid_constant__ HopperScratch scratch,
                     const float* sums, float* states, int size) {
  const int head = blockIdx.y;
  const int i = (blockIdx.x * blockDim.x + threadIdx.x) * 4;
  if (i >= size) return;
  float4 running = make_float4(0, 0, 0, 0);
  for (int step = 0; step < scratch.count; ++step) {
    const int64_t slot = suffix ? scratch.count - 1 - step : step;
    const Segment segment = scratch.segments[slot];
    const bool begins =
        suffix ? segment.last == segment.length : segment.first == 0;
    const bool ends =
        suffix ? segment.first == 0 : segment.last == segment.length;
    if (begins) running = make_float4(0, 0, 0, 0);
    if (!AnyLinear(a.terms[segment.sequence * a.H + head])) continue;
    *reinterpret_cast<float4*>(states + (slot * a.H + head) * size + i) =
        running;
    if (ends) continue;
#pragma unroll
    for (int piece = 0; piece < kPieces; ++piece) {
      const int64_t at = (slot * kPieces + piece) * a.H + head;
      running =
          running + *reinterpret_cast<const float4*>(sums + at * size + i);
    }
  }
}

template <int DP, bool suffix>
void Launch(const Args& a, const HopperScratch& s, cudaStream_t stream) {
  CARACAL_CUDA_CHECK(cudaFuncSetAttribute(
      Sums<DP, suffix>, cudaFuncAttributeMaxDynamicSharedMemorySize,
      sizeof(Shared<DP>)));
  Sums<DP, suffix>
      <<<s.count * kPieces * a.H, kBlock, sizeof(Shared<DP>), stream>>>(a, s);
  CARACAL_CUDA_CHECK_LAUNCH();
  constexpr int kSize = kOutputs * DP;
  Scan<suffix><<<dim3(kSize / 4 / 256, a.H), 256, 0, stream>>>(
      a, s, s.sums, suffix ? s.suffix : s.state, kSize);
  CARACAL_CUDA_CHECK_LAUNCH();
  Scan<suffix><<<dim3(1, a.H), kOutputs / 4, 0, stream>>>(
      a, s, s.norm_sums, suffix ? s.suffix_norm : s.norm, kOutputs);
  CARACAL_CUDA_CHECK_LAUNCH();
}

}  // namespace

void HopperWeights(const Args& a, const HopperScratch& s, cudaStream_t stream) {
  if (a.F == 0) return;
  const dim3 grid(a.H, 2, 8);
  if (a.D <= 64) {
    Weights<64><<<grid, kBlock, 0, stream>>>(a, s);
  } else {
    Weights<128><<<grid, kBlock, 0, stream>>>(a, s);
  }
  CARACAL_CUDA_CHECK_LAUNCH();
}

void HopperStates(const Args& a, const HopperScratch& s, cudaStream_t stream) {
  if (!s.split || a.F == 0) return;
  a.D <= 64 ? Launch<64, false>(a, s, stream)
            : Launch<128, false>(a, s, stream);
}

void HopperSuffixes(const Args& a, const HopperScratch& s,
                    cudaStream_t stream) {
  if (!s.split || a.F == 0) return;
  a.D <= 64 ? Launch<64, true>(a, s, stream) : Launch<128, true>(a, s, stream);
}

}  // namespace caracal::kernels::cuda
