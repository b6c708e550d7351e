// Hopper version, backward by keys, any window: dk, dv and the gradient of the
// key's feature map, from the last key to the first. Everything is transposed:
// rows of products are keys, columns are queries. The rows whose windows lie
// right of a key reach it through R = sum_n alpha / den_n phi_q(n) dy_n^T and
// r = sum_n alpha / den_n phi_q(n) (dy_n . y_n):
//     dv_j = R^T phi_k(j),   dphi_k(j) = R v_j - r.
// Warpgroup 0 takes the later rows of a pair and the window's linear terms,
// warpgroup 1 the earlier rows and R.
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
  char k[kRowsBytes<DP>];
  char v[kRowsBytes<DP>];
  char q[2][kRowsBytes<DP>];
  char dy[2][kRowsBytes<DP>];
  char phi_q[kPhiBytes];  // alpha / den phi_q
  char phi_k[kPhiBytes];
  char suffix[kStateBytes<DP>];
  // dz [64, 64] of either warpgroup, then a half of dk, of dv.
  char exchange0[32 * kGroup * 4];
  char exchange1[32 * kGroup * 4];  // g in its second half; the other halves
  RowStatistics rows[2];
  float norm[kOutputs];  // r
};

template <int DP>
__global__ void __launch_bounds__(kBlock, 1)
    BackwardKeys(const __grid_constant__ Args a,
                 const __grid_constant__ HopperScratch scratch) {
  extern __shared__ __align__(1024) char memory[];
  Shared<DP>& shared = *reinterpret_cast<Shared<DP>*>(memory);
  const int head = blockIdx.x % a.H, slot = blockIdx.x / a.H;
  const Segment segment = scratch.segments[slot];
  const int kv = KvHead(a, head), D = a.D, F = a.F;
  const int terms = a.terms[segment.sequence * a.H + head];
  if (OneKeyPair(a, scratch, terms)) return;  // ..._pair_keys.cu
  const bool linear = AnyLinear(terms);
  const bool wants_dk = a.dk.data != nullptr, wants_dv = a.dv.data != nullptr;
  const bool softmax = AnySoftmax(terms) && (wants_dk || wants_dv);
  const float gamma = Gamma(a, head), alpha = Alpha(a, gamma);
  const float root = rsqrtf(static_cast<float>(D)), scale = root * kLog2e;
  const int group = Warpgroup(), member = threadIdx.x % kGroup;
  const int row = ThreadRow(), column = ThreadColumn();
  const int chunks = (segment.length + kTile - 1) / kTile;

  const KMajor keys{SharedAddress(shared.k), kPanel};
  const KMajor values{SharedAddress(shared.v), kPanel};
  const KMajor phi_k{SharedAddress(shared.phi_k), kPanel};
  const KMajor phi_q{SharedAddress(shared.phi_q), kPanel};
  const KMajor dz_rows{SharedAddress(shared.exchange0), kPanel};
  const MnMajor weight_q{SharedAddress(shared.weight_q), kWeightBytes<DP>};
  const MnMajor weight_k{SharedAddress(shared.weight_k), kWeightBytes<DP>};
  const uint32_t suffix_tile = SharedAddress(shared.suffix);
  const uint32_t q0 = SharedAddress(shared.q), dy0 = SharedAddress(shared.dy);
  constexpr int kStage = kRowsBytes<DP>;

  Stages stages;
  const auto load_rows = [&](int chunk, int stage) {
    const int count = min(segment.length - chunk * kTile, kTile);
    const int64_t at = segment.begin + chunk * kTile;
    LoadRows<DP>(q0 + stage * kStage, a.q, at, count, head, D);
    LoadRows<DP>(dy0 + stage * kStage, a.dy, at, count, head, D);
    LoadStatistics(scratch, head * a.rows + at, count, softmax,
                   shared.rows[stage]);
  };
  const auto ensure = [&](int x, int y) { Ensure(stages, x, y, load_rows); };
  const auto load_key_rows = [&](int tile) {
    LoadRows<DP>(keys.base, a.k, segment.begin + tile * kTile,
                 min(segment.length - tile * kTile, kTile), kv, D);
    CopyCommit();
  };
  const auto load_values = [&](int tile) {
    LoadRows<DP>(values.base, a.v, segment.begin + tile * kTile,
                 min(segment.length - tile * kTile, kTile), kv, D);
    CopyCommit();
  };

  float suffix[DP / 2] = {}, norm = 0;  // norm: of feature `member`
  float dweight[32] = {};               // d 64 group + ..., f
  const int last_tile = (segment.last + kTile - 1) / kTile - 1;
  load_key_rows(last_tile);
  load_values(last_tile);
  if (linear) {
    LoadWeight<DP>(weight_q.base, scratch.weight_q, head);
    LoadWeight<DP>(weight_k.base, scratch.weight_k, head);
    CopyCommit();
    const Border border(scratch, segment, slot, /*suffix=*/true);
    float unused[4] = {};
    AddBorder<DP>(scratch.suffixes, border, a.H, head, group, suffix, unused);
    for (int i = border.first; i < border.last; ++i) {
      const int64_t at = static_cast<int64_t>(i) * a.H + head;
      norm += scratch.suffixes.norm[at * kOutputs + member];
    }
    StoreState<DP>(suffix_tile, group, suffix);
    if (group == 1) shared.norm[member] = norm;
  }

  // alpha / den of a row in a stage.
  const auto row_factor = [&](int stage, int r) {
    return alpha * shared.rows[stage].inv_den[row + 8 * r];
  };
  // Lets phi_q hold a chunk's features, times alpha / den; all threads.
  int phi_chunk = -1;
  const auto need_phi_q = [&](int chunk) {
    ensure(chunk, -1);
    if (chunk == phi_chunk) return;
    __syncthreads();
    if (group == 1) {
      const int stage = stages.Find(chunk);
      float z[32], up[32], down[32];
      Pin(z);
      WgmmaFence();
      Multiply<DP>(z, KMajor{q0 + stage * kStage, kPanel}, weight_q, false);
      WgmmaCommit();
      WgmmaWait();
      Pin(z);
      Hedgehog(z, F, row_factor(stage, 0), row_factor(stage, 1), up, down);
      StorePanel(phi_q.base, up);
      StorePanel(phi_q.base + kPanel, down);
    }
    FenceShared();
    __syncthreads();
    phi_chunk = chunk;
  };
  const auto first_tile = [&](int chunk) {
    return StateEnd(a, chunk * kTile) / kTile;
  };
  // Stores a [64, DP] sum of both warpgroups.
  const auto finish = [&](const float(&x)[DP / 2], const HeadRows<bf16>& out,
                          bf16* part, int tile) {
    float half[DP / 4];
    __syncthreads();
    AddHalves(group, x, shared.exchange0, shared.exchange1, half);
    const HeadRows<bf16> to =
        part != nullptr ? HeadRows<bf16>{part, static_cast<int64_t>(a.H) * D, D}
                        : out;
    StoreRows(to, segment.begin + tile * kTile,
              min(segment.length - tile * kTile, kTile),
              part != nullptr ? head : kv, D, group * DP / 2, half);
  };

  const int first_of_segment = segment.first / kTile;
  for (int tile = last_tile; tile >= first_of_segment; --tile) {
    const int j0 = tile * kTile;
    // Chunks [tile, near_end) look at these keys one by one; later ones reach
    // them through R, and far sinks' keys one by one too.
    int near_end = tile + 1;
    while (near_end < chunks && first_tile(near_end) <= tile) ++near_end;
    const int count = (softmax && j0 < a.sinks ? chunks : near_end) - tile;
    const int rounds = !softmax ? 0 : (count + 1) / 2;
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

    // The latest of the chunks with linear terms here.
    int first_linear = -1;
    for (int i = tile; i < near_end; ++i) {
      if (is_linear(i)) first_linear = i;
    }
    if (first_linear >= 0) ensure(first_linear, -1);
    if (linear) {
      const bool make_phi_q = first_linear >= 0 && first_linear != phi_chunk;
      if (group == 0 || make_phi_q) {
        // Sinks without linear terms: as if they had no features.
        const bool drop = !(terms & kLinearNearTerms);
        const int stage = max(stages.Find(first_linear), 0);
        const float f0 = group == 1                   ? row_factor(stage, 0)
                         : drop && j0 + row < a.sinks ? 0.0f
                                                      : 1.0f;
        const float f1 = group == 1                       ? row_factor(stage, 1)
                         : drop && j0 + row + 8 < a.sinks ? 0.0f
                                                          : 1.0f;
        const uint32_t x = group == 0 ? keys.base : q0 + stage * kStage;
        const MnMajor weight = group == 0 ? weight_k : weight_q;
        float z[32], up[32], down[32];
        Pin(z);
        WgmmaFence();
        Multiply<DP>(z, KMajor{x, kPanel}, weight, false);
        WgmmaCommit();
        WgmmaWait();
        Pin(z);
        Hedgehog(z, F, f0, f1, up, down);
        const uint32_t to = group == 0 ? phi_k.base : phi_q.base;
        StorePanel(to, up);
        StorePanel(to + kPanel, down);
      }
      if (first_linear >= 0) phi_chunk = first_linear;
      FenceShared();
      __syncthreads();
    }
    // Which rows (keys) R reaches.
    const float reach[2] = {StateTerm(a, terms, j0 + row) ? 1.0f : 0.0f,
                            StateTerm(a, terms, j0 + row + 8) ? 1.0f : 0.0f};

    if (linear && group == 1) {
      // dz of R.
      if (later) {
        float dphi[kOutputs / 2], unused[2];
        Pin(dphi);
        WgmmaFence();
        Multiply<DP>(dphi, values, KMajor{suffix_tile, kOutputs * 128}, false);
        WgmmaCommit();
        WgmmaWait();
        Pin(dphi);
        HedgehogBackward(
            phi_k.base,
            [&](int i) {
              return (dphi[i] - shared.norm[i / 4 * 8 + column + i % 2]) *
                     reach[i % 4 / 2];
            },
            unused,
            [&](int b, float4 dz) { StoreFour(dz_rows.base + kPanel, b, dz); });
      } else {
#pragma unroll
        for (int b = 0; b < 8; ++b) {
          StoreFour(dz_rows.base + kPanel, b, make_float4(0, 0, 0, 0));
        }
      }
    }

    // What a chunk of rows adds to this warpgroup's sums, as operands: p and ds
    // of softmax terms, p and g = dp - delta of linear terms (alpha / den is in
    // phi_q already). All transposed: [keys, rows].
    // g lies in shared memory.
    uint32_t p[4][4] = {}, ds[4][4] = {};
    const KMajor g{SharedAddress(shared.exchange1) + kPanel, kPanel};
    const auto operands = [&](int chunk, bool of_softmax, bool of_linear) {
      const int stage = stages.Find(chunk);
      const RowStatistics& rows = shared.rows[stage];
      const TermBits bits = TermBits::OfKeys(a, terms, j0, chunk * kTile);
      float dp[32], s[32], l[32] = {};
      if (of_linear && wants_dv) {
        Pin(l);
        WgmmaFence();
        Multiply<kOutputs>(l, phi_k, phi_q, false);
        WgmmaCommit();
        WgmmaWait();
        Pin(l);
      }
      if (of_softmax) {
        Pin(dp);
        Pin(s);
        WgmmaFence();
        Multiply<DP>(dp, values, KMajor{dy0 + stage * kStage, kPanel}, false);
        Multiply<DP>(s, keys, KMajor{q0 + stage * kStage, kPanel}, false);
        WgmmaCommit();
        WgmmaWait();
        Pin(dp);
        Pin(s);
      } else {
        Pin(dp);
        WgmmaFence();
        Multiply<DP>(dp, values, KMajor{dy0 + stage * kStage, kPanel}, false);
        WgmmaCommit();
        WgmmaWait();
        Pin(dp);
      }
#pragma unroll
      for (int i = 0; i < 32; ++i) {
        const int at = i / 4 * 8 + column + i % 2;
        dp[i] -= rows.delta[at];
      }
      if (of_linear) {
        float x[32];
#pragma unroll
        for (int i = 0; i < 32; ++i) {
          x[i] = Has(bits.linear, i) ? dp[i] : 0.0f;
          l[i] = Has(bits.linear, i) ? l[i] : 0.0f;
        }
        StorePanel(g.base, x);
      }
      if (of_softmax) {
#pragma unroll
        for (int i = 0; i < 32; ++i) {
          const int at = i / 4 * 8 + column + i % 2;
          const float e = Exp2(fmaf(s[i], scale, -rows.row_max[at])) *
                          (gamma * rows.inv_den[at]);
          s[i] = Has(bits.softmax, i) ? e : 0.0f;
          dp[i] *= s[i];
          if (rows.argmax[at] == j0 + row + i % 4 / 2 * 8) {
            dp[i] += rows.dmax[at];
          }
          l[i] += s[i];
        }
        ToOperand(dp, ds);
      }
      ToOperand(l, p);
    };

    if (once && (group == 1 ? softmax : count > 1)) {
      operands(tile + 1 - group, softmax, group == 0 && first_linear >= 0);
    }
    if (linear) {
      // dphi of the window's linear terms; then dz of all.
      float dphi[kOutputs / 2] = {};
#pragma unroll 1
      for (int chunk = near_end - 1; chunk >= tile; --chunk) {
        if (!is_linear(chunk)) break;
        need_phi_q(chunk);
        if (!once && group == 0) operands(chunk, false, true);
        // g has been written.
        FenceShared();
        SyncWarpgroup(group);
        if (group == 1) continue;
        Pin(dphi);
        WgmmaFence();
        Multiply<kTile>(dphi, g, MnMajor{phi_q.base, kPanel}, true);
        WgmmaCommit();
        WgmmaWait();
        Pin(dphi);
      }
      float unused[2];
      if (group == 0) {
        HedgehogBackward(
            phi_k.base, [&](int i) { return dphi[i]; }, unused,
            [&](int b, float4 dz) { StoreFour(dz_rows.base, b, dz); });
      }
      FenceShared();
      __syncthreads();
      if (a.dweight_k != nullptr && group < DP / 64) {
        Pin(dweight);
        WgmmaFence();
        const MnMajor transposed{keys.base + group * kPanel, kPanel};
        Multiply<kTile>(dweight, transposed, MnMajor{dz_rows.base, kPanel},
                        true);
        Multiply<kTile>(dweight, transposed,
                        MnMajor{dz_rows.base + kPanel, kPanel}, true);
        WgmmaCommit();
        WgmmaWait();
        Pin(dweight);
      }
    }

    // dk, then dv, over all chunks.
    float sum[DP / 2];
    if (wants_dk) {
#pragma unroll
      for (int i = 0; i < DP / 2; ++i) sum[i] = 0;
#pragma unroll 1
      for (int round = 0; round < rounds; ++round) {
        const int u1 = 2 * round, u0 = u1 + 1;
        ensure(u0 < count ? tile + u0 : -1, tile + u1);
        const int u = group == 0 ? u0 : u1;
        if (u >= count) continue;
        if (!once) operands(tile + u, true, false);
        Pin(sum);
        WgmmaFence();
        Multiply<kTile>(sum, ds,
                        MnMajor{q0 + stages.Find(tile + u) * kStage, kPanel},
                        true);
        WgmmaCommit();
        WgmmaWait();
        Pin(sum);
      }
#pragma unroll
      for (int i = 0; i < DP / 2; ++i) sum[i] *= root;
      if (linear && group == 1) {
        Pin(sum);
        WgmmaFence();
        const KMajor weight{weight_k.base, kWeightBytes<DP>};
        Multiply<kFeatures>(sum, dz_rows, weight, true);
        Multiply<kFeatures>(sum, KMajor{dz_rows.base + kPanel, kPanel}, weight,
                            true);
        WgmmaCommit();
        WgmmaWait();
        Pin(sum);
      }
      finish(sum, a.dk, scratch.dk, tile);
      // Its halves lie where g will: what follows need not be a barrier.
      if (linear && wants_dv && !once) __syncthreads();
    }
    if (wants_dv) {
#pragma unroll
      for (int i = 0; i < DP / 2; ++i) sum[i] = 0;
      if (later && group == 1) {
        Pin(sum);
        WgmmaFence();
        Multiply<kOutputs>(sum, phi_k, MnMajor{suffix_tile, kOutputs * 128},
                           true);
        WgmmaCommit();
        WgmmaWait();
        Pin(sum);
#pragma unroll
        for (int i = 0; i < DP / 2; ++i) sum[i] *= reach[i % 4 / 2];
      }
      // Softmax terms of pairs of chunks; then, unless they are in the same
      // operands, linear terms.
      const int softmax_items = once ? 1 : rounds;
      const int items = softmax_items + (once ? 0 : near_end - tile);
#pragma unroll 1
      for (int item = 0; item < items; ++item) {
        int chunk = tile + 2 * item + 1 - group;
        bool active =
            once ? (group == 1 ? softmax : count > 1) : chunk < tile + count;
        if (item < softmax_items) {
          if (!once) {
            const int u1 = tile + 2 * item;
            ensure(u1 + 1 < tile + count ? u1 + 1 : -1, u1);
          }
        } else {
          chunk = tile + item - softmax_items;
          if (!is_linear(chunk)) continue;
          need_phi_q(chunk);
          active = group == 0;
        }
        if (!active) continue;
        if (!once) {
          operands(chunk, item < softmax_items, item >= softmax_items);
        }
        Pin(sum);
        WgmmaFence();
        Multiply<kTile>(
            sum, p, MnMajor{dy0 + stages.Find(chunk) * kStage, kPanel}, true);
        WgmmaCommit();
        WgmmaWait();
        Pin(sum);
      }
      finish(sum, a.dv, scratch.dv, tile);
    }

    if (tile == first_of_segment) continue;
    __syncthreads();
    load_key_rows(tile - 1);
    load_values(tile - 1);
    // Rows whose windows lie right of the next keys join R.
    bool changed = false;
#pragma unroll 1
    for (int chunk = near_end - 1; linear && chunk >= tile; --chunk) {
      if (first_tile(chunk) != tile) break;
      need_phi_q(chunk);
      changed = true;
      const int stage = stages.Find(chunk);
      Pin(suffix);
      WgmmaFence();
      Multiply<kTile>(suffix, MnMajor{phi_q.base + group * kPanel, kPanel},
                      MnMajor{dy0 + stage * kStage, kPanel}, true);
      WgmmaCommit();
      if (group == 1) {
#pragma unroll 8
        for (int i = 0; i < kTile; ++i) {
          norm += __bfloat162float(*reinterpret_cast<const bf16*>(
                      shared.phi_q + TileOffset(kPanel, i, member))) *
                  shared.rows[stage].delta[i];
        }
      }
      WgmmaWait();
      Pin(suffix);
    }
    if (changed) {
      StoreState<DP>(suffix_tile, group, suffix);
      if (group == 1) shared.norm[member] = norm;
    }
  }

  if (a.dweight_k != nullptr && group < DP / 64) {
    const int64_t part = static_cast<int64_t>(slot) * a.H + head;
    StoreWeightPart(scratch.dweight_k + part * DP * kFeatures, group, dweight);
  }
}

template <int DP>
void Launch(const Args& a, const HopperScratch& s, cudaStream_t stream) {
  CARACAL_LAUNCHER_CHECK(cudaFuncSetAttribute(
      BackwardKeys<DP>, cudaFuncAttributeMaxDynamicSharedMemorySize,
      sizeof(Shared<DP>)));
  BackwardKeys<DP><<<s.count * a.H, kBlock, sizeof(Shared<DP>), stream>>>(a, s);
  CARACAL_CUDA_CHECK_LAUNCH();
}

}  // namespace

void HopperBackwardKeyOthers(const Args& a, const HopperScratch& s,
                             cudaStream_t stream) {
  a.D <= 64 ? Launch<64>(a, s, stream) : Launch<128>(a, s, stream);
}

}  // namespace caracal::kernels::cuda
