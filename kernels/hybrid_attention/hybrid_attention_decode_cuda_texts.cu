// The states after whole texts. Rows go in chunks, so that their features fit
// into the workspace: a chunk's features first, then a product that adds them
// to the states. A block of it has a tile of one head's state and goes through
// the chunk's rows in turn, so sums do not depend on scheduling.
#include <algorithm>
#include <vector>

#include "kernels/common/cuda_check.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_plain.h"
#include "kernels/hybrid_attention/hybrid_attention_decode_cuda.h"
#include "kernels/hybrid_attention/hybrid_attention_decode_cuda_args.h"

namespace caracal::kernels {
namespace cuda::decode {
namespace {

constexpr int kSide = 64;  // of a tile of the state
constexpr int kRowsAtOnce = 32;
constexpr int kEach = 4;  // rows and columns of the tile, a thread
constexpr int kAcross = kSide / kEach;
static_assert(kThreads == kAcross * kAcross);
constexpr int64_t kChunkBytes = int64_t{256} << 20;  // of features

// Rows whose keys a state holds: [begin, end).
struct StateRows {
  int64_t begin, end;
};

struct SumArgs {
  Args a;
  int64_t first_row = 0;            // the chunk's; it has a.rows
  const StateRows* rows = nullptr;  // [N]
  int first_sequence = 0;
  const float* phi = nullptr;  // [H, a.rows, Fout]
  float *state = nullptr, *norm = nullptr;
};

__global__ void __launch_bounds__(kThreads)
    AddToStates(const __grid_constant__ SumArgs s) {
  __shared__ __align__(16) float phi[kRowsAtOnce][kSide];
  __shared__ __align__(16) float value[kRowsAtOnce][kSide];
  const Args& a = s.a;
  const int across = (a.D + kSide - 1) / kSide;
  const int d0 = blockIdx.x % across * kSide, f0 = blockIdx.x / across * kSide;
  const int head = blockIdx.y, sequence = s.first_sequence + blockIdx.z;
  const int kv = KvHead(a, head);
  const int64_t begin = max(s.rows[sequence].begin - s.first_row, int64_t{0});
  const int64_t end = min(s.rows[sequence].end - s.first_row, a.rows);
  if (begin >= end) return;
  const int f = threadIdx.x / kAcross * kEach,
            d = threadIdx.x % kAcross * kEach;
  float sum[kEach][kEach] = {}, total[kEach] = {};
  for (int64_t row0 = begin; row0 < end; row0 += kRowsAtOnce) {
    for (int i = threadIdx.x; i < kRowsAtOnce * kSide; i += kThreads) {
      const int r = i / kSide, c = i % kSide;
      const int64_t row = row0 + r;
      phi[r][c] = row < end && f0 + c < a.Fout
                      ? s.phi[(head * a.rows + row) * a.Fout + f0 + c]
                      : 0.0f;
      value[r][c] = row < end && d0 + c < a.D
                        ? __bfloat162float(At(a.v, row, kv)[d0 + c])
                        : 0.0f;
    }
    __syncthreads();
#pragma unroll 8
    for (int r = 0; r < kRowsAtOnce; ++r) {
      const float4 p = *reinterpret_cast<const float4*>(&phi[r][f]);
      const float4 v = *reinterpret_cast<const float4*>(&value[r][d]);
      const float ps[kEach] = {p.x, p.y, p.z, p.w};
      const float vs[kEach] = {v.x, v.y, v.z, v.w};
#pragma unroll
      for (int i = 0; i < kEach; ++i) {
#pragma unroll
        for (int j = 0; j < kEach; ++j) sum[i][j] += ps[i] * vs[j];
        total[i] += ps[i];
      }
    }
    __syncthreads();
  }
  const int64_t slot = int64_t{sequence} * a.H + head;
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    const int64_t feature = f0 + f + i;
    if (feature >= a.Fout) continue;
    float* const state = s.state + (slot * a.Fout + feature) * a.D;
#pragma unroll
    for (int j = 0; j < kEach; ++j) {
      if (d0 + d + j < a.D) state[d0 + d + j] += sum[i][j];
    }
    if (d0 + d == 0) s.norm[slot * a.Fout + feature] += total[i];
  }
}

Args ShapeOf(const HybridAttentionConfig& config,
             const HybridAttentionDecodeTexts& texts) {
  CARACAL_CHECK_EQ(texts.k.rank, 3);
  Args a;
  a.rows = texts.k.shape[0];
  a.Hkv = static_cast<int>(texts.k.shape[1]);
  a.D = static_cast<int>(texts.k.shape[2]);
  a.H = static_cast<int>(texts.heads);
  BindMaps(config.feature_map, texts.weight_k, a);
  CARACAL_CHECK(a.Hkv >= 1 && a.H % a.Hkv == 0) << a.H << " over " << a.Hkv;
  return a;
}

int64_t ChunkRows(const Args& a) {
  const int64_t row = int64_t{a.H} * a.Fout * sizeof(float);
  return std::clamp<int64_t>(kChunkBytes / row, 1,
                             std::max<int64_t>(a.rows, 1));
}

void Run(const Context& ctx, const HybridAttentionConfig& config,
         const HybridAttentionDecodeTexts& texts, const TensorView& state,
         const TensorView& norm, const Workspace& workspace) {
  const size_t needed =
      HybridAttentionDecodeStatesCudaWorkspaceBytes(config, texts);
  CARACAL_CHECK(workspace.bytes >= needed)
      << workspace.bytes << " of " << needed;
  SumArgs s;
  s.a = ShapeOf(config, texts);
  Args& a = s.a;
  const int64_t rows = a.rows, N = texts.sequences;
  CARACAL_CHECK_EQ(texts.offsets[0], 0);
  CARACAL_CHECK_EQ(texts.offsets[N], rows);
  a.k = BindBf16<const bf16>(texts.k, rows, a.Hkv, a.D);
  a.v = BindBf16<const bf16>(texts.v, rows, a.Hkv, a.D);
  a.weight_k = BindF32(texts.weight_k, int64_t{a.maps} * a.D * a.F);
  a.bias_k = BindF32(texts.bias_k, int64_t{a.maps} * a.F);
  s.state = BindF32(state, N * a.H * a.Fout * a.D);
  s.norm = BindF32(norm, N * a.H * a.Fout);
  CARACAL_CHECK(s.state != nullptr && s.norm != nullptr);
  const auto stream = static_cast<cudaStream_t>(ctx.stream);
  CARACAL_LAUNCHER_CHECK(
      cudaMemsetAsync(s.state, 0, state.size() * sizeof(float), stream));
  CARACAL_LAUNCHER_CHECK(
      cudaMemsetAsync(s.norm, 0, norm.size() * sizeof(float), stream));
  std::vector<StateRows> table;
  for (int64_t i = 0; i < N; ++i) {
    const int64_t begin = texts.offsets[i];
    const int64_t length = texts.offsets[i + 1] - begin;
    table.push_back({begin + std::min(config.sinks, length),
                     begin + WindowStart(config.window_kind, config.window,
                                         length, length)});
  }
  if (rows == 0) return;
  auto* const memory = static_cast<char*>(workspace.data);
  CudaUpload(table.data(), table.size() * sizeof(StateRows), memory, stream);
  s.rows = reinterpret_cast<const StateRows*>(memory);
  auto* const phi =
      reinterpret_cast<float*>(memory + Aligned(N * sizeof(StateRows)));
  s.phi = phi;
  const HeadRows<const bf16> k = a.k, v = a.v;
  const int64_t chunk = ChunkRows(a);
  const auto in = [](int64_t row, const int64_t* offsets, int64_t n) {
    return std::upper_bound(offsets, offsets + n + 1, row) - offsets - 1;
  };
  for (int64_t begin = 0; begin < rows; begin += chunk) {
    a.rows = std::min(chunk, rows - begin);
    s.first_row = begin;
    a.k.data = k.data + begin * k.row;
    a.v.data = v.data + begin * v.row;
    const int64_t first = in(begin, texts.offsets, N);
    const int64_t last = in(begin + a.rows - 1, texts.offsets, N);
    // Where nothing has left a window there is nothing to do.
    if (std::none_of(&table[first], &table[last] + 1, [&](const StateRows& r) {
          return std::max(r.begin, begin) < std::min(r.end, begin + a.rows);
        })) {
      continue;
    }
    PlainKeyFeatures(a, phi, stream);
    s.first_sequence = static_cast<int>(first);
    const int tiles =
        (a.D + kSide - 1) / kSide * ((a.Fout + kSide - 1) / kSide);
    AddToStates<<<dim3(tiles, a.H, static_cast<unsigned>(last - first + 1)),
                  kThreads, 0, stream>>>(s);
    CARACAL_CUDA_CHECK_LAUNCH();
  }
}

}  // namespace
}  // namespace cuda::decode

size_t HybridAttentionDecodeStatesCudaWorkspaceBytes(
    const HybridAttentionConfig& config,
    const HybridAttentionDecodeTexts& texts) {
  using cuda::Aligned;
  const cuda::Args a = cuda::decode::ShapeOf(config, texts);
  return Aligned(texts.sequences * sizeof(cuda::decode::StateRows)) +
         cuda::decode::ChunkRows(a) * a.H * a.Fout * sizeof(float);
}

void HybridAttentionDecodeStatesCuda(const Context& ctx,
                                     const HybridAttentionConfig& config,
                                     const HybridAttentionDecodeTexts& texts,
                                     TensorView state, TensorView state_norm,
                                     Workspace workspace) {
  cuda::decode::Run(ctx, config, texts, state, state_norm, workspace);
}

}  // namespace caracal::kernels
