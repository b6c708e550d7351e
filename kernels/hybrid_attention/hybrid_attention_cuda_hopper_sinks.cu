// Hopper version, backward: what far sinks' keys and values get from the rows
// of tiles that hold none of them (OneKeyPair; from a sequence's third tile
// on). Every row of a sequence adds to these few keys, so segments leave parts,
// which a second kernel adds to dk and dv.
#include "kernels/common/cuda_check.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_hopper_kernels.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_pair.h"

namespace caracal::kernels::cuda {
namespace {

template <int DP>
struct Shared {
  // Two steps of two tiles.
  char q[2][2][kRowsBytes<DP>];
  char dy[2][2][kRowsBytes<DP>];
  // Weights and their gradients [64, 16] of either warpgroup's rows.
  char p[2][kPanel];
  char ds[2][kPanel];
  char sink_k[kSinkBytes<DP>];
  char sink_v[kSinkBytes<DP>];
};

// This thread's part of accumulators [64, 16] to a tile of 64 rows.
__device__ __forceinline__ void StoreNarrow(uint32_t tile,
                                            const float (&x)[8]) {
  const uint32_t place = ThreadPlace(tile);
#pragma unroll
  for (int b = 0; b < 2; ++b) {
    const uint32_t at = place ^ (b << 4);
    StoreShared(at, PackBf16(x[4 * b], x[4 * b + 1]));
    StoreShared(at + 1024, PackBf16(x[4 * b + 2], x[4 * b + 3]));
  }
}

// Whether a head has parts.
__device__ __forceinline__ bool HasParts(const Args& a,
                                         const HopperScratch& scratch,
                                         int terms) {
  return OneKeyPair(a, scratch, terms) && !LinearAlone(terms);
}

template <int DP>
__global__ void __launch_bounds__(kBlock, 1)
    SinkParts(const __grid_constant__ Args a,
              const __grid_constant__ HopperScratch scratch) {
  extern __shared__ __align__(1024) char memory[];
  Shared<DP>& shared = *reinterpret_cast<Shared<DP>*>(memory);
  const int head = blockIdx.x % a.H, slot = blockIdx.x / a.H;
  const Segment segment = scratch.segments[slot];
  const int kv = KvHead(a, head);
  const int terms = a.terms[segment.sequence * a.H + head];
  if (!HasParts(a, scratch, terms)) return;
  const int group = Warpgroup();
  const int row = ThreadRow(), column = ThreadColumn();
  const float gamma = Gamma(a, head);
  const float root = rsqrtf(static_cast<float>(a.D)), scale = root * kLog2e;
  const KMajor keys{SharedAddress(shared.sink_k), kSinkPanel};
  const KMajor values{SharedAddress(shared.sink_v), kSinkPanel};
  const MnMajor p_rows{SharedAddress(shared.p[group]), kPanel};
  const MnMajor ds_rows{SharedAddress(shared.ds[group]), kPanel};

  const auto load = [&](int n, int step) {
    for (int i = 0; i < 2; ++i) {
      const int first = n + i * kTile;
      if (first >= segment.last) break;
      const int count = min(segment.length - first, kTile);
      LoadRows<DP>(SharedAddress(shared.q[step][i]), a.q, segment.begin + first,
                   count, head, a.D);
      LoadRows<DP>(SharedAddress(shared.dy[step][i]), a.dy,
                   segment.begin + first, count, head, a.D);
    }
    CopyCommit();
  };
  const int begin = max(segment.first, 2 * kTile);
  LoadSinks<DP>(keys.base, a.k, segment.begin, a.sinks, kv, a.D, kBlock);
  LoadSinks<DP>(values.base, a.v, segment.begin, a.sinks, kv, a.D, kBlock);
  load(begin, 0);

  // [d 64 panel + ..., sink].
  float dk[DP / 64][8] = {}, dv[DP / 64][8] = {};
  int step = 0;
#pragma unroll 1
  for (int n0 = begin; n0 < segment.last; n0 += 2 * kTile, step ^= 1) {
    CopyWait();
    FenceShared();
    __syncthreads();
    load(n0 + 2 * kTile, step ^ 1);
    const int n = n0 + group * kTile;
    if (n >= segment.last) continue;
    const uint32_t q = SharedAddress(shared.q[step][group]);
    const uint32_t dy = SharedAddress(shared.dy[step][group]);
    float s[8], dp[8];
    Pin(s);
    Pin(dp);
    WgmmaFence();
    Multiply<DP>(s, KMajor{q, kPanel}, keys, false);
    Multiply<DP>(dp, KMajor{dy, kPanel}, values, false);
    WgmmaCommit();
    float top[2] = {0, 0}, weight[2] = {0, 0}, delta[2] = {0, 0};
    float dmax[2] = {0, 0};
    int argmax[2] = {-1, -1};
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int at = n + row + 8 * r;
      if (at >= segment.length) continue;
      const int64_t from = head * a.rows + segment.begin + at;
      top[r] = scratch.row_max[from];
      weight[r] = gamma * scratch.inv_den[from];
      delta[r] = scratch.delta[from];
      dmax[r] = scratch.dmax[from];
      argmax[r] = scratch.argmax[from];
    }
    WgmmaWait();
    Pin(s);
    Pin(dp);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int r = i % 4 / 2, j = i / 4 * 8 + column + i % 2;
      const bool kept = j < a.sinks && (terms & kFarSinkTerms);
      s[i] = kept ? Exp2(fmaf(s[i], scale, -top[r])) * weight[r] : 0.0f;
      dp[i] = s[i] * (dp[i] - delta[r]);
      if (argmax[r] == j) dp[i] += dmax[r];
      dp[i] *= root;
    }
    StoreNarrow(p_rows.base, s);
    StoreNarrow(ds_rows.base, dp);
    FenceShared();
    SyncWarpgroup(group);
#pragma unroll
    for (int panel = 0; panel < DP / 64; ++panel) {
      Pin(dk[panel]);
      Pin(dv[panel]);
    }
    WgmmaFence();
#pragma unroll
    for (int panel = 0; panel < DP / 64; ++panel) {
      Multiply<kTile>(dk[panel], MnMajor{q + panel * kPanel, kPanel}, ds_rows,
                      true);
      Multiply<kTile>(dv[panel], MnMajor{dy + panel * kPanel, kPanel}, p_rows,
                      true);
    }
    WgmmaCommit();
    WgmmaWait();
#pragma unroll
    for (int panel = 0; panel < DP / 64; ++panel) {
      Pin(dk[panel]);
      Pin(dv[panel]);
    }
    SyncWarpgroup(group);  // the weights' tiles may be written again
  }
  CopyWait();

