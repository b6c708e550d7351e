// Hopper version, backward by keys: dk, dv and the gradient of the key's
// feature map, from the last key to the first. Everything is transposed: rows
// of products are keys, columns are queries. The rows whose windows lie right
// of a key reach it through R = sum_n alpha / den_n phi_q(n) dy_n^T and
// r = sum_n alpha / den_n phi_q(n) (dy_n . y_n):
//     dv_j = R^T phi_k(j),   dphi_k(j) = R v_j - r.
// Warpgroup 0 takes the later rows of a pair and the window's linear terms,
// warpgroup 1 the earlier rows and R.
#include "kernels/common/cuda_check.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_hopper_kernels.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_tiles.h"

namespace caracal::kernels::cuda {
namespace {

// Of the 64 rows in a stage; zeros beyond the sequence.
struct RowStatistics {
  float row_max[kTile], inv_den[kTile], delta[kTile], dmax[kTile];
  int argmax[kTile];
};

template <int DP>
struct Shared {
  char weight_q[kWeightBytes<DP>];
  char weight_k[kWeightBytes<DP>];
  char k[kRowsBytes<DP>];
  char v[kRowsBytes<DP>];
  char q[2][kRowsBytes<DP>];
  char dy[2][kRowsBytes<DP>];
  char phi_q[kPhiBytes];  // alpha / den phi_q
  char phi_k[kPhiBytes];
  char suffix[kStateBytes<DP>];
  char exchange0[32 * kGroup * 4];  // dz of R, then a half of dk, of dv
  char exchange1[32 * kGroup * 4];  // dz [64, 64], then the other halves
  RowStatistics rows[2];
  float norm[kOutputs];  // r
};

template <int DP>
__global__ void __launch_bounds__(kBlock, 1)
    BackwardKeys(const __grid_constant__ Args a, HopperScratch scratch) {
  extern __shared__ __align__(1024) char memory[];
  Shared<DP>& shared = *reinterpret_cast<Shared<DP>*>(memory);
  const int head = blockIdx.x % a.H, slot = blockIdx.x / a.H;
  const Segment segment = scratch.segments[slot];
  const int kv = KvHead(a, head), D = a.D, F = a.F;
  const int terms = a.terms[segment.sequence * a.H + head];
  const bool linear = AnyLinear(terms);
  const bool wants_dk = a.dk.data != nullptr, wants_dv = a.dv.data != nullptr;
  const bool softmax = AnySoftmax(terms) && (wants_dk || wants_dv);
  const float gamma = Gamma(a, head), alpha = Alpha(a, gamma);
  const float root = rsqrtf(static_cast<float>(D)), scale = root * kLog2e;
  const int group = threadIdx.x / kGroup, member = threadIdx.x % kGroup;
  const int row = ThreadRow(), column = ThreadColumn();
  const int chunks = (segment.length + kTile - 1) / kTile;

  const KMajor keys{SharedAddress(shared.k), kPanel};
  const KMajor values{SharedAddress(shared.v), kPanel};
  const KMajor phi_k{SharedAddress(shared.phi_k), kPanel};
  const KMajor phi_q{SharedAddress(shared.phi_q), kPanel};
  const uint32_t q0 = SharedAddress(shared.q), dy0 = SharedAddress(shared.dy);
  constexpr int kStage = kRowsBytes<DP>;

  Stages stages;
  const auto load_rows = [&](int chunk, int stage) {
    const int count = min(segment.length - chunk * kTile, kTile);
    const int64_t at = segment.begin + chunk * kTile;
    LoadRows<DP>(q0 + stage * kStage, a.q, at, count, head, D);
    LoadRows<DP>(dy0 + stage * kStage, a.dy, at, count, head, D);
    if (threadIdx.x < kTile) {
      const int i = threadIdx.x;
      const bool valid = i < count;
      const int64_t from = head * a.rows + at + i;
      RowStatistics& rows = shared.rows[stage];
      rows.row_max[i] = valid ? scratch.row_max[from] : 0;
      rows.inv_den[i] = valid ? scratch.inv_den[from] : 0;
      rows.delta[i] = valid ? scratch.delta[from] : 0;
      rows.dmax[i] = valid ? scratch.dmax[from] : 0;
      rows.argmax[i] = valid ? scratch.argmax[from] : -1;
    }
  };
  // Brings the chunks of rows (-1: none) to shared memory, unless there.
  const auto ensure = [&](int x, int y) {
    const bool need_x = x >= 0 && stages.Find(x) < 0;
    const bool need_y = y >= 0 && stages.Find(y) < 0;
    if (!need_x && !need_y) return;
    __syncthreads();
    if (need_x) load_rows(x, stages.Replace(x, x, y < 0 ? x : y));
    if (need_y) load_rows(y, stages.Replace(y, x < 0 ? y : x, y));
    CopyCommit();
    CopyWait();
    FenceShared();
    __syncthreads();
  };
  const auto load_keys = [&](int tile) {
    const int count = min(segment.length - tile * kTile, kTile);
    const int64_t at = segment.begin + tile * kTile;
    LoadRows<DP>(keys.base, a.k, at, count, kv, D);
    LoadRows<DP>(values.base, a.v, at, count, kv, D);
    CopyCommit();
  };

  float suffix[DP / 2] = {}, norm = 0;  // norm: of feature `member`
  float dweight[32] = {};               // d 64 group + ..., f
  const int last_tile = (segment.last + kTile - 1) / kTile - 1;
  load_keys(last_tile);
  if (linear) {
    LoadWeight<DP>(shared.weight_q, a.weight_q + head * a.D * a.F, a);
    LoadWeight<DP>(shared.weight_k, a.weight_k + head * a.D * a.F, a);
    if (segment.last < segment.length) {
      const int64_t at = static_cast<int64_t>(slot) * a.H + head;
      float unused[4];
      LoadState<DP>(scratch.suffix, scratch.suffix_norm, at, group, suffix,
                    unused);
      norm = scratch.suffix_norm[at * kOutputs + member];
    }
    StoreState<DP>(shared.suffix, group, suffix);
    if (group == 0) shared.norm[member] = norm;
  }

  // alpha / den phi_q of a chunk, by one warpgroup.
  const auto make_phi_q = [&](int chunk) {
    const int stage = stages.Find(chunk);
    float z[32], up[32], down[32];
    Pin(z);
    WgmmaFence();
    Multiply<DP>(z, KMajor{q0 + stage * kStage, kPanel},
                 MnMajor{SharedAddress(shared.weight_q), kWeightBytes<DP>},
                 false);
    WgmmaCommit();
    WgmmaWait();
    Pin(z);
    Hedgehog(z, F, up, down);
    const float f0 = alpha * shared.rows[stage].inv_den[row];
    const float f1 = alpha * shared.rows[stage].inv_den[row + 8];
    StorePanel(shared.phi_q, up, f0, f1);
    StorePanel(shared.phi_q + kPanel, down, f0, f1);
  };
  int phi_chunk = -1;
  const auto need_phi_q = [&](int chunk) {
    ensure(chunk, -1);
    if (chunk == phi_chunk) return;
    __syncthreads();
    if (group == 1) make_phi_q(chunk);
    FenceShared();
    __syncthreads();
    phi_chunk = chunk;
  };
  const auto first_tile = [&](int chunk) {
    return StateEnd(a, chunk * kTile) / kTile;
  };
  // Adds this thread's rows of a [64, DP] sum of both warpgroups to global
  // memory.
  const auto finish = [&](float(&x)[DP / 2], const HeadRows<bf16>& out,
                          bf16* part, int tile) {
    float* give = reinterpret_cast<float*>(group == 0 ? shared.exchange0
                                                      : shared.exchange1);
    float* take = reinterpret_cast<float*>(group == 0 ? shared.exchange1
                                                      : shared.exchange0);
    float half[DP / 4];
    __syncthreads();
#pragma unroll
    for (int i = 0; i < DP / 4; ++i) {
      give[i * kGroup + member] = group == 0 ? x[DP / 4 + i] : x[i];
      half[i] = group == 0 ? x[i] : x[DP / 4 + i];
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < DP / 4; ++i) half[i] += take[i * kGroup + member];
    const HeadRows<bf16> to =
        part != nullptr ? HeadRows<bf16>{part, a.H * a.D, a.D} : out;
    StoreRows(to, segment.begin + tile * kTile,
              min(segment.length - tile * kTile, kTile),
              part != nullptr ? head : kv, D, group * DP / 2, half);
  };

  for (int tile = last_tile; tile >= segment.first / kTile; --tile) {
    const int j0 = tile * kTile;
    // Chunks [tile, near_end) look at these keys one by one; later ones reach
    // them through R, and far sinks' keys one by one too.
    int near_end = tile + 1;
    while (near_end < chunks && first_tile(near_end) <= tile) ++near_end;
    const int count = (softmax && j0 < a.sinks ? chunks : near_end) - tile;
    const int rounds = softmax ? (count + 1) / 2 : 0;
    const bool later = linear && near_end < chunks;
    const auto is_linear = [&](int chunk) {
      return linear && TileList(a, terms, chunk * kTile).linear_end > tile;
    };
    // Nothing has to be computed twice if there is one pair of chunks, and only
    // warpgroup 0's has linear terms here.
    const bool once = rounds <= 1 && near_end - tile <= 2 && !is_linear(tile);
    ensure(tile + 1 < chunks && count > 1 ? tile + 1 : -1, tile);
    CopyWait();
    FenceShared();
    __syncthreads();

    int first_linear = -1;  // the latest
    for (int i = tile; i < near_end; ++i) {
      if (is_linear(i)) first_linear = i;
    }
    if (linear) {
      if (first_linear >= 0) ensure(first_linear, -1);
      if (group == 0) {
        float z[32], up[32], down[32];
        Pin(z);
        WgmmaFence();
        Multiply<DP>(z, keys,
                     MnMajor{SharedAddress(shared.weight_k), kWeightBytes<DP>},
                     false);
        WgmmaCommit();
        WgmmaWait();
        Pin(z);
        Hedgehog(z, F, up, down);
        // Sinks without linear terms: as if they had no features.
        const bool drop = !(terms & kLinearNearTerms);
        const float f0 = drop && j0 + row < a.sinks ? 0.0f : 1.0f;
        const float f1 = drop && j0 + row + 8 < a.sinks ? 0.0f : 1.0f;
        StorePanel(shared.phi_k, up, f0, f1);
        StorePanel(shared.phi_k + kPanel, down, f0, f1);
      } else if (first_linear >= 0 && first_linear != phi_chunk) {
        make_phi_q(first_linear);
      }
      if (first_linear >= 0) phi_chunk = first_linear;
      FenceShared();
      __syncthreads();
    }
    // Which rows (keys) R reaches.
    const float reach[2] = {StateTerm(a, terms, j0 + row) ? 1.0f : 0.0f,
                            StateTerm(a, terms, j0 + row + 8) ? 1.0f : 0.0f};

    // dz of R.
    float dz[32] = {};
    if (later && group == 1) {
      float dphi[kOutputs / 2];
      Pin(dphi);
      WgmmaFence();
      Multiply<DP>(dphi, values,
                   KMajor{SharedAddress(shared.suffix), kOutputs * 128}, false);
      WgmmaCommit();
      WgmmaWait();
      Pin(dphi);
#pragma unroll
      for (int i = 0; i < kOutputs / 2; ++i) {
        dphi[i] = (dphi[i] - shared.norm[i / 4 * 8 + column + i % 2]) *
                  reach[i % 4 / 2];
      }
      float unused[2];
      HedgehogBackward(shared.phi_k, dphi, dz, unused);
    }
    if (linear && group == 1) {
      float* give = reinterpret_cast<float*>(shared.exchange0);
#pragma unroll
      for (int i = 0; i < 32; ++i) give[i * kGroup + member] = dz[i];
    }

    uint32_t p[4][4] = {}, ds[4][4] = {};
    // dp = V dy^T, [keys, rows].
    const auto value_products = [&](int chunk, float(&dp)[32]) {
      Pin(dp);
      WgmmaFence();
      Multiply<DP>(dp, values,
                   KMajor{dy0 + stages.Find(chunk) * kStage, kPanel}, false);
      WgmmaCommit();
      WgmmaWait();
      Pin(dp);
    };
    // l = linear weights, [keys, rows].
    const auto linear_weights = [&](int chunk, float(&l)[32]) {
      Pin(l);
      WgmmaFence();
      Multiply<kOutputs>(l, phi_k, phi_q, false);
      WgmmaCommit();
      WgmmaWait();
      Pin(l);
#pragma unroll
      for (int i = 0; i < 32; ++i) {
        const int n = chunk * kTile + i / 4 * 8 + column + i % 2;
        const int j = j0 + row + i % 4 / 2 * 8;
        if (j > n || !LinearTerm(a, terms, Start(a, n), j)) l[i] = 0;
      }
    };
    // g = (dp - delta) of the linear terms, as an operand.
    const auto linear_gradients = [&](int chunk, const float(&dp)[32],
                                      uint32_t(&operand)[4][4]) {
      const RowStatistics& rows = shared.rows[stages.Find(chunk)];
      float g[32];
#pragma unroll
      for (int i = 0; i < 32; ++i) {
        const int x = i / 4 * 8 + column + i % 2, n = chunk * kTile + x;
        const int j = j0 + row + i % 4 / 2 * 8;
        const bool kept = j <= n && LinearTerm(a, terms, Start(a, n), j);
        g[i] = kept ? dp[i] - rows.delta[x] : 0.0f;
      }
      ToOperand(g, operand);
    };
    // Fills p and ds of the softmax terms; with `l`, p takes it in.
    const auto softmax_gradients = [&](int chunk, const float(&dp)[32],
                                       const float* l) {
      const int stage = stages.Find(chunk);
      const RowStatistics& rows = shared.rows[stage];
      float s[32], x[32];
      Pin(s);
      WgmmaFence();
      Multiply<DP>(s, keys, KMajor{q0 + stage * kStage, kPanel}, false);
      WgmmaCommit();
      WgmmaWait();
      Pin(s);
#pragma unroll
      for (int i = 0; i < 32; ++i) {
        const int at = i / 4 * 8 + column + i % 2, n = chunk * kTile + at;
        const int j = j0 + row + i % 4 / 2 * 8;
        const bool kept = j <= n && SoftmaxTerm(a, terms, Start(a, n), j);
        const float e = kept ? gamma * rows.inv_den[at] *
                                   exp2f(s[i] * scale - rows.row_max[at])
                             : 0.0f;
        s[i] = e;
        x[i] = e * (dp[i] - rows.delta[at]) +
               (j == rows.argmax[at] ? rows.dmax[at] : 0.0f);
      }
      ToOperand(x, ds);
      if (l != nullptr) {
#pragma unroll
        for (int i = 0; i < 32; ++i) s[i] += l[i];
      }
      ToOperand(s, p);
    };

    // dphi of the window's linear terms; when nothing is computed twice, all
    // operands.
    if (once) {
      const int chunk = group == 0 ? tile + 1 : tile;
      const bool active = group == 1 ? softmax : count > 1;
      float dp[32], l[32] = {};
      uint32_t g[4][4];
      if (active) {
        value_products(chunk, dp);
        if (group == 0 && first_linear >= 0) {
          linear_gradients(chunk, dp, g);
          if (wants_dv) linear_weights(chunk, l);
        }
        if (softmax) {
          softmax_gradients(chunk, dp, l);
        } else if (wants_dv) {
          ToOperand(l, p);
        }
      }
      if (group == 0 && first_linear >= 0) {
        float dphi[kOutputs / 2];
        Pin(dphi);
        WgmmaFence();
        Multiply<kTile>(dphi, g, MnMajor{phi_q.base, kPanel}, false);
        WgmmaCommit();
        WgmmaWait();
        Pin(dphi);
        float unused[2];
        HedgehogBackward(shared.phi_k, dphi, dz, unused);
      }
    } else if (linear) {
      float dphi[kOutputs / 2] = {};
      for (int chunk = near_end - 1; chunk >= tile; --chunk) {
        if (!is_linear(chunk)) continue;
        need_phi_q(chunk);
        if (group == 1) continue;
        float dp[32];
        uint32_t g[4][4];
        value_products(chunk, dp);
        linear_gradients(chunk, dp, g);
        Pin(dphi);
        WgmmaFence();
        Multiply<kTile>(dphi, g, MnMajor{phi_q.base, kPanel}, true);
        WgmmaCommit();
        WgmmaWait();
        Pin(dphi);
      }
      float unused[2];
      if (group == 0) HedgehogBackward(shared.phi_k, dphi, dz, unused);
    }
    if (linear) {
      __syncthreads();
      if (group == 0) {
        const float* take = reinterpret_cast<const float*>(shared.exchange0);
#pragma unroll
        for (int i = 0; i < 32; ++i) dz[i] += take[i * kGroup + member];
        StorePanel(shared.exchange1, dz);
      }
      FenceShared();
      __syncthreads();
      const MnMajor dz_rows{SharedAddress(shared.exchange1), kPanel};
      if (a.dweight_k != nullptr && group < DP / 64) {
        Pin(dweight);
        WgmmaFence();
        Multiply<kTile>(dweight, MnMajor{keys.base + group * kPanel, kPanel},
                        dz_rows, true);
        WgmmaCommit();
        WgmmaWait();
        Pin(dweight);
      }
    }

    if (wants_dk) {
      float dk[DP / 2] = {};
      for (int round = 0; round < rounds; ++round) {
        const int u1 = 2 * round, u0 = u1 + 1;
        if (!once) ensure(u0 < count ? tile + u0 : -1, tile + u1);
        const int u = group == 0 ? u0 : u1;
        if (u >= count) continue;
        if (!once) {
          float dp[32];
          value_products(tile + u, dp);
          softmax_gradients(tile + u, dp, nullptr);
        }
        Pin(dk);
        WgmmaFence();
        Multiply<kTile>(
            dk, ds, MnMajor{q0 + stages.Find(tile + u) * kStage, kPanel}, true);
        WgmmaCommit();
        WgmmaWait();
        Pin(dk);
      }
#pragma unroll
      for (int i = 0; i < DP / 2; ++i) dk[i] *= root;
      if (linear && group == 1) {
        Pin(dk);
        WgmmaFence();
        Multiply<kFeatures>(
            dk, KMajor{SharedAddress(shared.exchange1), kPanel},
            KMajor{SharedAddress(shared.weight_k), kWeightBytes<DP>}, true);
        WgmmaCommit();
        WgmmaWait();
        Pin(dk);
      }
      finish(dk, a.dk, scratch.dk, tile);
    }

    if (wants_dv) {
      float dv[DP / 2] = {};
      if (later && group == 1) {
        Pin(dv);
        WgmmaFence();
        Multiply<kOutputs>(
            dv, phi_k, MnMajor{SharedAddress(shared.suffix), kOutputs * 128},
            true);
        WgmmaCommit();
        WgmmaWait();
        Pin(dv);
#pragma unroll
        for (int i = 0; i < DP / 2; ++i) dv[i] *= reach[i % 4 / 2];
      }
      const auto add = [&](int chunk) {
        Pin(dv);
        WgmmaFence();
        Multiply<kTile>(
            dv, p, MnMajor{dy0 + stages.Find(chunk) * kStage, kPanel}, true);
        WgmmaCommit();
        WgmmaWait();
        Pin(dv);
      };
      if (once) {
        if (group == 1 ? softmax : count > 1) add(tile + 1 - group);
      } else {
        for (int round = 0; round < rounds; ++round) {
          const int u1 = 2 * round, u0 = u1 + 1;
          ensure(u0 < count ? tile + u0 : -1, tile + u1);
          const int u = group == 0 ? u0 : u1;
          if (u >= count) continue;
          float dp[32] = {};
          softmax_gradients(tile + u, dp, nullptr);
          add(tile + u);
        }
        for (int chunk = near_end - 1; chunk >= tile; --chunk) {
          if (!is_linear(chunk)) continue;
          need_phi_q(chunk);
          if (group == 1) continue;
          float l[32];
          linear_weights(chunk, l);
          ToOperand(l, p);
          add(chunk);
        }
      }
      finish(dv, a.dv, scratch.dv, tile);
    }

    if (tile == segment.first / kTile) continue;
    __syncthreads();
    load_keys(tile - 1);
    // Rows whose windows lie right of the next keys join R.
    if (!linear) continue;
    bool changed = false;
    for (int chunk = near_end - 1; chunk >= tile; --chunk) {
      if (first_tile(chunk) != tile) break;
      need_phi_q(chunk);
      changed = true;
      const int stage = stages.Find(chunk);
      if (group == 0) {
        for (int i = 0; i < kTile; ++i) {
          norm += __bfloat162float(*reinterpret_cast<const bf16*>(
                      shared.phi_q + TileOffset(kPanel, i, member))) *
                  shared.rows[stage].delta[i];
        }
      }
      Pin(suffix);
      WgmmaFence();
      Multiply<kTile>(suffix, MnMajor{phi_q.base + group * kPanel, kPanel},
                      MnMajor{dy0 + stage * kStage, kPanel}, true);
      WgmmaCommit();
      WgmmaWait();
      Pin(suffix);
    }
    if (changed) {
      StoreState<DP>(shared.suffix, group, suffix);
      if (group == 0) shared.norm[member] = norm;
    }
  }

  if (a.dweight_k != nullptr && group < DP / 64) {
    const int64_t part = static_cast<int64_t>(slot) * a.H + head;
    StoreWeightPart(scratch.dweight_k + part * DP * kFeatures, group, dweight);
  }
}

template <int DP>
void Launch(const Args& a, const HopperScratch& s, cudaStream_t stream) {
  CARACAL_CUDA_CHECK(cudaFuncSetAttribute(
      BackwardKeys<DP>, cudaFuncAttributeMaxDynamicSharedMemorySize,
      sizeof(Shared<DP>)));
  BackwardKeys<DP><<<s.count * a.H, kBlock, sizeof(Shared<DP>), stream>>>(a, s);
  CARACAL_CUDA_CHECK_LAUNCH();
}

}  // namespace

void HopperBackwardKeys(const Args& a, const HopperScratch& s,
                        cudaStream_t stream) {
  a.D <= 64 ? Launch<64>(a, s, stream) : Launch<128>(a, s, stream);
}

}  // namespace caracal::kernels::cuda
