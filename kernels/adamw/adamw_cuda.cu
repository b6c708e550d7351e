// Tensors fall into pieces of kPiece elements; a block of a step takes one,
// whose tensor it finds by bisection. In device memory lie the tensors, then
// their coefficients.
#include <vector>

#include "kernels/adamw/adamw_coefficients.h"
#include "kernels/adamw/adamw_cuda.h"
#include "kernels/common/cuda_check.h"
#include "kernels/common/cuda_matrix.h"
#include "kernels/common/cuda_pack.h"
#include "kernels/common/cuda_upload.h"

namespace caracal::kernels {
namespace {

using cuda::bf16;

constexpr int kThreads = 256;
constexpr int kPiece = 8192;
// Blocks of a sum of squares, and so partial sums: as many on every chip.
constexpr int kParts = 1024;
constexpr int kSumThreads = 256;

struct Tensor {
  float* param;
  const float* grad;
  float *m, *v;
  bf16* copy;  // or null
  int64_t size;
  int64_t first_piece;
  int64_t aligned;  // whether all start at multiples of 16 bytes
};

struct Table {
  const Tensor* tensors;
  const AdamWCoefficients* coefficients;
  int count;
  int64_t pieces;
};

// The last tensor whose first piece is not beyond `piece` (an empty tensor has
// the first piece of the one that follows it).
__device__ __forceinline__ int Find(const Table& t, int64_t piece) {
  int low = 0, high = t.count - 1;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (t.tensors[middle].first_piece <= piece) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

// Rounds where the scalar reference does: the compiler joins none of these.
__device__ __forceinline__ void Update(const AdamWCoefficients& k, float scale,
                                       float grad, float& param, float& m,
                                       float& v) {
  const float g = __fmul_rn(grad, scale);
  const float p = __fmul_rn(param, k.decay);
  m = __fmaf_rn(k.one_minus_beta1, __fsub_rn(g, m), m);
  v = __fmaf_rn(__fmul_rn(k.one_minus_beta2, g), g, __fmul_rn(v, k.beta2));
  const float denominator =
      __fadd_rn(__fdiv_rn(__fsqrt_rn(v), k.sqrt_correction2), k.epsilon);
  param = __fadd_rn(p, __fdiv_rn(__fmul_rn(k.negative_step, m), denominator));
}

__global__ void __launch_bounds__(kThreads)
    Step(const __grid_constant__ Table table, const AdamWCudaClip* clip) {
  const int index = Find(table, blockIdx.x);
  const Tensor& t = table.tensors[index];
  const AdamWCoefficients k = table.coefficients[index];
  float scale = k.grad_scale;
  if (clip != nullptr) {
    if (!clip->finite) return;
    scale *= clip->factor;
  }
  const int64_t begin = (blockIdx.x - t.first_piece) * kPiece;
  const int64_t end = min(begin + kPiece, t.size);
  const int64_t whole = t.aligned ? end - (end - begin) % 4 : begin;
#pragma unroll 2
  for (int64_t i = begin + 4 * threadIdx.x; i < whole; i += 4 * kThreads) {
    const float4 g = __ldcs(reinterpret_cast<const float4*>(t.grad + i));
    float4 p = __ldcs(reinterpret_cast<const float4*>(t.param + i));
    float4 m = __ldcs(reinterpret_cast<const float4*>(t.m + i));
    float4 v = __ldcs(reinterpret_cast<const float4*>(t.v + i));
    Update(k, scale, g.x, p.x, m.x, v.x);
    Update(k, scale, g.y, p.y, m.y, v.y);
    Update(k, scale, g.z, p.z, m.z, v.z);
    Update(k, scale, g.w, p.w, m.w, v.w);
    *reinterpret_cast<float4*>(t.param + i) = p;
    *reinterpret_cast<float4*>(t.m + i) = m;
    *reinterpret_cast<float4*>(t.v + i) = v;
    if (t.copy != nullptr) {
      auto* const to = reinterpret_cast<__nv_bfloat162*>(t.copy + i);
      to[0] = __floats2bfloat162_rn(p.x, p.y);
      to[1] = __floats2bfloat162_rn(p.z, p.w);
    }
  }
  for (int64_t i = whole + threadIdx.x; i < end; i += kThreads) {
    Update(k, scale, t.grad[i], t.param[i], t.m[i], t.v[i]);
    if (t.copy != nullptr) t.copy[i] = __float2bfloat16_rn(t.param[i]);
  }
}

// Block b adds the squares of pieces b, b + kParts, ...
__global__ void __launch_bounds__(kSumThreads)
    SquareParts(const __grid_constant__ Table table, AdamWCudaPart part,
                double* parts) {
  double sum = 0;
  for (int64_t piece = blockIdx.x; piece < table.pieces; piece += kParts) {
    const Tensor& t = table.tensors[Find(table, piece)];
    const float* const x = part == AdamWCudaPart::kGrad ? t.grad : t.param;
    const int64_t begin = (piece - t.first_piece) * kPiece;
    const int64_t end = min(begin + kPiece, t.size);
    const int64_t whole = t.aligned ? end - (end - begin) % 4 : begin;
#pragma unroll 4
    for (int64_t i = begin + 4 * threadIdx.x; i < whole; i += 4 * kSumThreads) {
      const float4 f = *reinterpret_cast<const float4*>(x + i);
      sum += double{f.x} * f.x + double{f.y} * f.y + double{f.z} * f.z +
             double{f.w} * f.w;
    }
    for (int64_t i = whole + threadIdx.x; i < end; i += kSumThreads) {
      sum += double{x[i]} * x[i];
    }
  }
  __shared__ double shared[kSumThreads / 32];
  sum = cuda::BlockTotal<kSumThreads>(sum, shared);
  if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kSumThreads)
    AddParts(const double* parts, double* out) {
  double sum = 0;
  for (int i = threadIdx.x; i < kParts; i += kSumThreads) sum += parts[i];
  __shared__ double shared[kSumThreads / 32];
  sum = cuda::BlockTotal<kSumThreads>(sum, shared);
  if (threadIdx.x == 0) *out = sum;
}

__global__ void Clip(const double* sums, int count, double max_norm,
                     AdamWCudaClip* clip) {
  double sum = 0;
  for (int i = 0; i < count; ++i) sum += sums[i];
  double factor = 1;
  if (max_norm > 0) factor = fmin(1.0, max_norm / (sqrt(sum) + 1e-6));
  clip->factor = static_cast<float>(factor);
  clip->finite = isfinite(sum) ? 1 : 0;
}

template <typename T>
__global__ void __launch_bounds__(kThreads) Add(const T* x, int64_t n, T* y) {
  constexpr int kLanes = cuda::kLanes<T>;
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < n / kLanes) {
    float a[kLanes], b[kLanes];
    cuda::Unpack<T>(cuda::LoadPack(x, i), a);
    cuda::Unpack<T>(cuda::LoadPack(y, i), b);
#pragma unroll
    for (int j = 0; j < kLanes; ++j) b[j] += a[j];
    cuda::StorePack(y, i, cuda::Pack<T>(b));
  }
  const int64_t last = n / kLanes * kLanes + i;
  if (i < kLanes && last < n) {
    y[last] =
        cuda::FromFloat<T>(cuda::ToFloat(x[last]) + cuda::ToFloat(y[last]));
  }
}

template <typename T>
void LaunchAdd(const Context& ctx, const void* x, int64_t n, void* y) {
  const int64_t packs = n / cuda::kLanes<T> + 1;
  Add<T><<<static_cast<unsigned>((packs + kThreads - 1) / kThreads), kThreads,
           0, static_cast<cudaStream_t>(ctx.stream)>>>(static_cast<const T*>(x),
                                                       n, static_cast<T*>(y));
  CARACAL_CUDA_CHECK_LAUNCH();
}

struct Terms {
  const bf16* of[kMostTerms];
};

template <int kCount>
__global__ void __launch_bounds__(kThreads)
    Sum(const Terms terms, int64_t n, bf16* out) {
  constexpr int kLanes = cuda::kLanes<bf16>;
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < n / kLanes) {
    float sum[kLanes], term[kLanes];
    cuda::Unpack<bf16>(cuda::LoadPack(terms.of[0], i), sum);
#pragma unroll
    for (int t = 1; t < kCount; ++t) {
      cuda::Unpack<bf16>(cuda::LoadPack(terms.of[t], i), term);
#pragma unroll
      for (int j = 0; j < kLanes; ++j) sum[j] += term[j];
    }
    cuda::StorePack(out, i, cuda::Pack<bf16>(sum));
  }
  const int64_t last = n / kLanes * kLanes + i;
  if (i < kLanes && last < n) {
    float sum = cuda::ToFloat(terms.of[0][last]);
    for (int t = 1; t < kCount; ++t) sum += cuda::ToFloat(terms.of[t][last]);
    out[last] = cuda::FromFloat<bf16>(sum);
  }
}

template <int kCount>
void LaunchSum(const Context& ctx, const Terms& terms, int count,
               TensorView out) {
  if constexpr (kCount < kMostTerms) {
    if (count > kCount) return LaunchSum<kCount + 1>(ctx, terms, count, out);
  }
  const int64_t n = out.size(), packs = n / cuda::kLanes<bf16> + 1;
  Sum<kCount><<<static_cast<unsigned>((packs + kThreads - 1) / kThreads),
                kThreads, 0, static_cast<cudaStream_t>(ctx.stream)>>>(
      terms, n, static_cast<bf16*>(out.data));
  CARACAL_CUDA_CHECK_LAUNCH();
}

bool IsAligned(const void* data) {
  return reinterpret_cast<uintptr_t>(data) % 16 == 0;
}

size_t TensorBytes(int64_t tensors) { return tensors * sizeof(Tensor); }

Table TableOf(const AdamWCudaTable& table) {
  char* const data = static_cast<char*>(table.data);
  Table t;
  t.tensors = reinterpret_cast<const Tensor*>(data);
  t.coefficients = reinterpret_cast<const AdamWCoefficients*>(
      data + TensorBytes(table.tensors));
  t.count = static_cast<int>(table.tensors);
  t.pieces = table.pieces;
  return t;
}

}  // namespace

