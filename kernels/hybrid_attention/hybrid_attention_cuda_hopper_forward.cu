// Hopper version, forward, any window: softmax over the window's tiles (spread
// over the two warpgroups), then the linear terms of the tiles that leave it
// and of the state. Both warpgroups hold half of the state's features in
// registers.
#include "kernels/common/cuda_check.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_features.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_hopper_kernels.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_output.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_tiles.h"

namespace caracal::kernels::cuda {
namespace {

template <int DP>
struct Shared {
  char weight_q[kWeightBytes<DP>];
  char weight_k[kWeightBytes<DP>];
  char q[kRowsBytes<DP>];
  char k[3][kRowsBytes<DP>];
  char v[3][kRowsBytes<DP>];
  char phi_q[kPhiBytes];  // alpha phi_q; then a half of y
  char phi_k[kPhiBytes];
  char state[kStateBytes<DP>];
  char exchange[DP / 4 * kGroup * 4];
  char ones[kOnesBytes];
  float top[2][kTile];          // a warpgroup's row maxima, times log2(e)
  float softmax_den[2][kTile];  // its softmax terms
  float linear_den[kTile];
  float norm[kOutputs];
};

template <int DP>
__global__ void __launch_bounds__(kBlock, 1)
    ForwardRows(const __grid_constant__ Args a,
                const __grid_constant__ HopperScratch scratch) {
  extern __shared__ __align__(1024) char memory[];
  Shared<DP>& shared = *reinterpret_cast<Shared<DP>*>(memory);
  const int head = blockIdx.x % a.H, slot = blockIdx.x / a.H;
  const Segment segment = scratch.segments[slot];
  const int kv = KvHead(a, head), D = a.D, F = a.F;
  const int terms = a.terms[segment.sequence * a.H + head];
  if (OnePair(a, terms)) return;  // hybrid_attention_cuda_hopper_pair.cu
  const bool linear = AnyLinear(terms);
  const bool softmax = AnySoftmax(terms) || a.row_max != nullptr;
  const float gamma = Gamma(a, head), alpha = Alpha(a, gamma);
  const float scale = rsqrtf(static_cast<float>(D)) * kLog2e;
  const int group = Warpgroup();
  const int row = ThreadRow(), column = ThreadColumn();

  const KMajor q{SharedAddress(shared.q), kPanel};
  const KMajor phi_q{SharedAddress(shared.phi_q), kPanel};
  const KMajor phi_k{SharedAddress(shared.phi_k), kPanel};
  const MnMajor weight_q{SharedAddress(shared.weight_q), kWeightBytes<DP>};
  const MnMajor weight_k{SharedAddress(shared.weight_k), kWeightBytes<DP>};
  const uint32_t state_tile = SharedAddress(shared.state);
  const uint32_t k0 = SharedAddress(shared.k), v0 = SharedAddress(shared.v);
  constexpr int kStage = kRowsBytes<DP>;

  Stages stages;
  const auto load_keys = [&](int tile, int stage) {
    const int count = min(segment.length - tile * kTile, kTile);
    const int64_t at = segment.begin + tile * kTile;
    LoadRows<DP>(k0 + stage * kStage, a.k, at, count, kv, D);
    LoadRows<DP>(v0 + stage * kStage, a.v, at, count, kv, D);
  };
  const auto load_queries = [&](int n) {
    LoadRows<DP>(q.base, a.q, segment.begin + n, min(segment.length - n, kTile),
                 head, D);
  };
  // Brings the tiles (-1: none) to shared memory, unless they are there.
  const auto ensure = [&](int x, int y) {
    const bool need_x = x >= 0 && stages.Find(x) < 0;
    const bool need_y = y >= 0 && stages.Find(y) < 0;
    if (!need_x && !need_y) return;
    __syncthreads();
    if (need_x) load_keys(x, stages.Replace(x, x, y < 0 ? x : y));
    if (need_y) load_keys(y, stages.Replace(y, x < 0 ? y : x, y));
    CopyCommit();
    CopyWait();
    FenceShared();
    __syncthreads();
  };

  // Prologue: weights, state, the first queries.
  load_queries(segment.first);
  CopyCommit();
  float state[DP / 2] = {}, norm[4] = {};
  if (linear) {
    LoadWeight<DP>(weight_q.base, scratch.weight_q, head);
    LoadWeight<DP>(weight_k.base, scratch.weight_k, head);
    CopyCommit();
    FillOnes(shared.ones);
    AddBorder<DP>(scratch.states,
                  Border(scratch, segment, slot, /*suffix=*/false), a.H, head,
                  group, state, norm);
    StoreState<DP>(state_tile, group, state);
    StoreNorm(shared.norm, group, norm);
  }
  float squared_error = 0;

  // Features of the keys in a tile, by one warpgroup; zero where no later row
  // has a linear term.
  const auto key_factor = [&](int tile, int r) {
    const bool drop = !(terms & kLinearNearTerms);
    return drop && tile * kTile + row + 8 * r < a.sinks ? 0.0f : 1.0f;
  };
  int phi_tile = -1;
  const auto need_phi_k = [&](int tile) {
    ensure(tile, -1);
    if (tile == phi_tile) return;
    __syncthreads();
    if (group == 1) {
      float z[32], up[32], down[32];
      Pin(z);
      WgmmaFence();
      Multiply<DP>(z, KMajor{k0 + stages.Find(tile) * kStage, kPanel}, weight_k,
                   false);
      WgmmaCommit();
      WgmmaWait();
      Pin(z);
      Hedgehog(z, F, key_factor(tile, 0), key_factor(tile, 1), up, down);
      StorePanel(phi_k.base, up);
      StorePanel(phi_k.base + kPanel, down);
    }
    FenceShared();
    __syncthreads();
    phi_tile = tile;
  };

  for (int n0 = segment.first; n0 < segment.last; n0 += kTile) {
    const TileList tiles(a, terms, n0);
    const bool past = linear && tiles.first > 0;
    const int rounds = softmax ? (tiles.count + 1) / 2 : 0;
    const int newest = tiles.count - 1;
    const int linear_tiles = linear ? tiles.linear_end - tiles.first : 0;
    if (linear_tiles > 0) ensure(tiles.linear_end - 1, -1);
    CopyWait();
    FenceShared();
    __syncthreads();

    // Features of the queries (warpgroup 0) and of the newest keys with linear
    // terms (warpgroup 1).
    float linear_sum[2] = {0, 0};
    phi_tile = linear_tiles > 0 ? tiles.linear_end - 1 : -1;
    if (linear && (group == 0 || linear_tiles > 0)) {
      float z[32], up[32], down[32];
      const uint32_t x =
          group == 0 ? q.base : k0 + stages.Find(phi_tile) * kStage;
      const MnMajor weight = group == 0 ? weight_q : weight_k;
      Pin(z);
      WgmmaFence();
      Multiply<DP>(z, KMajor{x, kPanel}, weight, false);
      WgmmaCommit();
      WgmmaWait();
      Pin(z);
      Hedgehog(z, F, group == 0 ? alpha : key_factor(phi_tile, 0),
               group == 0 ? alpha : key_factor(phi_tile, 1), up, down);
      const uint32_t to = group == 0 ? phi_q.base : phi_k.base;
      StorePanel(to, up);
      StorePanel(to + kPanel, down);
      if (past && group == 0) {
#pragma unroll
        for (int i = 0; i < 32; i += 2) {
          const int f = i / 4 * 8 + column;
          const float2 n0 = *reinterpret_cast<const float2*>(&shared.norm[f]);
          const float2 n1 =
              *reinterpret_cast<const float2*>(&shared.norm[64 + f]);
          linear_sum[i % 4 / 2] += up[i] * n0.x + up[i + 1] * n0.y +
                                   down[i] * n1.x + down[i + 1] * n1.y;
        }
      }
    }

    // Softmax over this warpgroup's tiles.
    float out[DP / 2] = {};
    float top[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0};
#pragma unroll 1
    for (int round = 0; round < rounds; ++round) {
      const int u1 = newest - 2 * round, u0 = u1 - 1;
      ensure(u0 < 0 ? -1 : tiles.Tile(u0), tiles.Tile(u1));
      const int u = group == 0 ? u0 : u1;
      if (u < 0) continue;
      const int tile = tiles.Tile(u), stage = stages.Find(tile);
      float s[32];
      Pin(s);
      WgmmaFence();
      Multiply<DP>(s, q, KMajor{k0 + stage * kStage, kPanel}, false);
      WgmmaCommit();
      const TermBits bits = TermBits::OfRows(a, terms, n0, tile * kTile);
      WgmmaWait();
      Pin(s);
      float before[2];
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        float most = -INFINITY;
#pragma unroll
        for (int i = 0; i < 16; ++i) {
          const int at = i / 2 * 4 + 2 * r + i % 2;
          s[at] = Has(bits.set, at) ? s[at] : -INFINITY;
          most = fmaxf(most, s[at]);
        }
        most = fmaxf(QuadMax(most) * scale, top[r]);
        const float shift = most == -INFINITY ? 0.0f : most;
        before[r] = Exp2(top[r] - shift);
        top[r] = most;
        sum[r] *= before[r];
#pragma unroll
        for (int i = 0; i < 16; ++i) {
          const int at = i / 2 * 4 + 2 * r + i % 2;
          s[at] = Exp2(fmaf(s[at], scale, -shift));
        }
      }
      if (bits.softmax != bits.set) {
#pragma unroll
        for (int i = 0; i < 32; ++i) s[i] = Has(bits.softmax, i) ? s[i] : 0.0f;
      }
#pragma unroll
      for (int i = 0; i < 32; ++i) sum[i % 4 / 2] += s[i];
      if (round > 0) {
#pragma unroll
        for (int i = 0; i < DP / 2; ++i) out[i] *= before[i % 4 / 2];
      }
      uint32_t p[4][4];
      ToOperand(s, p);
      Pin(out);
      WgmmaFence();
      Multiply<kTile>(out, p, MnMajor{v0 + stage * kStage, kPanel}, true);
      WgmmaCommit();
      WgmmaWait();
      Pin(out);
    }
    if (column == 0) {
      shared.top[group][row] = top[0];
      shared.top[group][row + 8] = top[1];
    }
    FenceShared();
    __syncthreads();
    // The queries have been used: fetch the next ones, and the next keys if
    // there is room.
    if (n0 + kTile < segment.last) {
      load_queries(n0 + kTile);
      const int next = n0 / kTile + 1;
      if (tiles.count <= 2 && linear_tiles <= 2) {
        const int keep = tiles.count > 1 ? tiles.Tile(0) : -1;
        load_keys(next, stages.Replace(next, keep, n0 / kTile));
      }
      CopyCommit();
    }

    // The exact maximum; then the linear terms, under the same accumulators.
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const float other = shared.top[1 - group][row + 8 * r];
      const float c = fmaxf(top[r], other);
      const float factor =
          top[r] == -INFINITY ? 0.0f : gamma * Exp2(top[r] - c);
      sum[r] = QuadSum(sum[r]) * factor;
#pragma unroll
      for (int i = 0; i < DP / 4; ++i) {
        out[i / 2 * 4 + 2 * r + i % 2] *= factor;
      }
      top[r] = c;
    }
#pragma unroll 1
    for (int i = 0; i < linear_tiles; ++i) {
      const int tile = tiles.linear_end - 1 - i;
      need_phi_k(tile);
      if (group == 1) continue;
      float l[32];
      Pin(l);
      WgmmaFence();
      Multiply<kOutputs>(l, phi_q, phi_k, false);
      WgmmaCommit();
      const TermBits bits = TermBits::OfRows(a, terms, n0, tile * kTile);
      WgmmaWait();
      Pin(l);
#pragma unroll
      for (int x = 0; x < 32; ++x) {
        l[x] = Has(bits.linear, x) ? l[x] : 0.0f;
        linear_sum[x % 4 / 2] += l[x];
      }
      uint32_t p[4][4];
      ToOperand(l, p);
      Pin(out);
      WgmmaFence();
      Multiply<kTile>(out, p, MnMajor{v0 + stages.Find(tile) * kStage, kPanel},
                      true);
      WgmmaCommit();
      WgmmaWait();
      Pin(out);
    }
    if (group == 1 && past) {
      Pin(out);
      WgmmaFence();
      Multiply<kOutputs>(out, phi_q, MnMajor{state_tile, kOutputs * 128}, true);
      WgmmaCommit();
      WgmmaWait();
      Pin(out);
    }
    linear_sum[0] = QuadSum(linear_sum[0]);
    linear_sum[1] = QuadSum(linear_sum[1]);
    if (column == 0) {
      shared.softmax_den[group][row] = sum[0];
      shared.softmax_den[group][row + 8] = sum[1];
      if (group == 0) {
        shared.linear_den[row] = linear_sum[0];
        shared.linear_den[row + 8] = linear_sum[1];
      }
    }
    __syncthreads();

