// A block goes through a row of both tensors once.
#include <climits>

#include "kernels/common/cuda_check.h"
#include "kernels/common/cuda_matrix.h"
#include "kernels/common/cuda_pack.h"
#include "kernels/cross_entropy/kl_divergence_cuda.h"

namespace caracal::kernels {
namespace {

using cuda::bf16;
using cuda::BlockTotal;
using cuda::FromFloat;
using cuda::kLanes;
using cuda::LoadPack;
using cuda::Pack;
using cuda::StorePack;
using cuda::ToFloat;
using cuda::Unpack;

constexpr int kThreads = 512;
// Packs of each tensor that a thread loads before it uses the first.
constexpr int kPacks = 2;

template <typename T>
struct Args {
  CudaMatrix<const T> logits;
  CudaMatrix<T> teacher;  // written by the gradient only
  const float *lse, *teacher_lse, *weight;
  float* kl;  // read by the gradient
};

// One element's part of the divergence.
template <KlDirection direction>
__device__ __forceinline__ float Term(float log_q, float log_p) {
  return direction == KlDirection::kForward ? __expf(log_p) * (log_p - log_q)
                                            : __expf(log_q) * (log_q - log_p);
}

// Its derivative with respect to the student's logit.
template <KlDirection direction>
__device__ __forceinline__ float Slope(float log_q, float log_p, float kl) {
  const float q = __expf(log_q);
  return direction == KlDirection::kForward ? q - __expf(log_p)
                                            : q * (log_q - log_p - kl);
}

template <typename T, KlDirection direction>
__global__ void __launch_bounds__(kThreads)
    Divergence(const __grid_constant__ Args<T> a) {
  constexpr int n = kLanes<T>;
  const int64_t row = blockIdx.x;
  const T* const s = a.logits.row(row);
  const T* const t = a.teacher.row(row);
  const float lse = a.lse[row], teacher_lse = a.teacher_lse[row];
  const int columns = static_cast<int>(a.logits.columns), packs = columns / n;
  float sum = 0;
  for (int at = threadIdx.x; at < packs; at += kPacks * kThreads) {
    uint4 student[kPacks], teacher[kPacks];
#pragma unroll
    for (int i = 0; i < kPacks; ++i) {
      if (at + i * kThreads >= packs) continue;
      student[i] = LoadPack(s, at + i * kThreads);
      teacher[i] = LoadPack(t, at + i * kThreads);
    }
#pragma unroll
    for (int i = 0; i < kPacks; ++i) {
      if (at + i * kThreads >= packs) continue;
      float x[n], y[n];
      Unpack<T>(student[i], x);
      Unpack<T>(teacher[i], y);
#pragma unroll
      for (int j = 0; j < n; ++j) {
        sum += Term<direction>(x[j] - lse, y[j] - teacher_lse);
      }
    }
  }
  const int last = packs * n + threadIdx.x;
  if (last < columns) {
    sum +=
        Term<direction>(ToFloat(s[last]) - lse, ToFloat(t[last]) - teacher_lse);
  }
  __shared__ float shared[kThreads / 32];
  sum = BlockTotal<kThreads>(sum, shared);
  if (threadIdx.x == 0) a.kl[row] = sum;
}

// Elements of row blockIdx.x, kPacks packs a thread, from blockIdx.y on.
template <typename T, KlDirection direction>
__global__ void __launch_bounds__(kThreads)
    Gradient(const __grid_constant__ Args<T> a) {
  constexpr int n = kLanes<T>;
  const int64_t row = blockIdx.x;
  const T* const s = a.logits.row(row);
  T* const t = a.teacher.row(row);
  const float lse = a.lse[row], teacher_lse = a.teacher_lse[row];
  const float kl = a.kl[row], weight = a.weight[row];
  const int columns = static_cast<int>(a.logits.columns), packs = columns / n;
  const auto gradient = [&](float student, float teacher) {
    if (weight == 0) return 0.0f;
    return weight * Slope<direction>(student - lse, teacher - teacher_lse, kl);
  };
  const int first = blockIdx.y * kPacks * kThreads + threadIdx.x;
  uint4 student[kPacks], teacher[kPacks];
#pragma unroll
  for (int i = 0; i < kPacks; ++i) {
    const int at = first + i * kThreads;
    if (at >= packs) continue;
    student[i] = LoadPack(s, at);
    teacher[i] = LoadPack(t, at);
  }
#pragma unroll
  for (int i = 0; i < kPacks; ++i) {
    const int at = first + i * kThreads;
    if (at >= packs) continue;
    float x[n], y[n];
    Unpack<T>(student[i], x);
    Unpack<T>(teacher[i], y);
#pragma unroll
    for (int j = 0; j < n; ++j) y[j] = gradient(x[j], y[j]);
    StorePack(t, at, Pack<T>(y));
  }
  const int last = packs * n + threadIdx.x;
  if (blockIdx.y == 0 && last < columns) {
    t[last] = FromFloat<T>(gradient(ToFloat(s[last]), ToFloat(t[last])));
  }
}

template <typename T>
Args<T> ArgsOf(ConstTensorView logits, ConstTensorView teacher,
               ConstTensorView lse, ConstTensorView teacher_lse) {
  Args<T> a = {};
  a.logits = CudaMatrixOf<T>(logits);
  const int64_t rows = a.logits.rows, columns = a.logits.columns;
  CARACAL_CHECK(columns <= INT_MAX - kThreads) << "vocabulary of " << columns;
  const auto t = CudaMatrixOf<T>(teacher, rows, columns);
  a.teacher = {const_cast<T*>(t.data), rows, columns, t.stride};
  a.lse = VectorOf<float>(lse, rows);
  a.teacher_lse = VectorOf<float>(teacher_lse, rows);
  return a;
}

template <typename T>
void LaunchDivergence(const Context& ctx, KlDirection direction,
                      const Args<T>& a) {
  if (a.logits.rows == 0) return;
  const auto kernel = direction == KlDirection::kForward
                          ? Divergence<T, KlDirection::kForward>
                          : Divergence<T, KlDirection::kReverse>;
  kernel<<<static_cast<unsigned>(a.logits.rows), kThreads, 0,
           static_cast<cudaStream_t>(ctx.stream)>>>(a);
  CARACAL_CUDA_CHECK_LAUNCH();
}

template <typename T>
void LaunchGradient(const Context& ctx, KlDirection direction,
                    const Args<T>& a) {
  if (a.logits.rows == 0 || a.logits.columns == 0) return;
  constexpr int64_t kColumns = kLanes<T> * kPacks * kThreads;
  const dim3 grid(
      static_cast<unsigned>(a.logits.rows),
      static_cast<unsigned>((a.logits.columns + kColumns - 1) / kColumns));
  const auto kernel = direction == KlDirection::kForward
                          ? Gradient<T, KlDirection::kForward>
                          : Gradient<T, KlDirection::kReverse>;
  kernel<<<grid, kThreads, 0, static_cast<cudaStream_t>(ctx.stream)>>>(a);
  CARACAL_CUDA_CHECK_LAUNCH();
}

// Calls use(T()) with the logits' type.
template <typename Use>
void ForDType(ConstTensorView logits, Use use) {
  if (logits.dtype == DType::kBF16) {
    use(bf16());
  } else {
    use(float());
  }
}

}  // namespace

void KlDivergenceCuda(const Context& ctx, KlDirection direction,
                      ConstTensorView logits, ConstTensorView teacher,
                      ConstTensorView lse, ConstTensorView teacher_lse,
                      TensorView kl) {
  ForDType(logits, [&](auto zero) {
    auto a = ArgsOf<decltype(zero)>(logits, teacher, lse, teacher_lse);
    a.kl = VectorOf<float>(kl, a.logits.rows);
    LaunchDivergence(ctx, direction, a);
  });
}

void KlGradientCuda(const Context& ctx, KlDirection direction,
                    ConstTensorView logits, TensorView teacher,
                    ConstTensorView lse, ConstTensorView teacher_lse,
                    ConstTensorView kl, ConstTensorView weight) {
  ForDType(logits, [&](auto zero) {
    auto a = ArgsOf<decltype(zero)>(logits, teacher, lse, teacher_lse);
    a.kl = const_cast<float*>(VectorOf<float>(kl, a.logits.rows));
    a.weight = VectorOf<float>(weight, a.logits.rows);
    LaunchGradient(ctx, direction, a);
  });
}

}  // namespace caracal::kernels