size_t AdamWCudaTableBytes(int64_t tensors) {
  return TensorBytes(tensors) + tensors * sizeof(AdamWCoefficients);
}

AdamWCudaTable MakeAdamWCudaTable(const Context& ctx,
                                  const AdamWCudaTensor* tensors, int64_t count,
                                  void* memory) {
  AdamWCudaTable table;
  table.data = memory;
  table.tensors = count;
  std::vector<Tensor> list(count);
  for (int64_t i = 0; i < count; ++i) {
    const AdamWCudaTensor& from = tensors[i];
    const int64_t n = from.param.size();
    Tensor& to = list[i];
    to = {};
    to.param = VectorOf<float>(from.param, n);
    to.grad = VectorOf<float>(from.grad, n);
    to.m = VectorOf<float>(from.m, n);
    to.v = VectorOf<float>(from.v, n);
    to.aligned = IsAligned(to.param) && IsAligned(to.grad) && IsAligned(to.m) &&
                 IsAligned(to.v) &&
                 (!from.copy.defined() || IsAligned(from.copy.data));
    if (from.copy.defined()) {
      CARACAL_CHECK(from.copy.dtype == DType::kBF16 && from.copy.contiguous() &&
                    from.copy.size() == n)
          << NameOf(from.copy.dtype) << " copy of " << from.copy.size()
          << " elements of " << n;
      to.copy = static_cast<bf16*>(from.copy.data);
    }
    to.size = n;
    to.first_piece = table.pieces;
    table.pieces += (n + kPiece - 1) / kPiece;
  }
  CudaUpload(list.data(), TensorBytes(count), memory,
             static_cast<cudaStream_t>(ctx.stream));
  return table;
}

