// A block takes one head of one sequence. Where there are few of them, a slice
// of its columns: scores and features are then computed by every slice, the
// state is read and written once. Where there are many, a kernel of its own
// takes the states, which is what such a step waits for, and what leads there
// is shared among sequences and heads.
#include <algorithm>

#include "kernels/common/cuda_check.h"
#include "kernels/common/cuda_early_launch.h"
#include "kernels/hybrid_attention/hybrid_attention_decode_cuda.h"
#include "kernels/hybrid_attention/hybrid_attention_decode_cuda_parts.h"

namespace caracal::kernels {
namespace cuda::decode {
namespace {

// Heads of all sequences from which on there are two kernels.
constexpr int64_t kManyHeads = 512;

__global__ void __launch_bounds__(kThreads, 2)
    Decode(const __grid_constant__ DecodeArgs d) {
  extern __shared__ __align__(16) char memory[];
  Shared& shared = *reinterpret_cast<Shared*>(memory);
  const Args& a = d.a;
  const int slice = blockIdx.x, head = blockIdx.y, sequence = blockIdx.z;
  const int columns = a.D / d.slices, column = slice * columns;
  const int64_t slot = int64_t{sequence} * a.H + head;
  float* const state = d.state + slot * a.Fout * a.D + column;
  float* const norm = d.norm + slot * a.Fout;
  float* const maps =
      d.maps_at == 0 ? nullptr : reinterpret_cast<float*>(memory + d.maps_at);
  // The kernel before has no part in cache and maps.
  if (maps != nullptr) CopyMaps(a, head, maps);
  FetchState(d, state, columns);
  const int terms = a.terms[sequence * a.H + head];
  const bool linear = AnyLinear(terms);
  const Head h(d, sequence, KvHead(a, head));
  const int n = h.n;
  const int far = min(a.sinks, h.start), keys = far + n + 1 - h.start;
  // Keys that the state takes in: they have left the next token's window.
  const int leaving = max(h.start, a.sinks);
  const int leaving_end = d.state == nullptr ? 0 : Start(a, n + 1);

  FetchWindow(d, h, far, keys, column, columns);
  AwaitEarlier();

  LoadToken(d, At(d.q, sequence, head), n, shared.q);
  LoadToken(d, At(d.k, sequence, h.kv), n, shared.k);
  if (leaving < leaving_end) {
    if (leaving < n) Load(h.Key(d, leaving), a.D, shared.key);
    Load(h.Value(d, leaving) + column, columns, shared.value);
  }
  for (int i = threadIdx.x; i < kWarps * 128; i += kThreads) {
    shared.sums[i / 128][i % 128] = 0;
  }
  __syncthreads();
  Scores(d, h, far, keys, rsqrtf(static_cast<float>(a.D)), shared.q, shared.k,
         shared.weight);
  AwaitMaps();
  // In a window of one key the token itself leaves.
  const float* const leaver = leaving >= leaving_end ? nullptr
                              : leaving < n          ? shared.key
                                                     : shared.k;
  Features(a, head, maps, linear ? shared.q : nullptr, leaver, shared,
           shared.phi_q, shared.phi_k);

  const float gamma = Gamma(a, head), alpha = Alpha(a, gamma);
  float most = -FLT_MAX, den = 0;
  for (int i = threadIdx.x; i < keys; i += kThreads) {
    most = fmaxf(most, shared.weight[i]);
  }
  most = BlockMax(most, shared.reduce);
  for (int i = threadIdx.x; i < keys; i += kThreads) {
    const int j = i < far ? i : h.start + i - far;
    const bool kept = SoftmaxTerm(a, terms, h.start, j);
    const float w = kept ? gamma * expf(shared.weight[i] - most) : 0.0f;
    shared.weight[i] = w;
    den += w;
  }
  const int warp = threadIdx.x / 32;
  if ((terms & kLinearPastTerms) && d.state != nullptr) {
    for (int f = threadIdx.x; f < a.Fout; f += kThreads) {
      den += alpha * shared.phi_q[f] * norm[f];
    }
  }
  if (d.state != nullptr &&
      ((terms & kLinearPastTerms) || leaving < leaving_end)) {
    const float scale = terms & kLinearPastTerms ? alpha : 0.0f;
    if (scale == 0) {
      for (int f = threadIdx.x; f < a.Fout; f += kThreads) shared.phi_q[f] = 0;
      __syncthreads();
    }
    ReadState(a, state, columns, shared.phi_q, shared.phi_k, shared.value,
              leaving < leaving_end, scale, shared.sums[warp]);
  }
  // Component modes look at the linear terms of near keys, too.
  if (terms & kLinearNearTerms) {
    if (!(terms & kLinearPastTerms)) {
      Features(a, head, maps, shared.q, nullptr, shared, shared.phi_q, nullptr);
    }
    float* const phi = shared.weight + keys;  // [Fout]
    float* const x = phi + a.Fout;            // [D]
    for (int i = 0; i < keys; ++i) {
      const int j = i < far ? i : h.start + i - far;
      __syncthreads();
      LoadKey(d, h, j, shared.k, x);
      Features(a, head, maps, nullptr, x, shared, nullptr, phi);
      float dot = 0;
      for (int f = threadIdx.x % 32; f < a.Fout; f += 32) {
        dot += shared.phi_q[f] * phi[f];
      }
      dot = alpha * WarpTotal(dot);
      if (threadIdx.x == 0) {
        shared.weight[i] += dot;
        den += dot;
      }
    }
  }
  den = BlockTotal<kThreads>(den, shared.reduce);  // a barrier, too
  Values(d, h, far, keys, column, columns, shared.weight, shared.sums[warp]);
  __syncthreads();
  bf16* const y = At(d.y, sequence, head) + column;
  for (int c = threadIdx.x; c < columns; c += kThreads) {
    float sum = 0;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) sum += shared.sums[w][c];
    y[c] = __float2bfloat16_rn(den == 0 ? 0.0f : sum / den);
  }

