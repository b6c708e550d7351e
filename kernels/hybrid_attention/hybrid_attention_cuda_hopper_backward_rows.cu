// Hopper version, backward by rows: each row's statistics (c_n, 1 / den,
// dy . y, the gradient of c_n), dq, and the gradient of the query's feature
// map. y itself is never needed: with dP = dy V^T,
//     dy . y = (gamma sum e dP + alpha sum l dP + alpha phi_q . S dy) / den.
// Gradients of features from the window's tiles (warpgroup 0) and from the
// state (warpgroup 1) are linear in dphi, so each goes through the feature map
// alone and their dz are added.
#include "kernels/common/cuda_check.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_hopper_kernels.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_tiles.h"

namespace caracal::kernels::cuda {
namespace {

// What a warpgroup knows of a row: relative to its own maximum `top`.
struct RowParts {
  float top[2][kTile];  // times log2(e)
  int argmax[2][kTile];
  float e[2][kTile], e_dp[2][kTile];  // sums of e and e dP
  float l[2][kTile], l_dp[2][kTile];
};

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
  // RowParts, then dz of the state, then a half of dq.
  char exchange0[32 * kGroup * 4];
  // dz [64, 64], then the other half of dq.
  char exchange1[32 * kGroup * 4];
  char ones[kOnesBytes];
  float norm[kOutputs];
};

template <int DP>
__global__ void __launch_bounds__(kBlock, 1)
    BackwardRows(const __grid_constant__ Args a, HopperScratch scratch) {
  extern __shared__ __align__(1024) char memory[];
  Shared<DP>& shared = *reinterpret_cast<Shared<DP>*>(memory);
  RowParts& parts = *reinterpret_cast<RowParts*>(shared.exchange0);
  const int head = blockIdx.x % a.H, slot = blockIdx.x / a.H;
  const Segment segment = scratch.segments[slot];
  const int kv = KvHead(a, head), D = a.D, F = a.F;
  const int terms = a.terms[segment.sequence * a.H + head];
  const bool linear = AnyLinear(terms), softmax = AnySoftmax(terms);
  const bool wants_dq = a.dq.data != nullptr;
  const float gamma = Gamma(a, head), alpha = Alpha(a, gamma);
  const float root = rsqrtf(static_cast<float>(D)), scale = root * kLog2e;
  const int group = threadIdx.x / kGroup, member = threadIdx.x % kGroup;
  const int row = ThreadRow(), column = ThreadColumn();

  const KMajor q{SharedAddress(shared.q), kPanel};
  const KMajor dy{SharedAddress(shared.dy), kPanel};
  const KMajor phi_q{SharedAddress(shared.phi_q), kPanel};
  const MnMajor weight_q{SharedAddress(shared.weight_q), kWeightBytes<DP>};
  const uint32_t k0 = SharedAddress(shared.k), v0 = SharedAddress(shared.v);
  constexpr int kStage = kRowsBytes<DP>;

  Stages stages;
  const auto load_keys = [&](int tile, int stage) {
    const int count = min(segment.length - tile * kTile, kTile);
    const int64_t at = segment.begin + tile * kTile;
    LoadRows<DP>(k0 + stage * kStage, a.k, at, count, kv, D);
    LoadRows<DP>(v0 + stage * kStage, a.v, at, count, kv, D);
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
    LoadWeight<DP>(shared.weight_q, a.weight_q + head * a.D * a.F, a);
    LoadWeight<DP>(shared.weight_k, a.weight_k + head * a.D * a.F, a);
    FillOnes(shared.ones);
    if (segment.first > 0) {
      LoadState<DP>(scratch.state, scratch.norm, slot * a.H + head, group,
                    state, norm);
    }
    StoreState<DP>(shared.state, group, state);
    StoreNorm(shared.norm, group, norm);
  }

  const auto make_phi_k = [&](int tile) {
    float z[32], up[32], down[32];
    Pin(z);
    WgmmaFence();
    Multiply<DP>(z, KMajor{k0 + stages.Find(tile) * kStage, kPanel},
                 MnMajor{SharedAddress(shared.weight_k), kWeightBytes<DP>},
                 false);
    WgmmaCommit();
    WgmmaWait();
    Pin(z);
    Hedgehog(z, F, up, down);
    const int j = tile * kTile + row;
    const bool drop = !(terms & kLinearNearTerms);
    const float f0 = drop && j < a.sinks ? 0.0f : 1.0f;
    const float f1 = drop && j + 8 < a.sinks ? 0.0f : 1.0f;
    StorePanel(shared.phi_k, up, f0, f1);
    StorePanel(shared.phi_k + kPanel, down, f0, f1);
  };
  // dp = dy V^T.
  const auto value_products = [&](int tile, float(&dp)[32]) {
    Pin(dp);
    WgmmaFence();
    Multiply<DP>(dp, dy, KMajor{v0 + stages.Find(tile) * kStage, kPanel},
                 false);
    WgmmaCommit();
    WgmmaWait();
    Pin(dp);
  };

  for (int n0 = segment.first; n0 < segment.last; n0 += kTile) {
    const TileList tiles(a, terms, n0);
    const int n[2] = {n0 + row, n0 + row + 8};
    const int start[2] = {Start(a, n[0]), Start(a, n[1])};
    const bool past = linear && tiles.first > 0;
    const int newest = tiles.count - 1;
    const int rounds = softmax ? (tiles.count + 1) / 2 : 0;
    const int linear_tiles = linear ? tiles.linear_end - tiles.first : 0;
    // Nothing has to be computed twice if each warpgroup has one tile and the
    // linear one is warpgroup 0's.
    const bool once =
        rounds == 1 && linear_tiles <= 1 &&
        (linear_tiles == 0 || (newest == 1 && tiles.Tile(0) == tiles.first));
    ensure(newest > 0 ? tiles.Tile(newest - 1) : -1, tiles.Tile(newest));
    CopyWait();
    FenceShared();
    __syncthreads();

    if (linear) {
      if (linear_tiles > 0) ensure(tiles.linear_end - 1, -1);
      if (group == 0) {
        float z[32], up[32], down[32];
        Pin(z);
        WgmmaFence();
        Multiply<DP>(z, q, weight_q, false);
        WgmmaCommit();
        WgmmaWait();
        Pin(z);
        Hedgehog(z, F, up, down);
        StorePanel(shared.phi_q, up);
        StorePanel(shared.phi_q + kPanel, down);
      } else if (linear_tiles > 0) {
        make_phi_k(tiles.linear_end - 1);
      }
      FenceShared();
      __syncthreads();
    }

    float l_sum[2] = {0, 0}, l_dp_sum[2] = {0, 0};
    // The state's part of dz, without alpha / den: that of S dy. The part of
    // delta norm follows when delta is known.
    float dz[32] = {};
    if (past && group == 1) {
      float u[kOutputs / 2];
      Pin(u);
      WgmmaFence();
      Multiply<DP>(u, dy, KMajor{SharedAddress(shared.state), kOutputs * 128},
                   false);
      WgmmaCommit();
      WgmmaWait();
      Pin(u);
      HedgehogBackward(shared.phi_q, u, dz, l_dp_sum);
#pragma unroll
      for (int b = 0; b < 16; ++b) {
#pragma unroll
        for (int r = 0; r < 2; ++r) {
          const float2 phi =
              ReadPair(shared.phi_q, row + 8 * r, 8 * b + column);
          l_sum[r] += phi.x * shared.norm[8 * b + column] +
                      phi.y * shared.norm[8 * b + column + 1];
        }
      }
    }

    // Statistics: softmax.
    float s[32], dp[32], l[32];
    float top[2] = {-INFINITY, -INFINITY};
    float e_sum[2] = {0, 0}, e_dp_sum[2] = {0, 0};
    int argmax[2] = {-1, -1};
    // Scores of a tile, -inf outside the softmax set, times log2(e).
    const auto scores = [&](int tile) {
      Pin(s);
      WgmmaFence();
      Multiply<DP>(s, q, KMajor{k0 + stages.Find(tile) * kStage, kPanel},
                   false);
      WgmmaCommit();
      WgmmaWait();
      Pin(s);
#pragma unroll
      for (int i = 0; i < 32; ++i) {
        const int r = i % 4 / 2, j = tile * kTile + i / 4 * 8 + column + i % 2;
        const bool in = j <= n[r] && InSoftmaxSet(a, start[r], j);
        s[i] = in ? s[i] * scale : -INFINITY;
      }
    };
    // s to exp(s - shift) of the terms that are kept.
    const auto exponentials = [&](int tile, float shift0, float shift1) {
#pragma unroll
      for (int i = 0; i < 32; ++i) {
        const int r = i % 4 / 2, j = tile * kTile + i / 4 * 8 + column + i % 2;
        s[i] = SoftmaxTerm(a, terms, start[r], j)
                   ? exp2f(s[i] - (r == 0 ? shift0 : shift1))
                   : 0.0f;
      }
    };
    for (int round = 0; round < rounds; ++round) {
      const int u1 = newest - 2 * round, u0 = u1 - 1;
      ensure(u0 < 0 ? -1 : tiles.Tile(u0), tiles.Tile(u1));
      const int u = group == 0 ? u0 : u1;
      if (u < 0) continue;
      const int tile = tiles.Tile(u);
      scores(tile);
      value_products(tile, dp);
      float shift[2];
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        float most = -INFINITY;
        int at = -1;
#pragma unroll
        for (int i = 0; i < 16; ++i) {
          const int x = i / 2 * 4 + 2 * r + i % 2;
          if (s[x] > most) {
            most = s[x];
            at = tile * kTile + i / 2 * 8 + column + i % 2;
          }
        }
#pragma unroll
        for (int m = 1; m <= 2; m *= 2) {
          const float other = __shfl_xor_sync(~0u, most, m);
          const int other_at = __shfl_xor_sync(~0u, at, m);
          const bool better = other > most || (other == most &&
                                               static_cast<unsigned>(other_at) <
                                                   static_cast<unsigned>(at));
          most = better ? other : most;
          at = better ? other_at : at;
        }
        // Tiles come newest first: a tie belongs to the later, older tile.
        if (at >= 0 && most >= top[r]) argmax[r] = at;
        most = fmaxf(most, top[r]);
        shift[r] = most == -INFINITY ? 0.0f : most;
        const float before = exp2f(top[r] - shift[r]);
        e_sum[r] *= before;
        e_dp_sum[r] *= before;
        top[r] = most;
      }
      exponentials(tile, shift[0], shift[1]);
#pragma unroll
      for (int i = 0; i < 32; ++i) {
        e_sum[i % 4 / 2] += s[i];
        e_dp_sum[i % 4 / 2] += s[i] * dp[i];
      }
    }

    // Statistics: linear terms of the tiles.
    const auto linear_weights = [&](int tile) {
      Pin(l);
      WgmmaFence();
      Multiply<kOutputs>(l, phi_q, KMajor{SharedAddress(shared.phi_k), kPanel},
                         false);
      WgmmaCommit();
      WgmmaWait();
      Pin(l);
#pragma unroll
      for (int i = 0; i < 32; ++i) {
        const int r = i % 4 / 2, j = tile * kTile + i / 4 * 8 + column + i % 2;
        if (j > n[r] || !LinearTerm(a, terms, start[r], j)) l[i] = 0;
      }
    };
    // Lets phi_k hold a tile; all threads.
    int phi_tile = linear_tiles > 0 ? tiles.linear_end - 1 : -1;
    const auto need_phi_k = [&](int tile) {
      ensure(tile, -1);
      if (tile == phi_tile) return;
      __syncthreads();
      if (group == 1) make_phi_k(tile);
      FenceShared();
      __syncthreads();
      phi_tile = tile;
    };
    for (int i = 0; i < linear_tiles; ++i) {
      const int tile = tiles.linear_end - 1 - i;
      need_phi_k(tile);
      if (group == 1) continue;
      if (!once) value_products(tile, dp);
      linear_weights(tile);
#pragma unroll
      for (int x = 0; x < 32; ++x) {
        l_sum[x % 4 / 2] += l[x];
        l_dp_sum[x % 4 / 2] += l[x] * dp[x];
      }
    }

    // Both warpgroups' parts together.
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const float x0 = QuadSum(e_sum[r]), x1 = QuadSum(e_dp_sum[r]);
      const float x2 = QuadSum(l_sum[r]), x3 = QuadSum(l_dp_sum[r]);
      if (column != 0) continue;
      const int at = row + 8 * r;
      parts.top[group][at] = top[r];
      parts.argmax[group][at] = argmax[r];
      parts.e[group][at] = x0;
      parts.e_dp[group][at] = x1;
      parts.l[group][at] = x2;
      parts.l_dp[group][at] = x3;
    }
    __syncthreads();
    float factor[2], inv[2], delta[2], dmax[2], c[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int at = row + 8 * r;
      const float top0 = parts.top[0][at], top1 = parts.top[1][at];
      c[r] = fmaxf(top0, top1);
      const float f0 = top0 == -INFINITY ? 0.0f : exp2f(top0 - c[r]);
      const float f1 = top1 == -INFINITY ? 0.0f : exp2f(top1 - c[r]);
      // Warpgroup 0's keys are the older ones.
      argmax[r] = parts.argmax[top0 >= top1 ? 0 : 1][at];
      factor[r] = group == 0 ? f0 : f1;
      const float e = f0 * parts.e[0][at] + f1 * parts.e[1][at];
      const float e_dp = f0 * parts.e_dp[0][at] + f1 * parts.e_dp[1][at];
      const float l0 = parts.l[0][at] + parts.l[1][at];
      const float l1 = parts.l_dp[0][at] + parts.l_dp[1][at];
      const float den = gamma * e + alpha * l0;
      inv[r] = den > 0 ? 1.0f / den : 0.0f;
      delta[r] = inv[r] * (gamma * e_dp + alpha * l1);
      const float dgamma = inv[r] * (e_dp - delta[r] * e);
      dmax[r] = -gamma * dgamma;
      if (group == 0 && column == 0 && n[r] < segment.length) {
        const float dalpha = inv[r] * (l1 - delta[r] * l0);
        dfactor += a.affine ? dgamma - dalpha : dgamma;
        const int64_t to = head * a.rows + segment.begin + n[r];
        scratch.row_max[to] = c[r];
        scratch.inv_den[to] = inv[r];
        scratch.delta[to] = delta[r];
        scratch.dmax[to] = dmax[r];
        scratch.argmax[to] = argmax[r];
      }
    }