void AdamWCudaConfigure(const Context& ctx, const AdamWCudaTable& table,
                        const AdamWConfig* configs) {
  std::vector<AdamWCoefficients> list(table.tensors);
  for (int64_t i = 0; i < table.tensors; ++i) {
    list[i] = AdamWCoefficientsOf(configs[i]);
  }
  CudaUpload(list.data(), list.size() * sizeof(AdamWCoefficients),
             static_cast<char*>(table.data) + TensorBytes(table.tensors),
             static_cast<cudaStream_t>(ctx.stream));
}

size_t SumOfSquaresCudaWorkspaceBytes() { return kParts * sizeof(double); }

void SumOfSquaresCuda(const Context& ctx, const AdamWCudaTable& table,
                      AdamWCudaPart part, double* sum, Workspace workspace) {
  CARACAL_CHECK(workspace.bytes >= SumOfSquaresCudaWorkspaceBytes())
      << workspace.bytes;
  const auto stream = static_cast<cudaStream_t>(ctx.stream);
  auto* const parts = static_cast<double*>(workspace.data);
  SquareParts<<<kParts, kSumThreads, 0, stream>>>(TableOf(table), part, parts);
  CARACAL_CUDA_CHECK_LAUNCH();
  AddParts<<<1, kSumThreads, 0, stream>>>(parts, sum);
  CARACAL_CUDA_CHECK_LAUNCH();
}

