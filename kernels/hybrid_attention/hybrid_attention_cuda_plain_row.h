// What the plain CUDA kernels share: reductions, and one row's weights.
// Included only by their sources.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PLAIN_ROW_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PLAIN_ROW_H_

#include "kernels/hybrid_attention/hybrid_attention_cuda_plain.h"

namespace caracal::kernels::cuda {

inline constexpr int kPlainThreads = 128;

__device__ __forceinline__ float WarpSum(float x) {
  for (int m = 16; m > 0; m /= 2) x += __shfl_xor_sync(~0u, x, m);
  return x;
}

// Sum over the block, the same for all threads. `shared` holds 32 floats.
__device__ __forceinline__ float BlockSum(float x, float* shared) {
  x = WarpSum(x);
  __syncthreads();
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = x;
  __syncthreads();
  float sum = 0;
  for (int i = 0; i < blockDim.x / 32; ++i) sum += shared[i];
  return sum;
}

__device__ __forceinline__ int FindSequence(const Args& a, int64_t row) {
  int low = 0, high = a.sequences - 1;  // the last with offsets[i] <= row
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (a.offsets[middle] <= row) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

// Warp-wide: dot product of two bf16 rows.
__device__ __forceinline__ float DotRows(int64_t n, const bf16* x,
                                         const bf16* y) {
  float sum = 0;
  for (int i = threadIdx.x % 32; i < n; i += 32) {
    sum += __bfloat162float(x[i]) * __bfloat162float(y[i]);
  }
  return WarpSum(sum);
}

__device__ __forceinline__ float DotFloats(int64_t n, const float* x,
                                           const float* y) {
  float sum = 0;
  for (int i = threadIdx.x % 32; i < n; i += 32) sum += x[i] * y[i];
  return WarpSum(sum);
}

__device__ __forceinline__ int64_t StateSlot(const Args& a, int sequence,
                                             int boundary) {
  return a.offsets[sequence] / kTile + boundary - 1;
}

// Row (row, head): the keys it looks at one by one, with their weights in
// shared memory. Far sinks come first, then [StateEnd, n].
struct PlainRow {
  int64_t row, begin;  // absolute row; the sequence's first
  int head, kv, sequence, terms;
  int n, start, state_end, far_sinks, keys;
  float gamma, alpha, root;
  float c;     // exact row maximum
  int argmax;  // index of its key
  float *e, *l, *g;

  __device__ int Key(int i) const {
    return i < far_sinks ? i : state_end + i - far_sinks;
  }
};

__device__ __forceinline__ PlainRow MakePlainRow(const Args& a, int64_t row,
                                                 int head, float* shared) {
  PlainRow r;
  r.row = row;
  r.head = head;
  r.kv = KvHead(a, head);
  r.sequence = FindSequence(a, row);
  r.begin = a.offsets[r.sequence];
  r.terms = TermsOf(a, r.sequence, head);
  r.n = static_cast<int>(row - r.begin);
  const int phase = Phase(a, a.offsets[r.sequence + 1] - r.begin);
  r.start = Start(a, r.n, phase);
  r.state_end = StateEnd(a, r.n, phase);
  r.far_sinks = min(a.sinks, r.state_end);
  r.keys = r.far_sinks + r.n - r.state_end + 1;
  r.gamma = Gamma(a, head);
  r.alpha = Alpha(a, r.gamma);
  r.root = rsqrtf(static_cast<float>(a.D));
  r.e = shared;
  r.l = shared + r.keys;
  r.g = shared + 2 * r.keys;
  return r;
}

// Fills e (exp(s - c) of the softmax terms), l (phi.phi of the linear terms),
// c and argmax. Ends with a barrier.
__device__ __forceinline__ void RowWeights(const Args& a, const float* phi_q,
                                           const float* phi_k, PlainRow& r) {
  const int warp = threadIdx.x / 32, warps = blockDim.x / 32;
  for (int i = warp; i < r.keys; i += warps) {
    const int j = r.Key(i);
    const int64_t key_row = r.begin + j;
    const float s =
        InSoftmaxSet(a, r.start, j)
            ? DotRows(a.D, At(a.q, r.row, r.head), At(a.k, key_row, r.kv)) *
                  r.root
            : -INFINITY;
    const bool linear = i >= r.far_sinks && LinearTerm(a, r.terms, r.start, j);
    const float l =
        linear ? DotFloats(a.Fout, phi_q + (r.head * a.rows + r.row) * a.Fout,
                           phi_k + (r.head * a.rows + key_row) * a.Fout)
               : 0.0f;
    if (threadIdx.x % 32 == 0) {
      r.e[i] = s;
      r.l[i] = l;
    }
  }
  __syncthreads();
  r.c = -INFINITY;
  r.argmax = 0;
  for (int i = 0; i < r.keys; ++i) {
    if (r.e[i] > r.c) {
      r.c = r.e[i];
      r.argmax = i;
    }
  }
  __syncthreads();
  for (int i = threadIdx.x; i < r.keys; i += blockDim.x) {
    const bool kept = SoftmaxTerm(a, r.terms, r.start, r.Key(i));
    r.e[i] = kept ? expf(r.e[i] - r.c) : 0.0f;
  }
  __syncthreads();
}

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PLAIN_ROW_H_