  SliceBarrier(d.slices);  // All have read the norm.
  for (int j = leaving; j < leaving_end; ++j) {
    if (j > leaving) {  // A terrace: a block of keys leaves at once.
      __syncthreads();
      LoadKey(d, h, j, shared.k, shared.key);
      Load(h.Value(d, j) + column, columns, shared.value);
      Features(a, head, maps, nullptr, shared.key, shared, nullptr,
               shared.phi_k);
      ReadState(a, state, columns, shared.phi_q, shared.phi_k, shared.value,
                true, 0, shared.sums[warp]);
    }
    if (slice == 0) {
      for (int f = threadIdx.x; f < a.Fout; f += kThreads) {
        norm[f] += shared.phi_k[f];
      }
    }
  }
  if (slice == 0 && head % (a.H / a.Hkv) == 0)
    PutToken<kThreads>(d, h, shared.k);
}

__global__ void Advance(int32_t* length, int64_t sequences) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < sequences) ++length[i];
}

// Few heads: as many slices of 32 columns or more as fill the chip.
int Slices(int64_t heads, int D, int* major) {
  *major = MajorCapability();
  const int processors = Multiprocessors();
  int slices = 1;
  const auto split = [&] { return D % (16 * slices) == 0; };
  while (*major >= 9 && slices < 4 && split() && D / slices >= 64 &&
         (heads * slices < 2 * processors || D / slices > 128)) {
    slices *= 2;
  }
  CARACAL_CHECK(D / slices <= 128) << "head dimension " << D;
  return slices;
}

bf16* BindCache(const TensorView& view, int64_t N, int64_t fewest_rows,
                const Args& a) {
  if (!view.defined() && fewest_rows == 0) return nullptr;
  CARACAL_CHECK(view.rank == 4 && view.dtype == DType::kBF16 &&
                view.contiguous());
  CARACAL_CHECK(view.shape[0] == N && view.shape[1] >= fewest_rows &&
                view.shape[2] == a.Hkv && view.shape[3] == a.D)
      << "cache [" << view.shape[0] << ", " << view.shape[1] << ", "
      << view.shape[2] << ", " << view.shape[3] << "], wanted [" << N
      << ", >= " << fewest_rows << ", " << a.Hkv << ", " << a.D << "]";
  return static_cast<bf16*>(view.data);
}

size_t SharedBytes(int64_t ring, int64_t sinks, int64_t Fout, int64_t D) {
  return sizeof(Shared) + (ring + sinks + Fout + D) * sizeof(float);
}

// Keys that a window reaches, at most.
int64_t RingRows(const HybridAttentionConfig& config) {
  return (config.window_kind == WindowKind::kTerraced ? 2 : 1) * config.window;
}

bool Supports(const HybridAttentionConfig& config, int64_t D, int64_t F) {
  if (config.window_kind == WindowKind::kLolcatsTerraced || D > 256 ||
      F > kMostFeatures || (D > 128 && MajorCapability() < 9)) {
    return false;
  }
  const int64_t Fout = FeatureMapOutputs(config.feature_map, F);
  return SharedBytes(RingRows(config), config.sinks, Fout, D) <=
         MostSharedBytes();
}

