// Hopper version, forward: softmax over the window's tiles (spread over the two
// warpgroups), then the linear terms of the tiles that leave it and of the
// state. Both warpgroups hold half of the state's features in registers.
#include "kernels/common/cuda_check.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_hopper_kernels.h"
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
  char phi_q[kPhiBytes];  // alpha phi_q; then exchange[1]
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
    ForwardRows(const __grid_constant__ Args a, HopperScratch scratch) {
  extern __shared__ __align__(1024) char memory[];
  Shared<DP>& shared = *reinterpret_cast<Shared<DP>*>(memory);
  const int head = blockIdx.x % a.H, slot = blockIdx.x / a.H;
  const Segment segment = scratch.segments[slot];
  const int kv = KvHead(a, head), D = a.D, F = a.F;
  const int terms = a.terms[segment.sequence * a.H + head];
  const bool linear = AnyLinear(terms);
  const bool softmax = AnySoftmax(terms) || a.row_max != nullptr;
  const float gamma = Gamma(a, head), alpha = Alpha(a, gamma);
  const float scale = rsqrtf(static_cast<float>(D)) * kLog2e;
  const int group = threadIdx.x / kGroup;
  const int row = ThreadRow(), column = ThreadColumn();

  const KMajor q{SharedAddress(shared.q), kPanel};
  const KMajor phi_q{SharedAddress(shared.phi_q), kPanel};
  const uint32_t k0 = SharedAddress(shared.k), v0 = SharedAddress(shared.v);
  constexpr int kStage = kRowsBytes<DP>;
  const Ones ones{SharedAddress(shared.ones)};

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
  float squared_error = 0;

  // Features of a tile of keys, by one warpgroup; zero where no later row has
  // a linear term.
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

  for (int n0 = segment.first; n0 < segment.last; n0 += kTile) {
    const TileList tiles(a, terms, n0);
    const int n[2] = {n0 + row, n0 + row + 8};
    const int start[2] = {Start(a, n[0]), Start(a, n[1])};
    const bool past = linear && tiles.first > 0;
    const int rounds = softmax ? (tiles.count + 1) / 2 : 0;
    // Queries, and tiles fetched ahead.
    const int newest = tiles.count - 1;
    ensure(tiles.count > 1 ? tiles.Tile(newest - 1) : -1, tiles.Tile(newest));
    CopyWait();
    FenceShared();
    __syncthreads();

    // Features of the queries (warpgroup 0) and of the newest keys with linear
    // terms (warpgroup 1).
    int phi_tile = -1;
    float linear_sum[2] = {0, 0};
    if (linear) {
      if (tiles.linear_end > tiles.first) phi_tile = tiles.linear_end - 1;
      if (phi_tile >= 0) ensure(phi_tile, -1);
      if (group == 0) {
        float z[32], up[32], down[32];
        Pin(z);
        WgmmaFence();
        Multiply<DP>(z, q,
                     MnMajor{SharedAddress(shared.weight_q), kWeightBytes<DP>},
                     false);
        WgmmaCommit();
        WgmmaWait();
        Pin(z);
        Hedgehog(z, F, up, down);
        StorePanel(shared.phi_q, up, alpha, alpha);
        StorePanel(shared.phi_q + kPanel, down, alpha, alpha);
        if (past) {
#pragma unroll
          for (int i = 0; i < 32; ++i) {
            const int f = i / 4 * 8 + column + i % 2;
            linear_sum[i % 4 / 2] += alpha * (up[i] * shared.norm[f] +
                                              down[i] * shared.norm[64 + f]);
          }
        }
      } else if (phi_tile >= 0) {
        make_phi_k(phi_tile);
      }
    }

    // Softmax over this warpgroup's tiles.
    float out[DP / 2] = {};
    float top[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0};
    for (int round = 0; round < rounds; ++round) {
      const int u1 = newest - 2 * round, u0 = u1 - 1;
      ensure(u0 < 0 ? -1 : tiles.Tile(u0), tiles.Tile(u1));
      const int u = group == 0 ? u0 : u1;
      if (u < 0) continue;
      const int tile = tiles.Tile(u), stage = stages.Find(tile);
      const int j0 = tile * kTile;
      float s[32];
      Pin(s);
      WgmmaFence();
      Multiply<DP>(s, q, KMajor{k0 + stage * kStage, kPanel}, false);
      WgmmaCommit();
      WgmmaWait();
      Pin(s);
      float before[2];
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        float most = top[r];
#pragma unroll
        for (int i = 0; i < 16; ++i) {
          const int at = i / 2 * 4 + 2 * r + i % 2;
          const int j = j0 + i / 2 * 8 + column + i % 2;
          const bool in = j <= n[r] && InSoftmaxSet(a, start[r], j);
          s[at] = in ? s[at] * scale : -INFINITY;
          most = fmaxf(most, s[at]);
        }
        most = QuadMax(most);
        const float shift = most == -INFINITY ? 0.0f : most;
        before[r] = exp2f(top[r] - shift);
        top[r] = most;
        sum[r] *= before[r];
#pragma unroll
        for (int i = 0; i < 16; ++i) {
          const int at = i / 2 * 4 + 2 * r + i % 2;
          const int j = j0 + i / 2 * 8 + column + i % 2;
          const bool kept = SoftmaxTerm(a, terms, start[r], j);
          s[at] = kept ? exp2f(s[at] - shift) : 0.0f;
          sum[r] += s[at];
        }
      }
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
    // two tiles do.
    if (n0 + kTile < segment.last) {
      load_queries(n0 + kTile);
      const int next = n0 / kTile + 1;
      if (tiles.count <= 2 && phi_tile <= n0 / kTile) {
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
          top[r] == -INFINITY ? 0.0f : gamma * exp2f(top[r] - c);
      sum[r] = QuadSum(sum[r]) * factor;
#pragma unroll
      for (int i = 0; i < DP / 4; ++i) {
        out[i / 2 * 4 + 2 * r + i % 2] *= factor;
      }
      top[r] = c;
    }
    for (int tile = phi_tile; tile >= tiles.first && tile >= 0; --tile) {
      ensure(tile, -1);
      if (tile < phi_tile) {
        __syncthreads();
        if (group == 1) make_phi_k(tile);
        FenceShared();
        __syncthreads();
      }
      if (group == 0) {
        float l[32];
        Pin(l);
        WgmmaFence();
        Multiply<kOutputs>(l, phi_q,
                           KMajor{SharedAddress(shared.phi_k), kPanel}, false);
        WgmmaCommit();
        WgmmaWait();
        Pin(l);
#pragma unroll
        for (int i = 0; i < 32; ++i) {
          const int r = i % 4 / 2;
          const int j = tile * kTile + i / 4 * 8 + column + i % 2;
          const bool kept = j <= n[r] && LinearTerm(a, terms, start[r], j);
          if (!kept) l[i] = 0;
          linear_sum[r] += l[i];
        }
        uint32_t p[4][4];
        ToOperand(l, p);
        Pin(out);
        WgmmaFence();
        Multiply<kTile>(out, p,
                        MnMajor{v0 + stages.Find(tile) * kStage, kPanel}, true);
        WgmmaCommit();
        WgmmaWait();
        Pin(out);
      }
    }
    if (group == 1 && past) {
      Pin(out);
      WgmmaFence();
      Multiply<kOutputs>(out, phi_q,
                         MnMajor{SharedAddress(shared.state), kOutputs * 128},
                         true);
      WgmmaCommit();
      WgmmaWait();
      Pin(out);
    }
    if (column == 0) {
      shared.softmax_den[group][row] = sum[0];
      shared.softmax_den[group][row + 8] = sum[1];
    }
    linear_sum[0] = QuadSum(linear_sum[0]);
    linear_sum[1] = QuadSum(linear_sum[1]);
    if (group == 0 && column == 0) {
      shared.linear_den[row] = linear_sum[0];
      shared.linear_den[row + 8] = linear_sum[1];
    }
    __syncthreads();

    // Each warpgroup finishes half of the columns.
    float half[DP / 4];
    float* give =
        reinterpret_cast<float*>(group == 0 ? shared.exchange : shared.phi_q);
    float* take =
        reinterpret_cast<float*>(group == 0 ? shared.phi_q : shared.exchange);
#pragma unroll
    for (int i = 0; i < DP / 4; ++i) {
      give[i * kGroup + threadIdx.x % kGroup] =
          group == 0 ? out[DP / 4 + i] : out[i];
      half[i] = group == 0 ? out[i] : out[DP / 4 + i];
    }
    __syncthreads();
    const int count = min(segment.length - n0, kTile);
    const int first = group * DP / 2;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int at = row + 8 * r;
      const float softmax_den =
          shared.softmax_den[0][at] + shared.softmax_den[1][at];
      const float linear_den = shared.linear_den[at];
      const float den = softmax_den + linear_den;
      const float inv = den > 0 ? 1.0f / den : 0.0f;
#pragma unroll
      for (int i = 0; i < DP / 8; ++i) {
        const int x = i / 2 * 4 + 2 * r + i % 2;
        half[x] = (half[x] + take[x * kGroup + threadIdx.x % kGroup]) * inv;
      }
      if (group == 0 && column == 0 && at < count) {
        const int64_t to = head * a.rows + segment.begin + n0 + at;
        if (a.row_max != nullptr) a.row_max[to] = top[r] * kLn2;
        if (a.softmax_den != nullptr) a.softmax_den[to] = softmax_den;
        if (a.linear_den != nullptr) a.linear_den[to] = linear_den;
      }
    }
    const int64_t first_row = segment.begin + n0;
    if (a.target.data == nullptr) {
      StoreRows(a.y, first_row, count, head, D, first, half);
    } else {
#pragma unroll
      for (int i = 0; i < DP / 4; i += 2) {
        const int at = row + i % 4 / 2 * 8, d = first + i / 4 * 8 + column;
        if (at >= count || d >= D) continue;
        const float2 target =
            __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(
                At(a.target, first_row + at, head) + d));
        const float x = half[i] - target.x, y = half[i + 1] - target.y;
        squared_error += x * x + y * y;
        half[i] = a.scale * x;
        half[i + 1] = a.scale * y;
      }
      StoreRows(scratch.dy, first_row, count, head, D, first, half);
    }

    // Keys that the next rows no longer look at one by one join the state.
    if (!linear || n0 + kTile >= segment.last) continue;
    const int next_first = StateEnd(a, n0 + kTile) / kTile;
    for (int tile = tiles.first; tile < next_first; ++tile) {
      const bool sinks_only = !(terms & kLinearPastTerms);
      if (sinks_only && tile * kTile >= a.sinks) break;
      ensure(tile, -1);
      if (tile != tiles.first || phi_tile < tile) {
        __syncthreads();
        if (group == 1) make_phi_k(tile);
        FenceShared();
        __syncthreads();
      } else if (sinks_only) {
        __syncthreads();
      }
      if (sinks_only) {
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
      Multiply<kTile>(norm, phi, ones, true);
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

void HopperForwardRows(const Args& a, const HopperScratch& s,
                       cudaStream_t stream) {
  a.D <= 64 ? Launch<64>(a, s, stream) : Launch<128>(a, s, stream);
}

}  // namespace caracal::kernels::cuda
