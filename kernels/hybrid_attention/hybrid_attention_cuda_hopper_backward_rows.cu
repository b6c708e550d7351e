// Hopper version, backward by rows, any window: each row's statistics (c_n, 1 /
// den, dy . y, the gradient of c_n), dq, and the gradient of the query's
// feature map. y itself is never needed: with dP = dy V^T,
//     dy . y = (gamma sum e dP + alpha sum l dP + alpha phi_q . S dy) / den.
// Gradients of features from the window's tiles (warpgroup 0) and from the
// state (warpgroup 1) are linear in dphi, so each goes through the feature map
// alone and their dz are added.
#include "kernels/common/cuda_check.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_features.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_hopper_kernels.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_row_statistics.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_tiles.h"

namespace caracal::kernels::cuda {
namespace {

template <int DP>
struct Shared {
  char weight_q[kWeightBytes<DP>];
  char weight_k[kWeightBytes<DP>];
  char q[kRowsBytes<DP>];
  char dy[kRowsBytes<DP>];
  char k[2][kRowsBytes<DP>];
  char v[2][kRowsBytes<DP>];
  char phi_q[kPhiBytes];
  char phi_k[kPhiBytes];
  char state[kStateBytes<DP>];
  // RowParts, then dz [64, 64] of either warpgroup, then a half of dq.
  char exchange0[32 * kGroup * 4];
  // What waits of dz of the state, then the other half of dq.
  char exchange1[32 * kGroup * 4];
  char ones[kOnesBytes];
  float norm[kOutputs];
};

template <int DP>
__global__ void __launch_bounds__(kBlock, 1)
    BackwardRows(const __grid_constant__ Args a,
                 const __grid_constant__ HopperScratch scratch) {
  extern __shared__ __align__(1024) char memory[];
  Shared<DP>& shared = *reinterpret_cast<Shared<DP>*>(memory);
  RowParts& parts = *reinterpret_cast<RowParts*>(shared.exchange0);
  const int head = blockIdx.x % a.H, slot = blockIdx.x / a.H;
  const Segment segment = scratch.segments[slot];
  const int kv = KvHead(a, head), D = a.D, F = a.F;
  const int terms = a.terms[segment.sequence * a.H + head];
  if (OneKeyPair(a, scratch, terms)) return;  // ..._pair_rows.cu
  const bool linear = AnyLinear(terms), softmax = AnySoftmax(terms);
  const bool wants_dq = a.dq.data != nullptr;
  const float gamma = Gamma(a, head), alpha = Alpha(a, gamma);
  const float root = rsqrtf(static_cast<float>(D)), scale = root * kLog2e;
  const int group = Warpgroup();
  const int row = ThreadRow(), column = ThreadColumn();

  const KMajor q{SharedAddress(shared.q), kPanel};
  const KMajor dy{SharedAddress(shared.dy), kPanel};
  const KMajor phi_q{SharedAddress(shared.phi_q), kPanel};
  const KMajor phi_k{SharedAddress(shared.phi_k), kPanel};
  const KMajor dz_rows{SharedAddress(shared.exchange0), kPanel};
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
  const auto ensure = [&](int x, int y) { Ensure(stages, x, y, load_keys); };
  const auto load_rows = [&](int n) {
    const int count = min(segment.length - n, kTile);
    LoadRows<DP>(q.base, a.q, segment.begin + n, count, head, D);
    LoadRows<DP>(dy.base, a.dy, segment.begin + n, count, head, D);
    CopyCommit();
  };

  float state[DP / 2] = {}, norm[4] = {};
  float dweight[32] = {};  // d 64 group + ..., f
  float dfactor = 0;
  load_rows(segment.first);
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
    const int newest = tiles.count - 1;
    const int rounds = softmax ? (tiles.count + 1) / 2 : 0;
    const int linear_tiles = linear ? tiles.linear_end - tiles.first : 0;
    // Nothing has to be computed twice if each warpgroup has one tile and the
    // linear one is warpgroup 0's.
    const bool once =
        rounds == 1 && linear_tiles <= 1 &&
        (linear_tiles == 0 || (newest == 1 && tiles.Tile(0) == tiles.first));
    phi_tile = linear_tiles > 0 ? tiles.linear_end - 1 : -1;
    if (phi_tile >= 0) ensure(phi_tile, -1);
    CopyWait();
    FenceShared();
    __syncthreads();

    // Features of the queries (warpgroup 0) and of the newest keys with linear
    // terms (warpgroup 1).
    if (linear) {
      if (group == 0 || phi_tile >= 0) {
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
        Hedgehog(z, F, group == 0 ? 1.0f : key_factor(phi_tile, 0),
                 group == 0 ? 1.0f : key_factor(phi_tile, 1), up, down);
        const uint32_t to = group == 0 ? phi_q.base : phi_k.base;
        StorePanel(to, up);
        StorePanel(to + kPanel, down);
      }
      FenceShared();
      __syncthreads();
    }

    float l_sum[2] = {0, 0}, l_dp_sum[2] = {0, 0};
    if (past && group == 1) {
      // The state's part of dz, without alpha / den: that of S dy. It waits in
      // shared memory for delta, which the part of delta norm needs.
      float u[kOutputs / 2];
      Pin(u);
      WgmmaFence();
      Multiply<DP>(u, dy, KMajor{state_tile, kOutputs * 128}, false);
      WgmmaCommit();
      WgmmaWait();
      Pin(u);
      HedgehogBackward(
          phi_q.base, [&](int i) { return u[i]; }, l_dp_sum,
          [&](int b, float4 dz) { Slot(shared.exchange1, b) = dz; });
      PhiDot(phi_q.base, shared.norm, l_sum);
    }

    float s[32], dp[32];
    float top[2] = {-INFINITY, -INFINITY};
    float inv[2], delta[2], dmax[2], factor[2] = {1, 1};
    int argmax[2] = {kNone, kNone};
    // s = scores of a tile, -inf outside the softmax set; dp = dy V^T.
    const auto products = [&](int tile) {
      const int stage = stages.Find(tile);
      Pin(s);
      Pin(dp);
      WgmmaFence();
      Multiply<DP>(s, q, KMajor{k0 + stage * kStage, kPanel}, false);
      Multiply<DP>(dp, dy, KMajor{v0 + stage * kStage, kPanel}, false);
      WgmmaCommit();
      const TermBits bits = TermBits::OfRows(a, terms, n0, tile * kTile);
      WgmmaWait();
      Pin(s);
      Pin(dp);
#pragma unroll
      for (int i = 0; i < 32; ++i) s[i] = Has(bits.set, i) ? s[i] : -INFINITY;
      return bits;
    };
    // s to exp(s - shift) of the terms that are kept.
    const auto exponentials = [&](const TermBits& bits, float shift0,
                                  float shift1) {
#pragma unroll
      for (int i = 0; i < 32; ++i) {
        s[i] = Exp2(fmaf(s[i], scale, i % 4 / 2 == 0 ? -shift0 : -shift1));
      }
      if (bits.softmax == bits.set) return;
#pragma unroll
      for (int i = 0; i < 32; ++i) s[i] = Has(bits.softmax, i) ? s[i] : 0.0f;
    };
    // dp = dy V^T of a tile with linear terms.
    const auto value_products = [&](int tile) {
      Pin(dp);
      WgmmaFence();
      Multiply<DP>(dp, dy, KMajor{v0 + stages.Find(tile) * kStage, kPanel},
                   false);
      WgmmaCommit();
      WgmmaWait();
      Pin(dp);
    };

    // Statistics.
    float e_sum[2] = {0, 0}, e_dp_sum[2] = {0, 0};
#pragma unroll 1
    for (int round = 0; round < rounds; ++round) {
      const int u1 = newest - 2 * round, u0 = u1 - 1;
      ensure(u0 < 0 ? -1 : tiles.Tile(u0), tiles.Tile(u1));
      const int u = group == 0 ? u0 : u1;
      if (u < 0) continue;
      const int tile = tiles.Tile(u);
      const TermBits bits = products(tile);
      float shift[2];
      RaiseMaxima(s, tile, scale, top, argmax, e_sum, e_dp_sum, shift);
      exponentials(bits, shift[0], shift[1]);
#pragma unroll
      for (int i = 0; i < 32; ++i) {
        e_sum[i % 4 / 2] += s[i];
        e_dp_sum[i % 4 / 2] += s[i] * dp[i];
      }
    }
#pragma unroll 1
    for (int i = 0; i < linear_tiles; ++i) {
      const int tile = tiles.linear_end - 1 - i;
      need_phi_k(tile);
      if (group == 1) continue;
      if (!once) value_products(tile);
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
        const float kept = Has(bits.linear, x) ? l[x] : 0.0f;
        l_sum[x % 4 / 2] += kept;
        l_dp_sum[x % 4 / 2] += kept * dp[x];
      }
    }