    // Keys that the next rows no longer look at one by one join the state.
    const int next_first = linear && n0 + kTile < segment.last
                               ? StateEnd(a, n0 + kTile) / kTile
                               : tiles.first;
    bool changed = false;
#pragma unroll 1
    for (int tile = tiles.first; tile < next_first; ++tile) {
      const bool sinks_only = !(terms & kLinearPastTerms);
      if (sinks_only && tile * kTile >= a.sinks) break;
      changed = true;
      need_phi_k(tile);
      if (sinks_only) {
        __syncthreads();
        KeepRows(shared.phi_k, a.sinks - tile * kTile);
        FenceShared();
        __syncthreads();
        phi_tile = -1;
      }
      const MnMajor phi{phi_k.base + group * kPanel, kPanel};
      Pin(state);
      Pin(norm);
      WgmmaFence();
      Multiply<kTile>(state, phi,
                      MnMajor{v0 + stages.Find(tile) * kStage, kPanel}, true);
      Multiply<kTile>(norm, phi, Ones{SharedAddress(shared.ones)}, true);
      WgmmaCommit();
      WgmmaWait();
      Pin(state);
      Pin(norm);
    }

    // Each warpgroup finishes half of the columns.
    float half[DP / 4];
    AddHalves(group, out, shared.exchange, shared.phi_q, half);
    const int count = min(segment.length - n0, kTile);
    float softmax_den[2], linear_den[2], inv[2], unused[2] = {0, 0};
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int at = row + 8 * r;
      softmax_den[r] = shared.softmax_den[0][at] + shared.softmax_den[1][at];
      linear_den[r] = shared.linear_den[at];
      const float den = softmax_den[r] + linear_den[r];
      inv[r] = den > 0 ? 1.0f / den : 0.0f;
    }
    if (group == 0) {
      StoreStatistics(a, segment.begin + n0, count, head, top, softmax_den,
                      linear_den);
    }
    if (a.target.data == nullptr) {
      StoreOutput(a, segment.begin + n0, count, head, group * DP / 2, inv,
                  half);
    } else {
      const int64_t first_row = segment.begin + n0;
      uint32_t target[DP / 8];
      LoadWords<DP / 4>(a.target, first_row, count, head, D, group * DP / 2,
                        target);
      squared_error += Regress(a, target, count, inv, half, unused);
      StoreRows(scratch.dy, first_row, count, head, D, group * DP / 2, half);
    }
    if (changed) {
      StoreState<DP>(state_tile, group, state);
      StoreNorm(shared.norm, group, norm);
    }
  }

  if (a.target.data == nullptr || scratch.error == nullptr) return;
  squared_error = BlockSum(squared_error, shared.top[0]);
  if (threadIdx.x == 0) scratch.error[blockIdx.x] = squared_error;
}

template <int DP>
void Launch(const Args& a, const HopperScratch& s, cudaStream_t stream) {
  CARACAL_LAUNCHER_CHECK(cudaFuncSetAttribute(
      ForwardRows<DP>, cudaFuncAttributeMaxDynamicSharedMemorySize,
      sizeof(Shared<DP>)));
  ForwardRows<DP><<<s.count * a.H, kBlock, sizeof(Shared<DP>), stream>>>(a, s);
  CARACAL_CUDA_CHECK_LAUNCH();
}

}  // namespace

void HopperForwardOthers(const Args& a, const HopperScratch& s,
                         cudaStream_t stream) {
  a.D <= 64 ? Launch<64>(a, s, stream) : Launch<128>(a, s, stream);
}

}  // namespace caracal::kernels::cuda
