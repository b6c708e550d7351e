// Hopper version, forward, for windows of a tile (OnePair): rows look one by
// one only at keys of their own tile (warpgroup 1) and of the previous one
// (warpgroup 0, which also has the linear terms there); warpgroup 1 takes the
// state. Maxima are exchanged before the exponentials, so that softmax and
// linear weights share one product with V.
#include "kernels/common/cuda_check.h"
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
  char k[3][kRowsBytes<DP>];  // tile t in stage t % 3
  char v[3][kRowsBytes<DP>];
  char phi_q[kPhiBytes];  // alpha phi_q
  char phi_k[kPhiBytes];  // of the previous tile
  char state[kStateBytes<DP>];
  char exchange[kRowsBytes<DP>];  // a half of y
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
  if (!OnePair(a, terms)) return;
  const bool linear = AnyLinear(terms);
  const float gamma = Gamma(a, head), alpha = Alpha(a, gamma);
  const float log_gamma = log2f(gamma);
  const float scale = rsqrtf(static_cast<float>(D)) * kLog2e;
  const int group = Warpgroup();
  const int row = ThreadRow(), column = ThreadColumn();

  const KMajor q{SharedAddress(shared.q), kPanel};
  const KMajor phi_q{SharedAddress(shared.phi_q), kPanel};
  const KMajor phi_k{SharedAddress(shared.phi_k), kPanel};
  const MnMajor weight{
      SharedAddress(group == 0 ? shared.weight_q : shared.weight_k),
      kWeightBytes<DP>};
  const uint32_t state_tile = SharedAddress(shared.state);
  const uint32_t k0 = SharedAddress(shared.k), v0 = SharedAddress(shared.v);
  constexpr int kStage = kRowsBytes<DP>;

  // Tile -1 is zeros.
  const auto load_keys = [&](int tile) {
    const int count = tile < 0 ? 0 : min(segment.length - tile * kTile, kTile);
    const int64_t at = segment.begin + max(tile, 0) * kTile;
    const int stage = (tile + 3) % 3 * kStage;
    LoadRows<DP>(k0 + stage, a.k, at, count, kv, D);
    LoadRows<DP>(v0 + stage, a.v, at, count, kv, D);
  };
  const auto load_queries = [&](int n) {
    LoadRows<DP>(q.base, a.q, segment.begin + n, min(segment.length - n, kTile),
                 head, D);
  };

  load_queries(segment.first);
  load_keys(segment.first / kTile);
  load_keys(segment.first / kTile - 1);
  // Without linear terms all features stay zero: no product has to be left
  // out, which would keep the compiler from overlapping the others.
  float state[DP / 2] = {}, norm[4] = {};
  FillOnes(shared.ones);
  if (linear) {
    LoadWeight<DP>(SharedAddress(shared.weight_q), scratch.weight_q, head);
    LoadWeight<DP>(SharedAddress(shared.weight_k), scratch.weight_k, head);
    if (segment.first > 0) {
      LoadState<DP>(scratch.state, scratch.norm, slot * a.H + head, group,
                    state, norm);
    }
  } else {
    KeepRows(shared.phi_q, 0);
    KeepRows(shared.phi_k, 0);
  }
  StoreState<DP>(state_tile, group, state);
  StoreNorm(shared.norm, group, norm);
  CopyCommit();
  float squared_error = 0;

  for (int n0 = segment.first; n0 < segment.last; n0 += kTile) {
    const int tile = n0 / kTile;
    const int own_stage = tile % 3 * kStage;
    const int previous_stage = (tile + 2) % 3 * kStage;
    // Warpgroup 0's keys, warpgroup 1's.
    const int stage = group == 0 ? previous_stage : own_stage;
    CopyWait();
    FenceShared();
    __syncthreads();

    // Scores; features of the queries, or of the previous keys (none: zero).
    float z[32], s[32];
    Pin(z);
    Pin(s);
    WgmmaFence();
    Multiply<DP>(z, KMajor{group == 0 ? q.base : k0 + previous_stage, kPanel},
                 weight, false);
    WgmmaCommit();
    Multiply<DP>(s, q, KMajor{k0 + stage, kPanel}, false);
    WgmmaCommit();
    TermBits bits;
    if (tile - 1 + group >= 0) {
      bits = TermBits::OfRows(a, terms, n0, (tile - 1 + group) * kTile);
    }
    WgmmaWait<1>();
    Pin(z);
    float linear_sum[2] = {0, 0};
    if (linear) {
      const float factor = group == 0 ? alpha : tile > 0 ? 1.0f : 0.0f;
      float up[32], down[32];
      Hedgehog(z, F, factor, factor, up, down);
      const uint32_t to = group == 0 ? phi_q.base : phi_k.base;
      StorePanel(to, up);
      StorePanel(to + kPanel, down);
      if (group == 0) {
#pragma unroll
        for (int i = 0; i < 32; i += 2) {
          const int f = i / 4 * 8 + column;
          const float2 x = *reinterpret_cast<const float2*>(&shared.norm[f]);
          const float2 y =
              *reinterpret_cast<const float2*>(&shared.norm[64 + f]);
          linear_sum[i % 4 / 2] +=
              up[i] * x.x + up[i + 1] * x.y + down[i] * y.x + down[i + 1] * y.y;
        }
      }
    }
    WgmmaWait();
    Pin(s);
    float top[2] = {-INFINITY, -INFINITY};
#pragma unroll
    for (int i = 0; i < 32; ++i) {
      s[i] = Has(bits.set, i) ? s[i] : -INFINITY;
      top[i % 4 / 2] = fmaxf(top[i % 4 / 2], s[i]);
    }
    top[0] = QuadMax(top[0]) * scale;
    top[1] = QuadMax(top[1]) * scale;
    if (column == 0) {
      shared.top[group][row] = top[0];
      shared.top[group][row + 8] = top[1];
    }
    FenceShared();
    __syncthreads();

    // The queries have been used, and the tile before the previous one.
    if (n0 + kTile < segment.last) {
      load_queries(n0 + kTile);
      load_keys(tile + 1);
      CopyCommit();
    }

    // exp(s - c) gamma, while the linear weights (warpgroup 0) and the state's
    // part (warpgroup 1) are computed.
    float out[DP / 2];
    float(&l)[32] = reinterpret_cast<float(&)[32]>(out);
    Pin(out);
    WgmmaFence();
    if (group == 0) {
      Multiply<kOutputs>(l, phi_q, phi_k, false);
    } else {
      Multiply<kOutputs>(out, phi_q, MnMajor{state_tile, kOutputs * 128},
                         false);
    }
    WgmmaCommit();
    float sum[2] = {0, 0};
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      top[r] = fmaxf(top[r], shared.top[1 - group][row + 8 * r]);
      const float shift = top[r] - log_gamma;
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
    WgmmaWait();
    Pin(out);
    if (group == 0) {
#pragma unroll
      for (int i = 0; i < 32; ++i) {
        const float kept = Has(bits.linear, i) ? l[i] : 0.0f;
        linear_sum[i % 4 / 2] += kept;
        s[i] += kept;
      }
    }
    uint32_t p[4][4];
    ToOperand(s, p);

    // The product with V; and the previous keys, which the next rows no longer
    // look at one by one, join the state.
    const MnMajor features{phi_k.base + group * kPanel, kPanel};
    const MnMajor previous_values{v0 + previous_stage, kPanel};
    Pin(out);
    Pin(state);
    Pin(norm);
    WgmmaFence();
    Multiply<kTile>(out, p, MnMajor{v0 + stage, kPanel}, group == 1);
    Multiply<kTile>(state, features, previous_values, true);
    Multiply<kTile>(norm, features, Ones{SharedAddress(shared.ones)}, true);
    WgmmaCommit();
    sum[0] = QuadSum(sum[0]);
    sum[1] = QuadSum(sum[1]);
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
    WgmmaWait();
    Pin(out);
    Pin(state);
    Pin(norm);

    // The previous keys' stage is free by now.
    float half[DP / 4];
    AddHalves(group, out, shared.exchange, shared.k[(tile + 2) % 3], half);
    squared_error += FinishRows<DP>(
        a, scratch, segment, n0, head, group, top, shared.softmax_den[0],
        shared.softmax_den[1], shared.linear_den, half);
    StoreState<DP>(state_tile, group, state);
    StoreNorm(shared.norm, group, norm);
  }

  if (a.target.data == nullptr || scratch.error == nullptr) return;
  squared_error = BlockSum(squared_error, shared.top[0]);
  if (threadIdx.x == 0) scratch.error[blockIdx.x] = squared_error;
}

template <int DP>
void Launch(const Args& a, const HopperScratch& s, cudaStream_t stream) {
  CARACAL_CUDA_CHECK(cudaFuncSetAttribute(
      ForwardRows<DP>, cudaFuncAttributeMaxDynamicSharedMemorySize,
      sizeof(Shared<DP>)));
  ForwardRows<DP><<<s.count * a.H, kBlock, sizeof(Shared<DP>), stream>>>(a, s);
  CARACAL_CUDA_CHECK_LAUNCH();
}

}  // namespace

void HopperForwardPairs(const Args& a, const HopperScratch& s,
                        cudaStream_t stream) {
  a.D <= 64 ? Launch<64>(a, s, stream) : Launch<128>(a, s, stream);
}

}  // namespace caracal::kernels::cuda