void ClipCuda(const Context& ctx, const double* sums, int count,
              double max_norm, AdamWCudaClip* clip) {
  Clip<<<1, 1, 0, static_cast<cudaStream_t>(ctx.stream)>>>(sums, count,
                                                           max_norm, clip);
  CARACAL_CUDA_CHECK_LAUNCH();
}

void AdamWStepCuda(const Context& ctx, const AdamWCudaTable& table,
                   const AdamWCudaClip* clip) {
  if (table.pieces == 0) return;
  Step<<<static_cast<unsigned>(table.pieces), kThreads, 0,
         static_cast<cudaStream_t>(ctx.stream)>>>(TableOf(table), clip);
  CARACAL_CUDA_CHECK_LAUNCH();
}

void AccumulateCuda(const Context& ctx, ConstTensorView x, TensorView y) {
  CARACAL_CHECK(x.contiguous() && y.contiguous()) << "strided view";
  CARACAL_CHECK_EQ(x.size(), y.size());
  CARACAL_CHECK(x.dtype == y.dtype &&
                (x.dtype == DType::kBF16 || x.dtype == DType::kF32))
      << NameOf(x.dtype) << " to " << NameOf(y.dtype);
  CARACAL_CHECK(reinterpret_cast<uintptr_t>(x.data) % 16 == 0 &&
                reinterpret_cast<uintptr_t>(y.data) % 16 == 0);
  if (x.dtype == DType::kBF16) {
    LaunchAdd<bf16>(ctx, x.data, x.size(), y.data);
  } else {
    LaunchAdd<float>(ctx, x.data, x.size(), y.data);
  }
}

void SumCuda(const Context& ctx, const ConstTensorView* terms, int count,
             TensorView out) {
  CARACAL_CHECK(count >= 2 && count <= kMostTerms) << count;
  CARACAL_CHECK(out.contiguous() && out.dtype == DType::kBF16 &&
                IsAligned(out.data));
  Terms of = {};
  for (int t = 0; t < count; ++t) {
    CARACAL_CHECK(terms[t].contiguous() && terms[t].dtype == DType::kBF16 &&
                  IsAligned(terms[t].data));
    CARACAL_CHECK_EQ(terms[t].size(), out.size());
    of.of[t] = static_cast<const bf16*>(terms[t].data);
  }
  LaunchSum<2>(ctx, of, count, out);
}

}  // namespace caracal::kernels