void Launch(DecodeArgs d, int64_t ring, int64_t N, int major,
            cudaStream_t stream) {
  const Args& a = d.a;
  size_t bytes = SharedBytes(ring, a.sinks, a.Fout, a.D);
  // Beside maps of this size a block of the next kernel finds room.
  constexpr size_t kMostMaps = 64 << 10;
  const size_t maps = 2 * sizeof(float) * a.D * a.F;
  const size_t maps_at = (bytes + 15) / 16 * 16;
  if (a.F > 0 && a.F % 4 == 0 && maps <= kMostMaps &&
      maps_at + maps <= MostSharedBytes()) {
    d.maps_at = static_cast<int>(maps_at);
    bytes = maps_at + maps;
  }
  CARACAL_LAUNCHER_CHECK(cudaFuncSetAttribute(
      Decode, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  cudaLaunchConfig_t launch = {};
  launch.gridDim = dim3(d.slices, a.H, N);
  launch.blockDim = dim3(kThreads);
  launch.dynamicSmemBytes = bytes;
  launch.stream = stream;
  cudaLaunchAttribute attributes[2] = {EarlyLaunch(), {}};
  attributes[1].id = cudaLaunchAttributeClusterDimension;
  attributes[1].val.clusterDim.x = d.slices;
  attributes[1].val.clusterDim.y = attributes[1].val.clusterDim.z = 1;
  launch.attrs = attributes;
  launch.numAttrs = major < 9 ? 0 : d.slices > 1 ? 2 : 1;
  CARACAL_LAUNCHER_CHECK(cudaLaunchKernelEx(&launch, Decode, d));
}

bool TwoKernels(const HybridAttentionConfig& config, int64_t N, int64_t H,
                int64_t D) {
  return D <= kManyMostD && N * H >= kManyHeads &&
         config.window_kind == WindowKind::kSliding;
}

size_t WorkspaceBytes(const HybridAttentionConfig& config,
                      const HybridAttentionDecodeInputs& in) {
  const int64_t N = in.q.shape[0];
  Args a;
  a.H = in.q.shape[1], a.D = in.q.shape[2];
  if (!in.weight_q.defined() || !TwoKernels(config, N, a.H, a.D)) return 0;
  a.Fout = FeatureMapOutputs(config.feature_map, in.weight_q.shape[2]);
  return N * a.H * WorkOf(a) * sizeof(float);
}

void Run(const Context& ctx, const HybridAttentionConfig& config,
         const HybridAttentionDecodeInputs& in,
         const HybridAttentionDecodeCache& cache, TensorView y,
         Workspace workspace) {
  CARACAL_CHECK(config.window >= 1 && config.sinks >= 0);
  CARACAL_CHECK(config.window_kind != WindowKind::kLolcatsTerraced)
      << "window kind " << NameOf(config.window_kind);
  CARACAL_CHECK(in.q.rank == 3 && in.k.rank == 3 && in.terms != nullptr &&
                cache.length != nullptr);
  DecodeArgs d;
  Args& a = d.a;
  const int64_t N = in.q.shape[0];
  a.window = static_cast<int>(config.window);
  a.sinks = static_cast<int>(config.sinks);
  a.terraced = config.window_kind == WindowKind::kTerraced;
  a.affine = config.affine;
  a.H = in.q.shape[1], a.D = in.q.shape[2], a.Hkv = in.k.shape[1];
  CARACAL_CHECK(a.D >= 8 && a.D % 8 == 0) << "head dimension " << a.D;
  CARACAL_CHECK(a.Hkv >= 1 && a.H % a.Hkv == 0) << a.H << " over " << a.Hkv;
  a.terms = in.terms;
  if (in.weight_q.defined()) {
    BindMaps(config.feature_map, in.weight_q, a);
    CARACAL_CHECK(a.F >= 1 && a.F <= kMostFeatures) << a.F << " features";
    const int64_t size = int64_t{a.maps} * a.D * a.F;
    a.weight_q = BindF32(in.weight_q, size);
    a.weight_k = BindF32(in.weight_k, size);
    a.bias_q = BindF32(in.bias_q, int64_t{a.maps} * a.F);
    a.bias_k = BindF32(in.bias_k, int64_t{a.maps} * a.F);
  }
  a.window_factor = BindF32(in.window_factor, a.H);
  d.q = BindBf16<const bf16>(in.q, N, a.H, a.D);
  d.k = BindBf16<const bf16>(in.k, N, a.Hkv, a.D);
  d.v = BindBf16<const bf16>(in.v, N, a.Hkv, a.D);
  d.y = BindBf16<bf16>(y, N, a.H, a.D);
  d.length = cache.length;
  if (in.cos.defined()) {
    CARACAL_CHECK(in.cos.rank == 2 && in.sin.defined() && a.D % 2 == 0);
    d.cos = BindF32(in.cos, in.cos.shape[0] * a.D / 2);
    d.sin = BindF32(in.sin, in.cos.shape[0] * a.D / 2);
  }
  const int64_t ring = RingRows(config);
  if (cache.waiting.defined()) {
    CARACAL_CHECK_EQ(cache.waiting.rank, 4);
    d.waiting_rows = static_cast<int>(cache.waiting.shape[2]);
    CARACAL_CHECK(d.waiting_rows <= kMostWaiting) << d.waiting_rows;
    d.waiting = BindF32(cache.waiting, N * a.H * d.waiting_rows * a.Fout);
    d.begun = cache.begun;
  }
  d.ring_k = BindCache(cache.ring_k, N, ring + d.waiting_rows, a);
  d.ring_v = BindCache(cache.ring_v, N, ring + d.waiting_rows, a);
  d.sink_k = BindCache(cache.sink_k, N, a.sinks, a);
  d.sink_v = BindCache(cache.sink_v, N, a.sinks, a);
  d.ring_rows = cache.ring_k.shape[1];
  d.sink_rows = a.sinks > 0 ? cache.sink_k.shape[1] : 0;
  CARACAL_CHECK_EQ(cache.ring_v.shape[1], d.ring_rows);
  d.state = BindF32(cache.state, N * a.H * a.Fout * a.D);
  d.norm = BindF32(cache.state_norm, N * a.H * a.Fout);
  CARACAL_CHECK((d.state == nullptr) == (d.norm == nullptr));
  CARACAL_CHECK(d.state == nullptr || a.weight_q != nullptr);
  if (N == 0) return;
  int major = 0;
  d.slices = Slices(N * a.H, a.D, &major);

  const auto stream = static_cast<cudaStream_t>(ctx.stream);
  const size_t needed = WorkspaceBytes(config, in);
  CARACAL_CHECK(workspace.bytes >= needed)
      << workspace.bytes << " of " << needed;
  if (needed > 0 && d.state != nullptr) {
    d.work = static_cast<float*>(workspace.data);
    d.slices = 1;
    LaunchPrepare(d, N, stream);
    LaunchState(d, N, stream);
  } else {
    CARACAL_CHECK_EQ(d.waiting_rows, 0) << " with " << N << " sequences";
    Launch(d, ring, N, major, stream);
  }
}

}  // namespace
}  // namespace cuda::decode