    // Both warpgroups' parts together.
    LeaveParts(parts, group, top, argmax, e_sum, e_dp_sum, l_sum, l_dp_sum);
    __syncthreads();
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int at = row + 8 * r;
      const JoinedRow joined(parts, at);
      argmax[r] = joined.argmax;
      if (once) factor[r] = group == 0 ? joined.factor0 : joined.factor1;
      top[r] = joined.top;
      const float den = gamma * joined.e + alpha * joined.l;
      inv[r] = den > 0 ? 1.0f / den : 0.0f;
      delta[r] = inv[r] * (gamma * joined.e_dp + alpha * joined.l_dp);
      const float dgamma = inv[r] * (joined.e_dp - delta[r] * joined.e);
      dmax[r] = -gamma * dgamma;
      const int n = n0 + at;
      if (group == 0 && column == 0 && n < segment.length) {
        const float dalpha = inv[r] * (joined.l_dp - delta[r] * joined.l);
        dfactor += a.affine ? dgamma - dalpha : dgamma;
        const int64_t to = head * a.rows + segment.begin + n;
        scratch.row_max[to] = top[r];
        scratch.inv_den[to] = inv[r];
        scratch.delta[to] = delta[r];
        scratch.dmax[to] = dmax[r];
        scratch.argmax[to] = argmax[r];
      }
    }

