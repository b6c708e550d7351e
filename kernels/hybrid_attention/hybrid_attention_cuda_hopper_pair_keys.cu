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
//  2 has the softmax terms, dk and dv. It has nothing to do if neither is asked
//    for.
// Rows are counted in tiles from the one after the segment: number i is the
// later one of the i-th tile of keys (from the end), number i + 1 its own.
#include "kernels/common/cuda_check.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_hopper_kernels.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_pair.h"

namespace caracal::kernels::cuda {
namespace {

constexpr int kRowStages = 2;
constexpr int kDeltaPanel = 8 * 128;  // [8, 64]: the first rows add up to delta

// What the softmax terms need of 64 rows.
struct RowTerms {
  float shift[kTile];  // p = 2^(s scale - shift)
  float delta[kTile], dmax[kTile];
  int argmax[kTile];
};

template <int DP>
struct Shared {
  char weight_q[kWeightBytes<DP>];
  char weight_k[kWeightBytes<DP>];
  char k[kRowsBytes<DP>];
  char v[kRowsBytes<DP>];
  char q[kRowStages][kRowsBytes<DP>];
  char dy[kRowStages][kRowsBytes<DP>];
  char phi_q[kPhiBytes];  // times alpha / den
  char phi_k[kPhiBytes];
  char suffix[kStateBytes<DP>];
  char dz[kPanel];
  char linear[kPanel];  // weights of the later rows [keys, rows]
  char deltas[kDeltaPanel];
  RowTerms rows[kRowStages];
  float delta[kTile];  // of the later rows
  float norm[kOutputs];
  Barrier q_full[kRowStages], q_empty[kRowStages];
  Barrier dy_full[kRowStages], dy_empty[kRowStages];
  Barrier k_full, k_empty, v_full, v_empty;
  Barrier phi_full, phi_empty;        // phi_q, deltas, delta
  Barrier suffix_full, suffix_empty;  // suffix, norm
  Barrier linear_full, linear_empty;  // phi_k, dz, linear
};

struct Jobs {
  bool linear, softmax;
  __device__ __forceinline__ Jobs(const Args& a, const PairBlock& b)
      : linear(b.linear),
        softmax(a.dk.data != nullptr || a.dv.data != nullptr) {}
};

// The i-th tile of keys, and rows counted as above.
__device__ __forceinline__ int KeyTile(const PairBlock& b, int i) {
  return b.first_tile + b.count - 1 - i;
}
__device__ __forceinline__ int RowTile(const PairBlock& b, int number) {
  return b.first_tile + b.count - number;
}

template <int DP>
__device__ __forceinline__ void InitBarriers(Shared<DP>& shared,
                                             const Jobs& jobs) {
  const int linear = jobs.linear ? kWarps : 0;
  const int softmax = jobs.softmax ? kWarps : 0;
  for (int i = 0; i < kRowStages; ++i) {
    shared.q_full[i].Init(1);
    shared.dy_full[i].Init(1);
    shared.q_empty[i].Init(linear + softmax);
    shared.dy_empty[i].Init(2 * linear + softmax);
  }
  shared.k_full.Init(1);
  shared.v_full.Init(1);
  shared.k_empty.Init(linear + softmax);
  shared.v_empty.Init(linear + softmax);
  shared.phi_full.Init(kGroup);
  shared.phi_empty.Init(2 * kWarps);
  shared.suffix_full.Init(kGroup);
  shared.suffix_empty.Init(kWarps + softmax);
  shared.linear_full.Init(kGroup);
  shared.linear_empty.Init(kWarps);
  FenceBarriers();
}

// One thread each.
template <int DP>
__device__ __forceinline__ void FetchRows(Shared<DP>& shared,
                                          const PairMaps& maps,
                                          const PairBlock& b, int number) {
  if (number > b.count) return;
  const int stage = number % kRowStages, use = number / kRowStages;
  const int tile = RowTile(b, number) - b.first_tile + 1;
  if (use > 0) shared.q_empty[stage].Wait(use - 1);
  FetchTile<DP>(maps.q, b, b.head, tile, shared.q[stage], shared.q_full[stage]);
  if (use > 0) shared.dy_empty[stage].Wait(use - 1);
  FetchTile<DP>(maps.dy, b, b.head, tile, shared.dy[stage],
                shared.dy_full[stage]);
}
template <int DP>
__device__ __forceinline__ void FetchKeys(Shared<DP>& shared,
                                          const PairMaps& maps,
                                          const PairBlock& b, int i) {
  if (i >= b.count) return;
  const int tile = KeyTile(b, i) - b.first_tile + 1;
  if (i > 0) shared.k_empty.Wait(i - 1);
  FetchTile<DP>(maps.k, b, b.kv, tile, shared.k, shared.k_full);
  if (i > 0) shared.v_empty.Wait(i - 1);
  FetchTile<DP>(maps.v, b, b.kv, tile, shared.v, shared.v_full);
}

template <int DP>
__device__ __forceinline__ void SuffixJob(Shared<DP>& shared,
                                          const HopperScratch& scratch,
                                          const Args& a, const PairBlock& b) {
  float low[DP / 2] = {}, high[DP / 2] = {};  // features 0 to 63, 64 to 127
  // Columns 0 and 1 add up to r; column 0 begins with what comes from later
  // segments.
  float norm_low[4] = {}, norm_high[4] = {};
  const int column = ThreadColumn();
  if (b.segment.last < b.segment.length) {
    const int64_t at = static_cast<int64_t>(b.slot) * a.H + b.head;
    LoadState<DP>(scratch.suffix, scratch.suffix_norm, at, 0, low, norm_low);
    LoadState<DP>(scratch.suffix, scratch.suffix_norm, at, 1, high, norm_high);
  }
#pragma unroll
  for (int x = 0; x < 4; ++x) {
    if (column != 0 || x % 2 != 0) norm_low[x] = norm_high[x] = 0;
  }
  const uint32_t tile = SharedAddress(shared.suffix);
  const uint32_t phi = SharedAddress(shared.phi_q);
  const KMajor deltas{SharedAddress(shared.deltas), kDeltaPanel};
#pragma unroll 1
  for (int i = 0; i < b.count; ++i) {
    if (i > 0) shared.suffix_empty.Wait(i - 1);
    StoreState<DP>(tile, 0, low);
    StoreState<DP>(tile, 1, high);
    if (column == 0) {
      const int f = ThreadRow();
      shared.norm[f] = norm_low[0] + norm_low[1];
      shared.norm[f + 8] = norm_low[2] + norm_low[3];
      shared.norm[64 + f] = norm_high[0] + norm_high[1];
      shared.norm[64 + f + 8] = norm_high[2] + norm_high[3];
    }
    FenceShared();
    shared.suffix_full.Arrive();
    if (i + 1 == b.count) break;
    const int stage = i % kRowStages;
    shared.phi_full.Wait(i);
    shared.dy_full[stage].Wait(i / kRowStages);
    const MnMajor dy{SharedAddress(shared.dy[stage]), kPanel};
    Pin(low);
    Pin(high);
    Pin(norm_low);
    Pin(norm_high);
    WgmmaFence();
    Multiply<kTile>(low, MnMajor{phi, kPanel}, dy, true);
    Multiply<kTile>(high, MnMajor{phi + kPanel, kPanel}, dy, true);
    Multiply<kTile>(norm_low, MnMajor{phi, kPanel}, deltas, true);
    Multiply<kTile>(norm_high, MnMajor{phi + kPanel, kPanel}, deltas, true);
    WgmmaCommit();
    WgmmaWait();
    Pin(low);
    Pin(high);
    Pin(norm_low);
    Pin(norm_high);
    ArriveWarp(shared.phi_empty);
    ArriveWarp(shared.dy_empty[stage]);
  }
}

template <int DP>
__device__ __forceinline__ void LinearJob(Shared<DP>& shared, const Args& a,
                                          const HopperScratch& scratch,
                                          const PairMaps& maps,
                                          const PairBlock& b,
                                          const Jobs& jobs) {
  const bool leads = threadIdx.x % kGroup == 0;
  const int member = threadIdx.x % kGroup;
  const int row = ThreadRow(), column = ThreadColumn();
  const float alpha = Alpha(a, Gamma(a, b.head));
  const KMajor values{SharedAddress(shared.v), kPanel};
  const uint32_t phi_q = SharedAddress(shared.phi_q);
  uint32_t bits = 0;  // of the linear terms
#pragma unroll 1
  for (int i = 0; i < b.count; ++i) {
    const int tile = KeyTile(b, i), stage = i % kRowStages;
    const int n0 = RowTile(b, i) * kTile;
    const int rows = min(b.segment.length - n0, kTile);  // may be 0 or less
    const int64_t from = b.head * a.rows + b.segment.begin + n0;
    if (i == 0 || tile == 0) {
      bits = TermBits::OfKeys(a, b.terms, tile * kTile, n0).linear;
    }

    // Features of the later rows.
    {
      const float f0 = row < rows ? alpha * scratch.inv_den[from + row] : 0;
      const float f1 =
          row + 8 < rows ? alpha * scratch.inv_den[from + row + 8] : 0;
      const float delta =
          member < rows && member < kTile ? scratch.delta[from + member] : 0;
      float z[32], up[32], down[32];
      shared.q_full[stage].Wait(i / kRowStages);
      Pin(z);
      WgmmaFence();
      Multiply<DP>(z, KMajor{SharedAddress(shared.q[stage]), kPanel},
                   MnMajor{SharedAddress(shared.weight_q), kWeightBytes<DP>},
                   false);
      WgmmaCommit();
      WgmmaWait();
      Pin(z);
      ArriveWarp(shared.q_empty[stage]);
      Hedgehog<true>(z, a.F, f0, f1, up, down);
      if (i > 0) shared.phi_empty.Wait(i - 1);
      StorePanel(phi_q, up);
      StorePanel(phi_q + kPanel, down);
      if (member < kTile) {
        shared.delta[member] = delta;
        const bf16 high = __float2bfloat16(delta);
        *reinterpret_cast<bf16*>(shared.deltas +
                                 TileOffset(kDeltaPanel, 0, member)) = high;
        *reinterpret_cast<bf16*>(shared.deltas +
                                 TileOffset(kDeltaPanel, 1, member)) =
            __float2bfloat16(delta - __bfloat162float(high));
      }
      FenceShared();
      shared.phi_full.Arrive();
    }

    // Features of the keys.
    uint32_t phi_k[8][4];
    {
      float z[32], up[32], down[32];
      shared.k_full.Wait(i);
      Pin(z);
      WgmmaFence();
      Multiply<DP>(z, KMajor{SharedAddress(shared.k), kPanel},
                   MnMajor{SharedAddress(shared.weight_k), kWeightBytes<DP>},
                   false);
      WgmmaCommit();
      WgmmaWait();
      Pin(z);
      ArriveWarp(shared.k_empty);
      const int key = tile * kTile + row;
      Hedgehog<true>(z, a.F, KeyFactor(a, b.terms, key),
                     KeyFactor(a, b.terms, key + 8), up, down);
      if (jobs.softmax) {
        if (i > 0) shared.linear_empty.Wait(i - 1);
        StorePanel(SharedAddress(shared.phi_k), up);
        StorePanel(SharedAddress(shared.phi_k) + kPanel, down);
      }
      ToOperand(up, reinterpret_cast<uint32_t(&)[4][4]>(phi_k[0]));
      ToOperand(down, reinterpret_cast<uint32_t(&)[4][4]>(phi_k[4]));
    }

    // The later rows' linear weights, and g = dp - delta of these (alpha / den
    // is in phi_q already).
    shared.phi_full.Wait(i);
    if (jobs.softmax) {
      float l[32];
      Pin(l);
      WgmmaFence();
      Multiply<kOutputs>(l, phi_k, KMajor{phi_q, kPanel}, false);
      WgmmaCommit();
      WgmmaWait();
      Pin(l);
#pragma unroll
      for (int x = 0; x < 32; ++x) l[x] = Has(bits, x) ? l[x] : 0.0f;
      StorePanel(SharedAddress(shared.linear), l);
    }
    uint32_t g[4][4];
    shared.v_full.Wait(i);
    shared.dy_full[stage].Wait(i / kRowStages);
    {
      float dp[32];
      Pin(dp);
      WgmmaFence();
      Multiply<DP>(dp, values, KMajor{SharedAddress(shared.dy[stage]), kPanel},
                   false);
      WgmmaCommit();
      WgmmaWait();
      Pin(dp);
      ArriveWarp(shared.dy_empty[stage]);
#pragma unroll
      for (int x = 0; x < 32; ++x) {
        dp[x] = Has(bits, x) ? dp[x] - shared.delta[x / 4 * 8 + column + x % 2]
                             : 0.0f;
      }
      ToOperand(dp, g);
    }

    float dphi[kOutputs / 2];
    shared.suffix_full.Wait(i);
    Pin(dphi);
    WgmmaFence();
    Multiply<DP>(dphi, values,
                 KMajor{SharedAddress(shared.suffix), kOutputs * 128}, false);
    WgmmaCommit();
    WgmmaWait();
    Pin(dphi);
    ArriveWarp(shared.v_empty);
#pragma unroll
    for (int x = 0; x < kOutputs / 2; x += 2) {
      const float2 norm =
          *reinterpret_cast<const float2*>(shared.norm + x / 4 * 8 + column);
      dphi[x] -= norm.x;
      dphi[x + 1] -= norm.y;
    }
    ArriveWarp(shared.suffix_empty);
    Pin(dphi);
    WgmmaFence();
    Multiply<kTile>(dphi, g, MnMajor{phi_q, kPanel}, true);
    WgmmaCommit();
    WgmmaWait();
    Pin(dphi);
    ArriveWarp(shared.phi_empty);

    float dz[32], unused[2];
    ThroughFeatures(phi_k, dphi, unused, dz);
    if (jobs.softmax) {
      StorePanel(SharedAddress(shared.dz), dz);
      FenceShared();
      shared.linear_full.Arrive();
    }
    if (a.dweight_k != nullptr) {
      const HeadRows<bf16> out{
          scratch.dz_k, static_cast<int64_t>(a.H) * kFeatures, kFeatures};
      StoreRows(out, b.segment.begin + tile * kTile,
                min(b.segment.length - tile * kTile, kTile), b.head, kFeatures,
                0, dz);
    }
    if (leads) {
      FetchKeys(shared, maps, b, i + 1);
      if (!jobs.softmax) FetchRows(shared, maps, b, i + 2);
    }
    __syncwarp();
  }
}

// s [keys, rows] becomes p, dp becomes ds; then both operands, ds times `root`.
__device__ __forceinline__ void Weigh(float (&s)[32], float (&dp)[32],
                                      const RowTerms& rows, uint32_t bits,
                                      int key, float scale, float root,
                                      uint32_t (&p)[4][4],
                                      uint32_t (&ds)[4][4]) {
  const int column = ThreadColumn();
#pragma unroll
  for (int i = 0; i < 32; i += 2) {
    const int at = i / 4 * 8 + column, j = key + i % 4 / 2 * 8;
    const float2 shift = *reinterpret_cast<const float2*>(rows.shift + at);
    const float2 delta = *reinterpret_cast<const float2*>(rows.delta + at);
    const float2 dmax = *reinterpret_cast<const float2*>(rows.dmax + at);
    const int2 argmax = *reinterpret_cast<const int2*>(rows.argmax + at);
    s[i] = Has(bits, i) ? Exp2(fmaf(s[i], scale, -shift.x)) : 0.0f;
    s[i + 1] = Has(bits, i + 1) ? Exp2(fmaf(s[i + 1], scale, -shift.y)) : 0.0f;
    dp[i] = s[i] * (dp[i] - delta.x);
    dp[i + 1] = s[i + 1] * (dp[i + 1] - delta.y);
    if (argmax.x == j) dp[i] += dmax.x;
    if (argmax.y == j) dp[i + 1] += dmax.y;
    dp[i] *= root;
    dp[i + 1] *= root;
  }
  ToOperand(s, p);
  ToOperand(dp, ds);
}

template <int DP>
__device__ __forceinline__ void SoftmaxJob(Shared<DP>& shared, const Args& a,
                                           const HopperScratch& scratch,
                                           const PairMaps& maps,
                                           const PairBlock& b,
                                           const Jobs& jobs) {
  const bool leads = threadIdx.x % kGroup == 0;
  const int member = threadIdx.x % kGroup, row = ThreadRow();
  const float log_gamma = log2f(Gamma(a, b.head));
  const float root = rsqrtf(static_cast<float>(a.D)), scale = root * kLog2e;
  const KMajor keys{SharedAddress(shared.k), kPanel};
  const KMajor values{SharedAddress(shared.v), kPanel};
  // Puts down what is needed of rows `number`; beyond the sequence nothing.
  const auto load = [&](int number) {
    const int n = RowTile(b, number) * kTile + member;
    if (member >= kTile) return;
    RowTerms& rows = shared.rows[number % kRowStages];
    const bool valid = n < b.segment.length;
    const int64_t from = b.head * a.rows + b.segment.begin + n;
    rows.shift[member] =
        valid ? scratch.row_max[from] - log_gamma - log2f(scratch.inv_den[from])
              : INFINITY;
    rows.delta[member] = valid ? scratch.delta[from] : 0;
    rows.dmax[member] = valid ? scratch.dmax[from] : 0;
    rows.argmax[member] = valid ? scratch.argmax[from] : -1;
  };
  load(0);
  uint32_t own_bits = 0, later_bits = 0;
#pragma unroll 1
  for (int i = 0; i < b.count; ++i) {
    const int tile = KeyTile(b, i);
    const int later = i % kRowStages, own = (i + 1) % kRowStages;
    if (i == 0 || tile == 0) {
      const int j0 = tile * kTile;
      own_bits = TermBits::OfKeys(a, b.terms, j0, j0).softmax;
      later_bits = TermBits::OfKeys(a, b.terms, j0, j0 + kTile).softmax;
    }
    load(i + 1);
    SyncWarpgroup(Warpgroup());

    uint32_t p[2][4][4], ds[2][4][4];  // of the later rows, of the own
    shared.k_full.Wait(i);
    shared.v_full.Wait(i);
#pragma unroll
    for (int x = 0; x < 2; ++x) {
      const int stage = x == 0 ? later : own;
      shared.q_full[stage].Wait((i + x) / kRowStages);
      shared.dy_full[stage].Wait((i + x) / kRowStages);
      float s[32], dp[32];
      Pin(s);
      Pin(dp);
      WgmmaFence();
      Multiply<DP>(s, keys, KMajor{SharedAddress(shared.q[stage]), kPanel},
                   false);
      Multiply<DP>(dp, values, KMajor{SharedAddress(shared.dy[stage]), kPanel},
                   false);
      WgmmaCommit();
      WgmmaWait();
      Pin(s);
      Pin(dp);
      Weigh(s, dp, shared.rows[stage], x == 0 ? later_bits : own_bits,
            tile * kTile + row, scale, root, p[x], ds[x]);
    }
    ArriveWarp(shared.k_empty);
    ArriveWarp(shared.v_empty);
    if (leads && !jobs.linear) FetchKeys(shared, maps, b, i + 1);
    __syncwarp();

    // Without linear terms some operands are zero: no product has to be left
    // out.
    if (jobs.linear) {
      shared.suffix_full.Wait(i);
      shared.linear_full.Wait(i);
    }
    const int64_t first_row = b.segment.begin + tile * kTile;
    const int rows = min(b.segment.length - tile * kTile, kTile);
    const auto store = [&](const HeadRows<bf16>& out, bf16* part, int first,
                           const float(&x)[32]) {
      const HeadRows<bf16> to =
          part != nullptr
              ? HeadRows<bf16>{part, static_cast<int64_t>(a.H) * a.D, a.D}
              : out;
      StoreRows(to, first_row, rows, part != nullptr ? b.head : b.kv, a.D,
                first, x);
    };
#pragma unroll 1
    for (int half = 0; half < DP / 64; ++half) {
      const int panel = half * kPanel;
      if (a.dv.data != nullptr) {
        float dv[32];
        const MnMajor dy_later{SharedAddress(shared.dy[later]) + panel, kPanel};
        const MnMajor dy_own{SharedAddress(shared.dy[own]) + panel, kPanel};
        Pin(dv);
        WgmmaFence();
        Multiply<kTile>(dv, p[0], dy_later, false);
        Multiply<kTile>(dv, p[1], dy_own, true);
        Multiply<kTile>(dv, KMajor{SharedAddress(shared.linear), kPanel},
                        dy_later, true);
        Multiply<kOutputs>(
            dv, KMajor{SharedAddress(shared.phi_k), kPanel},
            MnMajor{SharedAddress(shared.suffix) + half * kOutputs * 128,
                    kOutputs * 128},
            true);
        WgmmaCommit();
        WgmmaWait();
        Pin(dv);
        store(a.dv, scratch.dv, half * 64, dv);
      }
      if (a.dk.data != nullptr) {
        float dk[32];
        Pin(dk);
        WgmmaFence();
        Multiply<kTile>(dk, ds[0],
                        MnMajor{SharedAddress(shared.q[later]) + panel, kPanel},
                        false);
        Multiply<kTile>(dk, ds[1],
                        MnMajor{SharedAddress(shared.q[own]) + panel, kPanel},
                        true);
        Multiply<kFeatures>(
            dk, KMajor{SharedAddress(shared.dz), kPanel},
            KMajor{SharedAddress(shared.weight_k) + half * 64 * 128,
                   kWeightBytes<DP>},
            true);
        WgmmaCommit();
        WgmmaWait();
        Pin(dk);
        store(a.dk, scratch.dk, half * 64, dk);
      }
    }
    ArriveWarp(shared.q_empty[later]);
    ArriveWarp(shared.dy_empty[later]);
    if (jobs.linear) {
      ArriveWarp(shared.suffix_empty);
      ArriveWarp(shared.linear_empty);
    }
    if (leads) FetchRows(shared, maps, b, i + 2);
    __syncwarp();
  }
}

template <int DP>
__global__ void __launch_bounds__(kPairBlock, 1)
    BackwardKeys(const __grid_constant__ Args a,
                 const __grid_constant__ HopperScratch scratch,
                 const __grid_constant__ PairMaps maps) {
  extern __shared__ __align__(1024) char memory[];
  Shared<DP>& shared = *reinterpret_cast<Shared<DP>*>(memory);
  const PairBlock b(a, scratch);
  if (!OneKeyPair(a, b.terms)) return;
  const Jobs jobs(a, b);
  if (!jobs.linear && !jobs.softmax) return;

  if (threadIdx.x == 0) {
    InitBarriers(shared, jobs);
    FetchRows(shared, maps, b, 0);
    FetchKeys(shared, maps, b, 0);
    FetchRows(shared, maps, b, 1);
  }
  if (jobs.linear) {
    LoadWeight<DP>(SharedAddress(shared.weight_q), scratch.weight_q, b.head,
                   kPairBlock);
    LoadWeight<DP>(SharedAddress(shared.weight_k), scratch.weight_k, b.head,
                   kPairBlock);
    Clear(shared.deltas, kDeltaPanel, kPairBlock);
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
    if (jobs.linear) SuffixJob(shared, scratch, a, b);
  } else if (group == 1) {
    if (jobs.linear) LinearJob(shared, a, scratch, maps, b, jobs);
  } else {
    if (jobs.softmax) SoftmaxJob(shared, a, scratch, maps, b, jobs);
  }
}

template <int DP>
void Launch(const Args& a, const HopperScratch& s, const PairMaps& maps,
            cudaStream_t stream) {
  CARACAL_CUDA_CHECK(cudaFuncSetAttribute(
      BackwardKeys<DP>, cudaFuncAttributeMaxDynamicSharedMemorySize,
      sizeof(Shared<DP>)));
  BackwardKeys<DP>
      <<<s.count * a.H, kPairBlock, sizeof(Shared<DP>), stream>>>(a, s, maps);
  CARACAL_CUDA_CHECK_LAUNCH();
}

}  // namespace

void HopperBackwardKeyPairs(const Args& a, const HopperScratch& s,
                            const PairMaps& maps, cudaStream_t stream) {
  a.D <= 64 ? Launch<64>(a, s, maps, stream) : Launch<128>(a, s, maps, stream);
}

}  // namespace caracal::kernels::cuda