  // [2 warpgroups, dk and dv, kPairSinks, DP].
  float* to = scratch.sinks + (static_cast<int64_t>(blockIdx.x) * 2 + group) *
                                  2 * kPairSinks * DP;
#pragma unroll
  for (int panel = 0; panel < DP / 64; ++panel) {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int d = panel * 64 + row + i % 4 / 2 * 8;
      const int j = i / 4 * 8 + column + i % 2;
      to[j * DP + d] = dk[panel][i];
      to[(kPairSinks + j) * DP + d] = dv[panel][i];
    }
  }
}

// dk, dv of sequences' sinks += the parts of the heads that share them. Grid:
// sequences; key heads; sinks. A thread a column.
__global__ void AddParts(const __grid_constant__ Args a,
                         const __grid_constant__ HopperScratch scratch,
                         int DP) {
  const int sequence = blockIdx.x, kv = blockIdx.y, j = blockIdx.z;
  const int d = threadIdx.x, group = a.H / a.Hkv;
  const int64_t row = a.offsets[sequence] + j;
  if (row >= a.offsets[sequence + 1] || d >= a.D) return;
  float sum[2] = {0, 0};
  for (int slot = 0; slot < scratch.count; ++slot) {
    if (scratch.segments[slot].sequence != sequence) continue;
    for (int head = kv * group; head < (kv + 1) * group; ++head) {
      if (!HasParts(a, scratch, a.terms[sequence * a.H + head])) continue;
      const int64_t block = static_cast<int64_t>(slot) * a.H + head;
      const float* from = scratch.sinks + block * 4 * kPairSinks * DP;
      for (int half = 0; half < 2; ++half) {
        for (int which = 0; which < 2; ++which) {
          sum[which] += from[((half * 2 + which) * kPairSinks + j) * DP + d];
        }
      }
    }
  }
  const auto add = [&](const HeadRows<bf16>& out, float x) {
    if (out.data == nullptr) return;
    bf16* to = At(out, row, kv) + d;
    *to = __float2bfloat16(__bfloat162float(*to) + x);
  };
  add(a.dk, sum[0]);
  add(a.dv, sum[1]);
}

template <int DP>
void Launch(const Args& a, const HopperScratch& s, cudaStream_t stream) {
  CARACAL_LAUNCHER_CHECK(cudaFuncSetAttribute(
      SinkParts<DP>, cudaFuncAttributeMaxDynamicSharedMemorySize,
      sizeof(Shared<DP>)));
  SinkParts<DP><<<s.count * a.H, kBlock, sizeof(Shared<DP>), stream>>>(a, s);
  CARACAL_CUDA_CHECK_LAUNCH();
}

}  // namespace

void HopperSinkParts(const Args& a, const HopperScratch& s,
                     cudaStream_t stream) {
  a.D <= 64 ? Launch<64>(a, s, stream) : Launch<128>(a, s, stream);
}

void HopperAddSinks(const Args& a, const HopperScratch& s,
                    cudaStream_t stream) {
  AddParts<<<dim3(a.sequences, a.Hkv, a.sinks), 128, 0, stream>>>(
      a, s, a.D <= 64 ? 64 : 128);
  CARACAL_CUDA_CHECK_LAUNCH();
}

}  // namespace caracal::kernels::cuda