    __syncthreads();  // RowParts have been read

    // ds of the softmax terms, and g of the linear ones, as operands.
    uint32_t ds[4][4], g[4][4];
    const auto softmax_gradients = [&](int tile) {
      const int first = tile * kTile + column;
      float x[32];
#pragma unroll
      for (int i = 0; i < 32; ++i) {
        const int r = i % 4 / 2;
        x[i] = s[i] * (gamma * inv[r] * factor[r]) * (dp[i] - delta[r]);
        if (argmax[r] - first == i / 4 * 8 + i % 2) x[i] += dmax[r];
      }
      ToOperand(x, ds);
    };
    const auto linear_gradients = [&](int tile) {
      const TermBits bits = TermBits::OfRows(a, terms, n0, tile * kTile);
      float x[32];
#pragma unroll
      for (int i = 0; i < 32; ++i) {
        const int r = i % 4 / 2;
        x[i] = Has(bits.linear, i) ? alpha * inv[r] * (dp[i] - delta[r]) : 0.0f;
      }
      ToOperand(x, g);
    };
    if (once) {
      if (wants_dq && (group == 1 || newest > 0)) {
        softmax_gradients(tiles.Tile(newest - 1 + group));
      }
      if (group == 0 && linear_tiles > 0) linear_gradients(tiles.first);
    }

    if (linear) {
      // dphi of the tiles' linear terms.
      float dphi[kOutputs / 2] = {};
#pragma unroll 1
      for (int i = 0; i < linear_tiles; ++i) {
        const int tile = tiles.linear_end - 1 - i;
        need_phi_k(tile);
        if (group == 1) continue;
        if (!once) {
          value_products(tile);
          linear_gradients(tile);
        }
        Pin(dphi);
        WgmmaFence();
        Multiply<kTile>(dphi, g, MnMajor{phi_k.base, kPanel}, true);
        WgmmaCommit();
        WgmmaWait();
        Pin(dphi);
      }
      // dphi to dz: each warpgroup's part is a tile of its own.
      float unused[2];
      if (group == 0) {
        HedgehogBackward(
            phi_q.base, [&](int i) { return dphi[i]; }, unused,
            [&](int b, float4 dz) { StoreFour(dz_rows.base, b, dz); });
      } else if (past) {
        const float w[2] = {alpha * inv[0], alpha * inv[1]};
        HedgehogBackward(
            phi_q.base,
            [&](int i) { return shared.norm[i / 4 * 8 + column + i % 2]; },
            unused,
            [&](int b, float4 dz) {
              const float4 of_u = Slot(shared.exchange1, b);
              StoreFour(dz_rows.base + kPanel, b,
                        make_float4(w[0] * (of_u.x - delta[0] * dz.x),
                                    w[0] * (of_u.y - delta[0] * dz.y),
                                    w[1] * (of_u.z - delta[1] * dz.z),
                                    w[1] * (of_u.w - delta[1] * dz.w)));
            });
      } else {
#pragma unroll
        for (int b = 0; b < 8; ++b) {
          StoreFour(dz_rows.base + kPanel, b, make_float4(0, 0, 0, 0));
        }
      }
      FenceShared();
      __syncthreads();
      if (a.dweight_q != nullptr && group < DP / 64) {
        Pin(dweight);
        WgmmaFence();
        Multiply<kTile>(dweight, MnMajor{q.base + group * kPanel, kPanel},
                        MnMajor{dz_rows.base, kPanel}, true);
        Multiply<kTile>(dweight, MnMajor{q.base + group * kPanel, kPanel},
                        MnMajor{dz_rows.base + kPanel, kPanel}, true);
        WgmmaCommit();
        WgmmaWait();
        Pin(dweight);
      }
    }