    // dq of the softmax terms.
    float dq[DP / 2] = {};
    for (int round = 0; round < rounds && wants_dq; ++round) {
      const int u1 = newest - 2 * round, u0 = u1 - 1;
      ensure(u0 < 0 ? -1 : tiles.Tile(u0), tiles.Tile(u1));
      const int u = group == 0 ? u0 : u1;
      if (u < 0) continue;
      const int tile = tiles.Tile(u);
      if (!once) {
        scores(tile);
        value_products(tile, dp);
        exponentials(tile, c[0], c[1]);
      }
      float ds[32];
#pragma unroll
      for (int i = 0; i < 32; ++i) {
        const int r = i % 4 / 2, j = tile * kTile + i / 4 * 8 + column + i % 2;
        const float e = once ? s[i] * factor[r] : s[i];
        ds[i] = gamma * e * (dp[i] - delta[r]) * inv[r] +
                (j == argmax[r] ? dmax[r] : 0.0f);
      }
      uint32_t operand[4][4];
      ToOperand(ds, operand);
      Pin(dq);
      WgmmaFence();
      Multiply<kTile>(dq, operand,
                      MnMajor{k0 + stages.Find(tile) * kStage, kPanel}, true);
      WgmmaCommit();
      WgmmaWait();
      Pin(dq);
    }

