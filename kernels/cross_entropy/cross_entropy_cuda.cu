// A block goes through a row once. Statistics: each thread keeps the maximum
// and the sum of its elements so far, rescaled when the maximum grows; then
// the block's are combined in a fixed order.
#include <cfloat>
#include <climits>

#include "kernels/common/cuda_check.h"
#include "kernels/common/cuda_matrix.h"
#include "kernels/common/cuda_pack.h"
#include "kernels/cross_entropy/cross_entropy_cuda.h"

namespace caracal::kernels {
namespace {

using cuda::bf16;
using cuda::FromFloat;
using cuda::kLanes;
using cuda::LoadPack;
using cuda::Pack;
using cuda::StorePack;
using cuda::ToFloat;
using cuda::Unpack;

constexpr int kThreads = 256;
// Packs a thread loads before it uses the first.
constexpr int kPacks = 4;

template <typename T>
struct Args {
  CudaMatrix<T> logits;  // written by the gradient only
  const int32_t* targets;
  int64_t vocab_begin;
  float *row_max, *sum_exp, *target_logit;
  int32_t* argmax;
  const float *lse, *row_weight;
};

// Of some elements: their maximum, where it first is, and the sum of
// exp(x - max). The lowest finite number, rather than -infinity, stands for
// the maximum of none, so that no difference of infinities arises.
struct Running {
  float max = -FLT_MAX;
  float sum = 0;
  int index = INT_MAX;
};

__device__ __forceinline__ void Join(float max, float sum, int index,
                                     Running& r) {
  const bool first = max > r.max || (max == r.max && index < r.index);
  const float highest = fmaxf(max, r.max);
  r.sum = r.sum * __expf(r.max - highest) + sum * __expf(max - highest);
  r.max = highest;
  if (first) r.index = index;
}

// n elements (at most a pack), the first of them column `at`.
template <int n>
__device__ __forceinline__ void Add(const float (&x)[n], int at, Running& r) {
  float highest = r.max;
#pragma unroll
  for (int j = 0; j < n; ++j) highest = fmaxf(highest, x[j]);
  if (highest > r.max) {
#pragma unroll
    for (int j = n - 1; j >= 0; --j) {
      if (x[j] == highest) r.index = at + j;
    }
    r.sum *= __expf(r.max - highest);
    r.max = highest;
  }
#pragma unroll
  for (int j = 0; j < n; ++j) r.sum += __expf(x[j] - r.max);
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    Statistics(const __grid_constant__ Args<T> a) {
  constexpr int n = kLanes<T>;
  const int64_t row = blockIdx.x;
  const T* const x = a.logits.row(row);
  const int columns = static_cast<int>(a.logits.columns), packs = columns / n;
  Running r;
  for (int at = threadIdx.x; at < packs; at += kPacks * kThreads) {
    uint4 pack[kPacks];
#pragma unroll
    for (int i = 0; i < kPacks; ++i) {
      if (at + i * kThreads < packs) pack[i] = LoadPack(x, at + i * kThreads);
    }
#pragma unroll
    for (int i = 0; i < kPacks; ++i) {
      if (at + i * kThreads >= packs) continue;
      float v[n];
      Unpack<T>(pack[i], v);
      Add(v, (at + i * kThreads) * n, r);
    }
  }
  const int last = packs * n + threadIdx.x;
  if (last < columns) {
    const float v[1] = {ToFloat(x[last])};
    Add(v, last, r);
  }
  const auto join_warp = [&r] {
    for (int m = 16; m > 0; m /= 2) {
      const float max = __shfl_xor_sync(~0u, r.max, m);
      const float sum = __shfl_xor_sync(~0u, r.sum, m);
      const int index = __shfl_xor_sync(~0u, r.index, m);
      Join(max, sum, index, r);
    }
  };
  __shared__ Running warps[kThreads / 32];
  join_warp();
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = r;
  __syncthreads();
  if (threadIdx.x >= 32) return;
  r = threadIdx.x < kThreads / 32 ? warps[threadIdx.x] : Running();
  join_warp();
  if (threadIdx.x != 0) return;
  const int64_t target = a.targets[row] - a.vocab_begin;
  a.row_max[row] = r.max;
  a.sum_exp[row] = r.sum;
  a.target_logit[row] =
      target >= 0 && target < columns ? ToFloat(x[target]) : 0.0f;
  if (a.argmax != nullptr) {
    a.argmax[row] = static_cast<int32_t>(a.vocab_begin + r.index);
  }
}

// Elements of row blockIdx.x, kPacks packs a thread, from blockIdx.y on.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    Gradient(const __grid_constant__ Args<T> a) {
  constexpr int n = kLanes<T>;
  const int64_t row = blockIdx.x;
  T* const x = a.logits.row(row);
  const int columns = static_cast<int>(a.logits.columns), packs = columns / n;
  const int64_t target = a.targets[row] - a.vocab_begin;
  const float lse = a.lse[row], weight = a.row_weight[row];
  const auto gradient = [&](float v, int column) {
    if (weight == 0) return 0.0f;
    const float p = weight * __expf(v - lse);
    return column == target ? p - weight : p;
  };
  const int first = blockIdx.y * kPacks * kThreads + threadIdx.x;
  uint4 pack[kPacks];
#pragma unroll
  for (int i = 0; i < kPacks; ++i) {
    const int at = first + i * kThreads;
    if (at < packs && weight != 0) pack[i] = LoadPack(x, at);
  }
#pragma unroll
  for (int i = 0; i < kPacks; ++i) {
    const int at = first + i * kThreads;
    if (at >= packs) continue;
    float v[n];
    Unpack<T>(pack[i], v);
#pragma unroll
    for (int j = 0; j < n; ++j) v[j] = gradient(v[j], at * n + j);
    StorePack(x, at, Pack<T>(v));
  }
  const int last = packs * n + threadIdx.x;
  if (blockIdx.y == 0 && last < columns) {
    x[last] = FromFloat<T>(gradient(ToFloat(x[last]), last));
  }
}

__global__ void __launch_bounds__(kThreads)
    Rescale(const float* own_max, const float* row_max, int64_t rows,
            float* sum_exp) {
  const int64_t r = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (r < rows) sum_exp[r] *= expf(own_max[r] - row_max[r]);
}

__global__ void __launch_bounds__(kThreads)
    Loss(const float* row_max, const float* sum_exp, const float* target_logit,
         int64_t rows, float* lse, float* nll) {
  const int64_t r = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (r >= rows) return;
  const float log_sum = row_max[r] + logf(sum_exp[r]);
  lse[r] = log_sum;
  nll[r] = log_sum - target_logit[r];
}

unsigned BlocksOf(int64_t rows) {
  return static_cast<unsigned>((rows + kThreads - 1) / kThreads);
}

template <typename T>
Args<T> ArgsOf(ConstTensorView logits, ConstTensorView targets,
               int64_t vocab_begin) {
  Args<T> a = {};
  const auto x = CudaMatrixOf<T>(logits);
  CARACAL_CHECK(x.columns >= 1 && x.columns <= INT_MAX - kThreads)
      << "vocabulary of " << x.columns;
  a.logits = {const_cast<T*>(x.data), x.rows, x.columns, x.stride};
  a.targets = VectorOf<int32_t>(targets, x.rows);
  a.vocab_begin = vocab_begin;
  return a;
}

template <typename T>
void LaunchStatistics(const Context& ctx, Args<T> a, TensorView row_max,
                      TensorView sum_exp, TensorView target_logit,
                      TensorView argmax) {
  const int64_t rows = a.logits.rows;
  a.row_max = VectorOf<float>(row_max, rows);
  a.sum_exp = VectorOf<float>(sum_exp, rows);
  a.target_logit = VectorOf<float>(target_logit, rows);
  a.argmax = OptionalVectorOf<int32_t>(argmax, rows);
  if (rows == 0) return;
  Statistics<T><<<static_cast<unsigned>(rows), kThreads, 0,
                  static_cast<cudaStream_t>(ctx.stream)>>>(a);
  CARACAL_CUDA_CHECK_LAUNCH();
}

template <typename T>
void LaunchGradient(const Context& ctx, Args<T> a, ConstTensorView lse,
                    ConstTensorView row_weight) {
  const int64_t rows = a.logits.rows;
  a.lse = VectorOf<float>(lse, rows);
  a.row_weight = VectorOf<float>(row_weight, rows);
  if (rows == 0) return;
  constexpr int64_t kColumns = kLanes<T> * kPacks * kThreads;
  const dim3 grid(
      static_cast<unsigned>(rows),
      static_cast<unsigned>((a.logits.columns + kColumns - 1) / kColumns));
  Gradient<T><<<grid, kThreads, 0, static_cast<cudaStream_t>(ctx.stream)>>>(a);
  CARACAL_CUDA_CHECK_LAUNCH();
}

}  // namespace

void CrossEntropyStatisticsCuda(const Context& ctx, ConstTensorView logits,
                                ConstTensorView targets, int64_t vocab_begin,
                                TensorView row_max, TensorView sum_exp,
                                TensorView target_logit, TensorView argmax) {
  if (logits.dtype == DType::kBF16) {
    LaunchStatistics(ctx, ArgsOf<bf16>(logits, targets, vocab_begin), row_max,
                     sum_exp, target_logit, argmax);
  } else {
    LaunchStatistics(ctx, ArgsOf<float>(logits, targets, vocab_begin), row_max,
                     sum_exp, target_logit, argmax);
  }
}

void CrossEntropyGradientCuda(const Context& ctx, TensorView logits,
                              ConstTensorView targets, int64_t vocab_begin,
                              ConstTensorView lse, ConstTensorView row_weight) {
  if (logits.dtype == DType::kBF16) {
    LaunchGradient(ctx, ArgsOf<bf16>(logits, targets, vocab_begin), lse,
                   row_weight);
  } else {
    LaunchGradient(ctx, ArgsOf<float>(logits, targets, vocab_begin), lse,
                   row_weight);
  }
}

void CrossEntropyRescaleCuda(const Context& ctx, ConstTensorView own_max,
                             ConstTensorView row_max, TensorView sum_exp) {
  const int64_t rows = sum_exp.size();
  const float* own = VectorOf<float>(own_max, rows);
  const float* all = VectorOf<float>(row_max, rows);
  float* sum = VectorOf<float>(sum_exp, rows);
  if (rows == 0) return;
  Rescale<<<BlocksOf(rows), kThreads, 0,
            static_cast<cudaStream_t>(ctx.stream)>>>(own, all, rows, sum);
  CARACAL_CUDA_CHECK_LAUNCH();
}

void CrossEntropyLossCuda(const Context& ctx, ConstTensorView row_max,
                          ConstTensorView sum_exp, ConstTensorView target_logit,
                          TensorView lse, TensorView nll) {
  const int64_t rows = lse.size();
  const float* max = VectorOf<float>(row_max, rows);
  const float* sum = VectorOf<float>(sum_exp, rows);
  const float* target = VectorOf<float>(target_logit, rows);
  float* log_sum = VectorOf<float>(lse, rows);
  float* loss = VectorOf<float>(nll, rows);
  if (rows == 0) return;
  Loss<<<BlocksOf(rows), kThreads, 0, static_cast<cudaStream_t>(ctx.stream)>>>(
      max, sum, target, rows, log_sum, loss);
  CARACAL_CUDA_CHECK_LAUNCH();
}

}  // namespace caracal::kernels
