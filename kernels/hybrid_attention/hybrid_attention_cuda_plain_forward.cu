// Plain CUDA version: features, stored states, forward rows.
#include "kernels/common/cuda_check.h"
#include "kernels/common/cuda_early_launch.h"
#include "kernels/common/cuda_mma.h"
#include "kernels/common/cuda_shared.h"
#include "kernels/feature_map/feature_map_cuda.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_plain.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_plain_row.h"

namespace caracal::kernels::cuda {
namespace {

constexpr int kFeatureRows = 64;     // rows a block of Features takes at most
constexpr int kFeatureColumns = 32;  // of the map, at a time
constexpr int kPad = 8;              // elements between rows in shared memory
constexpr int kAtOnce = 4;           // rows whose features a warp makes at once
constexpr int kLanes = 32 / kAtOnce;

int RoundUp(int n, int to) { return (n + to - 1) / to * to; }

// Of one block: x [rows, D], a part of the map as bf16 numbers that add up to
// it [kSplit, D, kFeatureColumns], z [rows, F] and features of kAtOnce rows a
// warp.
struct FeaturesMemory {
  int rows, d, f;  // D to a multiple of 16, F to one of kFeatureColumns
  size_t weight, z, out, bytes;

  FeaturesMemory(const Args& a, int rows)
      : rows(rows), d(RoundUp(a.D, 16)), f(RoundUp(a.F, kFeatureColumns)) {
    weight = rows * (d + kPad) * sizeof(bf16);
    z = weight + kSplit * d * (kFeatureColumns + kPad) * sizeof(bf16);
    out = z + rows * (f + kPad) * sizeof(float);
    bytes = out + rows / 16 * kAtOnce * a.Fout * sizeof(float);
  }
};

// phi [H, rows, Fout] of x, and the same rounded, padded with zeros to rows of
// `padded`, or null. Block: rows of one head, 16 a warp.
__global__ void Features(Args a, HeadRows<const bf16> x, bool keys, float* phi,
                         bf16* rounded, int padded, FeaturesMemory memory) {
  extern __shared__ __align__(16) char block[];
  const int head = blockIdx.y, D = a.D, F = a.F;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * memory.rows;
  const int count = min(static_cast<int64_t>(memory.rows), a.rows - first);
  const int map = MapOf(a, head);
  const float* weight = (keys ? a.weight_k : a.weight_q) + map * a.D * a.F;
  const float* bias = keys ? a.bias_k : a.bias_q;
  const int x_head = keys ? KvHead(a, head) : head;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int x_stride = memory.d + kPad, z_stride = memory.f + kPad;
  constexpr int kStride = kFeatureColumns + kPad;
  bf16* const xs = reinterpret_cast<bf16*>(block);
  auto* const ws = reinterpret_cast<uint32_t*>(block + memory.weight);
  float* const z = reinterpret_cast<float*>(block + memory.z);
  for (int r = threadIdx.x / 8; r < memory.rows; r += blockDim.x / 8) {
    for (int d = threadIdx.x % 8 * 8; d < memory.d; d += 64) {
      const bool in = r < count && d < D;
      CopyAsync(SharedAddress(xs + r * x_stride + d),
                in ? At(x, first + r, x_head) + d : x.data, in);
    }
  }
  CopyCommit();
  CopyWait();
  const uint32_t rows =
      SharedAddress(xs + (16 * warp + lane % 16) * x_stride + lane / 16 * 8);
  const int part = memory.d * kStride;  // elements of each part of the map
  for (int f0 = 0; f0 < F; f0 += kFeatureColumns) {
    __syncthreads();
    for (int i = threadIdx.x; i < memory.d * kFeatureColumns / 2;
         i += blockDim.x) {
      const int d = i / (kFeatureColumns / 2), c = i % (kFeatureColumns / 2);
      const auto value = [&](int f) {
        return d < D && f < F ? weight[d * F + f] : 0.0f;
      };
      uint32_t words[kSplit];
      SplitPair(value(f0 + 2 * c), value(f0 + 2 * c + 1), words);
#pragma unroll
      for (int s = 0; s < kSplit; ++s) {
        ws[(s * part + d * kStride) / 2 + c] = words[s];
      }
    }
    __syncthreads();
    float sums[kFeatureColumns / 8][4] = {};
    const uint32_t columns =
        SharedAddress(ws) + 2 * (lane % 16 * kStride + lane / 16 * 8);
    for (int d = 0; d < memory.d; d += 16) {
      uint32_t x16[4];
      LoadMatrices(rows + 2 * d, x16);
#pragma unroll
      for (int s = 0; s < kSplit; ++s) {
#pragma unroll
        for (int b = 0; b < kFeatureColumns / 16; ++b) {
          MmaRows(sums[2 * b], sums[2 * b + 1], x16,
                  columns + 2 * (s * part + d * kStride + 16 * b));
        }
      }
    }
#pragma unroll
    for (int i = 0; i < kFeatureColumns / 2; ++i) {
      const int row = 16 * warp + lane / 4 + i / 2 % 2 * 8;
      const int f = f0 + i / 4 * 8 + lane % 4 * 2 + i % 2;
      if (f >= F) continue;
      z[row * z_stride + f] =
          sums[i / 4][i % 4] + (bias == nullptr ? 0.0f : bias[map * F + f]);
    }
  }
  __syncwarp();
  float* const out =
      reinterpret_cast<float*>(block + memory.out) + warp * kAtOnce * a.Fout;
  const int mine = lane / kLanes;
  for (int r = 16 * warp; r < min(16 * warp + 16, count); r += kAtOnce) {
    for (int half = 0; half < a.Fout / F; ++half) {
      float* const to = out + mine * a.Fout + half * F;
      FeatureHalf<kLanes>(a.map, half, F, z + (r + mine) * z_stride,
                          lane % kLanes,
                          [&](int f, float feature) { to[f] = feature; });
    }
    __syncwarp();
    for (int i = 0; i < min(kAtOnce, count - r); ++i) {
      const int64_t row = head * a.rows + first + r + i;
      const float* const from = out + i * a.Fout;
      for (int f = lane; f < a.Fout; f += 32) phi[row * a.Fout + f] = from[f];
      for (int f = lane; rounded != nullptr && f < padded; f += 32) {
        rounded[row * padded + f] =
            __float2bfloat16(f < a.Fout ? from[f] : 0.0f);
      }
    }
    __syncwarp();
  }
}

// Sums over a sequence's keys, stored at each multiple of kTile. Block: one
// feature, head and sequence; a thread a value column.
__global__ void States(Args a, const float* phi_k, float* state, float* norm) {
  const int f = blockIdx.x, head = blockIdx.y, sequence = blockIdx.z;
  const int64_t begin = a.offsets[sequence];
  const int length = a.offsets[sequence + 1] - begin;
  const int terms = TermsOf(a, sequence, head), kv = KvHead(a, head);
  if (!AnyLinear(terms)) return;
  for (int d = threadIdx.x; d < a.D; d += blockDim.x) {
    float sum = 0, total = 0;
    for (int j = 0; j < length / kTile * kTile; ++j) {
      if (StateTerm(a, terms, j)) {
        const float p = phi_k[(head * a.rows + begin + j) * a.Fout + f];
        sum += p * __bfloat162float(At(a.v, begin + j, kv)[d]);
        total += p;
      }
      if ((j + 1) % kTile != 0) continue;
      const int64_t at =
          (StateSlot(a, sequence, (j + 1) / kTile) * a.H + head) * a.Fout + f;
      state[at * a.D + d] = sum;
      if (d == 0) norm[at] = total;
    }
  }
}

__global__ void ForwardRows(Args a, PlainScratch scratch) {
  extern __shared__ float shared[];
  __shared__ float reduce[32];
  PlainRow r = MakePlainRow(a, blockIdx.x, blockIdx.y, shared);
  RowWeights(a, scratch.phi_q, scratch.phi_k, r);
  float softmax = 0, linear = 0;
  for (int i = threadIdx.x; i < r.keys; i += blockDim.x) {
    softmax += r.gamma * r.e[i];
    linear += r.alpha * r.l[i];
  }
  const bool past = r.state_end > 0 && AnyLinear(r.terms);
  const int64_t slot =
      past ? StateSlot(a, r.sequence, r.state_end / kTile) * a.H + r.head : 0;
  const float* phi_q = scratch.phi_q + (r.head * a.rows + r.row) * a.Fout;
  for (int f = threadIdx.x; past && f < a.Fout; f += blockDim.x) {
    linear += r.alpha * phi_q[f] * scratch.norm[slot * a.Fout + f];
  }
  softmax = BlockSum(softmax, reduce);
  linear = BlockSum(linear, reduce);
  const float den = softmax + linear;
  for (int d = threadIdx.x; d < a.D; d += blockDim.x) {
    float sum = 0;
    for (int i = 0; i < r.keys; ++i) {
      sum += (r.gamma * r.e[i] + r.alpha * r.l[i]) *
             __bfloat162float(At(a.v, r.begin + r.Key(i), r.kv)[d]);
    }
    for (int f = 0; past && f < a.Fout; ++f) {
      sum += r.alpha * phi_q[f] * scratch.state[(slot * a.Fout + f) * a.D + d];
    }
    const float y = den <= 0 ? 0.0f : sum / den;
    At(a.y, r.row, r.head)[d] = __float2bfloat16(y);
  }
  if (threadIdx.x > 0) return;
  const int64_t at = r.head * a.rows + r.row;
  if (a.row_max != nullptr) a.row_max[at] = r.c;
  if (a.softmax_den != nullptr) a.softmax_den[at] = softmax;
  if (a.linear_den != nullptr) a.linear_den[at] = linear;
}

void LaunchFeatures(const Args& a, HeadRows<const bf16> x, bool keys,
                    float* phi, bf16* rounded, int padded,
                    cudaStream_t stream) {
  FeaturesMemory memory(a, kFeatureRows);
  while (memory.rows > 16 && memory.bytes > MostSharedBytes()) {
    memory = FeaturesMemory(a, memory.rows / 2);
  }
  CARACAL_LAUNCHER_CHECK(cudaFuncSetAttribute(
      Features, cudaFuncAttributeMaxDynamicSharedMemorySize, memory.bytes));
  const dim3 grid((a.rows + memory.rows - 1) / memory.rows, a.H);
  Features<<<grid, 2 * memory.rows, memory.bytes, stream>>>(
      a, x, keys, phi, rounded, padded, memory);
  CARACAL_CUDA_CHECK_LAUNCH();
}

}  // namespace

PlainScratch PlainForwardScratch(const Args& a, void* memory) {
  PlainScratch s;
  const auto take = [&](auto*& pointer, int64_t count) {
    pointer = reinterpret_cast<std::remove_reference_t<decltype(pointer)>>(
        reinterpret_cast<uintptr_t>(memory) + s.bytes);
    s.bytes += (count * sizeof(*pointer) + 255) / 256 * 256;
  };
  const int64_t slots = a.rows / kTile + 1;
  take(s.phi_q, a.H * a.rows * a.Fout);
  take(s.phi_k, a.H * a.rows * a.Fout);
  take(s.state, slots * a.H * a.Fout * a.D);
  take(s.norm, slots * a.H * a.Fout);
  return s;
}

size_t PlainRowBytes(const Args& a) {
  const int64_t span = int64_t{a.terraced ? 2 : 1} * a.window + kTile;
  return 3 * sizeof(float) * (a.sinks + std::min(span, a.rows));
}

void PlainKeyFeatures(const Args& a, float* phi_k, cudaStream_t stream) {
  LaunchFeatures(a, a.k, true, phi_k, nullptr, 0, stream);
}

void PlainFeatures(const Args& a, const PlainScratch& s, cudaStream_t stream,
                   bf16* rounded_q, bf16* rounded_k, int padded) {
  if (a.F == 0) return;
  LaunchFeatures(a, a.q, false, s.phi_q, rounded_q, padded, stream);
  LaunchFeatures(a, a.k, true, s.phi_k, rounded_k, padded, stream);
}

void PlainPrepare(const Args& a, const PlainScratch& s, cudaStream_t stream) {
  if (a.F == 0) return;
  PlainFeatures(a, s, stream);
  States<<<dim3(a.Fout, a.H, a.sequences), kPlainThreads, 0, stream>>>(
      a, s.phi_k, s.state, s.norm);
  CARACAL_CUDA_CHECK_LAUNCH();
}

void PlainForward(const Args& a, const PlainScratch& s, cudaStream_t stream) {
  PlainPrepare(a, s, stream);
  const size_t bytes = PlainRowBytes(a);
  CARACAL_LAUNCHER_CHECK(cudaFuncSetAttribute(
      ForwardRows, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  ForwardRows<<<dim3(a.rows, a.H), kPlainThreads, bytes, stream>>>(a, s);
  CARACAL_CUDA_CHECK_LAUNCH();
}

}  // namespace caracal::kernels::cuda