    if (linear) {
      // dphi of the tiles' linear terms.
      float dphi[kOutputs / 2] = {};
      for (int i = 0; i < linear_tiles; ++i) {
        const int tile = tiles.linear_end - 1 - i;
        need_phi_k(tile);
        if (group == 1) continue;
        if (!once) value_products(tile, dp);
        float g[32];
#pragma unroll
        for (int x = 0; x < 32; ++x) {
          const int r = x % 4 / 2;
          const int j = tile * kTile + x / 4 * 8 + column + x % 2;
          const bool kept = j <= n[r] && LinearTerm(a, terms, start[r], j);
          g[x] = kept ? alpha * (dp[x] - delta[r]) * inv[r] : 0.0f;
        }
        uint32_t operand[4][4];
        ToOperand(g, operand);
        Pin(dphi);
        WgmmaFence();
        Multiply<kTile>(dphi, operand,
                        MnMajor{SharedAddress(shared.phi_k), kPanel}, true);
        WgmmaCommit();
        WgmmaWait();
        Pin(dphi);
      }
      float unused[2];
      if (group == 0) {
        HedgehogBackward(shared.phi_q, dphi, dz, unused);
      } else if (past) {
        // dz of alpha / den (S dy - delta norm).
#pragma unroll
        for (int i = 0; i < kOutputs / 2; ++i) {
          dphi[i] = shared.norm[i / 4 * 8 + column + i % 2];
        }
        float dz_norm[32];
        HedgehogBackward(shared.phi_q, dphi, dz_norm, unused);
#pragma unroll
        for (int i = 0; i < 32; ++i) {
          const int r = i % 4 / 2;
          dz[i] = alpha * inv[r] * (dz[i] - delta[r] * dz_norm[i]);
        }
      }
      __syncthreads();  // RowParts have been read
      float* give = reinterpret_cast<float*>(shared.exchange0);
      if (group == 1) {
#pragma unroll
        for (int i = 0; i < 32; ++i) give[i * kGroup + member] = dz[i];
      }
      __syncthreads();
      if (group == 0) {
#pragma unroll
        for (int i = 0; i < 32; ++i) dz[i] += give[i * kGroup + member];
        // A row beyond the sequence has dy = 0, but q = 0 still has features.
        StorePanel(shared.exchange1, dz);
      }
      FenceShared();
      __syncthreads();
      const KMajor dz_rows{SharedAddress(shared.exchange1), kPanel};
      if (wants_dq && group == 1) {
#pragma unroll
        for (int i = 0; i < DP / 2; ++i) dq[i] *= root;
        Pin(dq);
        WgmmaFence();
        Multiply<kFeatures>(
            dq, dz_rows,
            KMajor{SharedAddress(shared.weight_q), kWeightBytes<DP>}, true);
        WgmmaCommit();
        WgmmaWait();
        Pin(dq);
      }
      if (a.dweight_q != nullptr && group < DP / 64) {
        Pin(dweight);
        WgmmaFence();
        Multiply<kTile>(dweight, MnMajor{q.base + group * kPanel, kPanel},
                        MnMajor{dz_rows.base, kPanel}, true);
        WgmmaCommit();
        WgmmaWait();
        Pin(dweight);
      }
    }
    __syncthreads();
    // Queries and dy have been used.
    if (n0 + kTile < segment.last) load_rows(n0 + kTile);