    float dq[DP / 2] = {};
    if (wants_dq) {
#pragma unroll 1
      for (int round = 0; round < rounds; ++round) {
        const int u1 = newest - 2 * round, u0 = u1 - 1;
        ensure(u0 < 0 ? -1 : tiles.Tile(u0), tiles.Tile(u1));
        const int u = group == 0 ? u0 : u1;
        if (u < 0) continue;
        const int tile = tiles.Tile(u);
        if (!once) {
          exponentials(products(tile), top[0], top[1]);
          softmax_gradients(tile);
        }
        Pin(dq);
        WgmmaFence();
        const MnMajor key_rows{k0 + stages.Find(tile) * kStage, kPanel};
        Multiply<kTile>(dq, ds, key_rows, true);
        WgmmaCommit();
        WgmmaWait();
        Pin(dq);
      }
#pragma unroll
      for (int i = 0; i < DP / 2; ++i) dq[i] *= root;
      if (linear && group == 1) {
        Pin(dq);
        WgmmaFence();
        const KMajor weight{weight_q.base, kWeightBytes<DP>};
        Multiply<kFeatures>(dq, dz_rows, weight, true);
        Multiply<kFeatures>(dq, KMajor{dz_rows.base + kPanel, kPanel}, weight,
                            true);
        WgmmaCommit();
        WgmmaWait();
        Pin(dq);
      }
    }
    __syncthreads();
    // Queries and dy have been used.
    if (n0 + kTile < segment.last) load_rows(n0 + kTile);

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
    if (wants_dq) {
      float half[DP / 4];
      AddHalves(group, dq, shared.exchange0, shared.exchange1, half);
      StoreRows(a.dq, segment.begin + n0, min(segment.length - n0, kTile), head,
                D, group * DP / 2, half);
    }
    if (changed) {
      StoreState<DP>(state_tile, group, state);
      StoreNorm(shared.norm, group, norm);
    }
  }

  const int64_t part = static_cast<int64_t>(slot) * a.H + head;
  if (a.dweight_q != nullptr && group < DP / 64) {
    StoreWeightPart(scratch.dweight_q + part * DP * kFeatures, group, dweight);
  }
  dfactor = BlockSum(dfactor, reinterpret_cast<float*>(shared.exchange0));
  if (threadIdx.x == 0) scratch.dfactor[part] = dfactor * gamma * (1 - gamma);
}

template <int DP>
void Launch(const Args& a, const HopperScratch& s, cudaStream_t stream) {
  CARACAL_LAUNCHER_CHECK(cudaFuncSetAttribute(
      BackwardRows<DP>, cudaFuncAttributeMaxDynamicSharedMemorySize,
      sizeof(Shared<DP>)));
  BackwardRows<DP><<<s.count * a.H, kBlock, sizeof(Shared<DP>), stream>>>(a, s);
  CARACAL_CUDA_CHECK_LAUNCH();
}

}  // namespace

void HopperBackwardRowOthers(const Args& a, const HopperScratch& s,
                             cudaStream_t stream) {
  a.D <= 64 ? Launch<64>(a, s, stream) : Launch<128>(a, s, stream);
}

}  // namespace caracal::kernels::cuda