bool HybridAttentionDecodeCudaSupports(const HybridAttentionConfig& config,
                                       int64_t head_dim, int64_t features) {
  return cuda::decode::Supports(config, head_dim, features);
}

int64_t HybridAttentionDecodeCudaWaitingKeys(
    const HybridAttentionConfig& config, int64_t sequences, int64_t heads,
    int64_t head_dim) {
  using namespace cuda::decode;
  return TwoKernels(config, sequences, heads, head_dim) ? kMostWaiting : 0;
}

size_t HybridAttentionDecodeCudaWorkspaceBytes(
    const HybridAttentionConfig& config,
    const HybridAttentionDecodeInputs& in) {
  return cuda::decode::WorkspaceBytes(config, in);
}

void HybridAttentionDecodeCuda(const Context& ctx,
                               const HybridAttentionConfig& config,
                               const HybridAttentionDecodeInputs& in,
                               const HybridAttentionDecodeCache& cache,
                               TensorView y, Workspace workspace) {
  cuda::decode::Run(ctx, config, in, cache, y, workspace);
}

void HybridAttentionDecodeAdvanceCuda(const Context& ctx, int32_t* length,
                                      int64_t sequences) {
  if (sequences == 0) return;
  cuda::decode::Advance<<<static_cast<unsigned>((sequences + 255) / 256), 256,
                          0, static_cast<cudaStream_t>(ctx.stream)>>>(
      length, sequences);
  CARACAL_CUDA_CHECK_LAUNCH();
}

}  // namespace caracal::kernels