    if (wants_dq) {
      if (group == 0 || !linear) {
#pragma unroll
        for (int i = 0; i < DP / 2; ++i) dq[i] *= root;
      }
      float half[DP / 4];
      float* give = reinterpret_cast<float*>(group == 0 ? shared.exchange0
                                                        : shared.exchange1);
      float* take = reinterpret_cast<float*>(group == 0 ? shared.exchange1
                                                        : shared.exchange0);
#pragma unroll
      for (int i = 0; i < DP / 4; ++i) {
        give[i * kGroup + member] = group == 0 ? dq[DP / 4 + i] : dq[i];
        half[i] = group == 0 ? dq[i] : dq[DP / 4 + i];
      }
      __syncthreads();
#pragma unroll
      for (int i = 0; i < DP / 4; ++i) half[i] += take[i * kGroup + member];
      StoreRows(a.dq, segment.begin + n0, min(segment.length - n0, kTile), head,
                D, group * DP / 2, half);
    }

    // Keys that the next rows no longer look at one by one join the state.
    if (!linear || n0 + kTile >= segment.last) continue;
    const int next_first = StateEnd(a, n0 + kTile) / kTile;
    for (int tile = tiles.first; tile < next_first; ++tile) {
      const bool sinks_only = !(terms & kLinearPastTerms);
      if (sinks_only && tile * kTile >= a.sinks) break;
      need_phi_k(tile);
      if (sinks_only) {
        __syncthreads();
        KeepRows(shared.phi_k, static_cast<int>(a.sinks) - tile * kTile);
        FenceShared();
        __syncthreads();
      }
      const MnMajor phi{SharedAddress(shared.phi_k) + group * kPanel, kPanel};
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
    if (next_first > tiles.first) {
      StoreState<DP>(shared.state, group, state);
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
  CARACAL_CUDA_CHECK(cudaFuncSetAttribute(
      BackwardRows<DP>, cudaFuncAttributeMaxDynamicSharedMemorySize,
      sizeof(Shared<DP>)));
  BackwardRows<DP><<<s.count * a.H, kBlock, sizeof(Shared<DP>), stream>>>(a, s);
  CARACAL_CUDA_CHECK_LAUNCH();
}

}  // namespace

void HopperBackwardRows(const Args& a, const HopperScratch& s,
                        cudaStream_t stream) {
  a.D <= 64 ? Launch<64>(a, s, stream) : Launch<128>(a, s, stream);
}

}  // namespace caracal::kernels::cuda
