// Plain CUDA version: features, stored states, forward rows.
#include "kernels/common/cuda_check.h"
#include "kernels/feature_map/feature_map_cuda.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_plain.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_plain_row.h"

namespace caracal::kernels::cuda {
namespace {

constexpr int kFeatureRows = 16;  // rows a block of Features takes

// phi [H, rows, Fout] of x. Block: kFeatureRows rows of one head; shared:
// x [kFeatureRows, D], z [kFeatureRows, F].
__global__ void Features(Args a, HeadRows<const bf16> x, bool keys,
                         float* phi) {
  extern __shared__ float shared[];
  const int head = blockIdx.y, D = a.D, F = a.F;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kFeatureRows;
  const int count = min(static_cast<int64_t>(kFeatureRows), a.rows - first);
  const int map = MapOf(a, head);
  const float* weight = (keys ? a.weight_k : a.weight_q) + map * a.D * a.F;
  const float* bias = keys ? a.bias_k : a.bias_q;
  const int x_head = keys ? KvHead(a, head) : head;
  float* z = shared + kFeatureRows * D;
  for (int i = threadIdx.x; i < count * D; i += blockDim.x) {
    shared[i] = __bfloat162float(At(x, first + i / D, x_head)[i % D]);
  }
  __syncthreads();
  for (int f = threadIdx.x; f < F; f += blockDim.x) {
    float sum[kFeatureRows];
    for (float& s : sum) s = bias == nullptr ? 0.0f : bias[map * F + f];
    for (int d = 0; d < D; ++d) {
      const float w = weight[d * F + f];
      for (int r = 0; r < kFeatureRows; ++r) {
        if (r < count) sum[r] += shared[r * D + d] * w;
      }
    }
    for (int r = 0; r < count; ++r) z[r * F + f] = sum[r];
  }
  __syncthreads();
  const int lane = threadIdx.x % 32;
  for (int r = threadIdx.x / 32; r < count; r += blockDim.x / 32) {
    float* out = phi + (head * a.rows + first + r) * a.Fout;
    for (int half = 0; half < a.Fout / F; ++half) {
      FeatureHalf(a.map, half, F, z + r * F, out + half * F, lane);
    }
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
                    float* phi, cudaStream_t stream) {
  const dim3 grid((a.rows + kFeatureRows - 1) / kFeatureRows, a.H);
  const size_t bytes = kFeatureRows * (a.D + a.F) * sizeof(float);
  Features<<<grid, kPlainThreads, bytes, stream>>>(a, x, keys, phi);
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
  LaunchFeatures(a, a.k, true, phi_k, stream);
}

void PlainFeatures(const Args& a, const PlainScratch& s, cudaStream_t stream) {
  if (a.F == 0) return;
  LaunchFeatures(a, a.q, false, s.phi_q, stream);
  LaunchFeatures(a, a.k, true, s.phi_k, stream);
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
