// cuBLASLt counts columns first: a row-major matrix is the transpose of what
// it sees. So it is asked for C^T = op(B)^T op(A)^T, with b for its first
// operand and a for its second; their transpositions stay as they are.
#include <cublasLt.h>

#include <algorithm>
#include <array>
#include <map>
#include <mutex>

#include "kernels/common/cublas_check.h"
#include "kernels/common/cuda_matrix.h"
#include "kernels/matmul/matmul_cuda.h"

namespace caracal::kernels {
namespace {

constexpr int kMostChoices = 16;

// Everything an algorithm is chosen by.
using Key = std::array<int64_t, 13>;

struct Matrix {
  void* data;
  DType dtype;
  int64_t rows, columns, stride;
};

template <typename View>
Matrix Bind(const View& view) {
  CARACAL_CHECK(view.rank == 2) << "rank " << view.rank << ", wanted 2";
  CARACAL_CHECK(view.shape[1] == 1 || view.stride[1] == 1)
      << "column stride " << view.stride[1] << ", wanted 1";
  Matrix m{const_cast<void*>(view.data), view.dtype, view.shape[0],
           view.shape[1], view.stride[0]};
  // A single row's stride is free.
  if (m.rows == 1) m.stride = (m.columns + 7) / 8 * 8;
  CARACAL_CHECK(m.stride >= m.columns)
      << "row stride " << m.stride << " below " << m.columns << " columns";
  return m;
}

// What the address is a multiple of, at most 256 bytes.
uint32_t AlignmentOf(const void* data) {
  const auto address = reinterpret_cast<uintptr_t>(data);
  return static_cast<uint32_t>(std::min<uintptr_t>(256, address & -address));
}

cudaDataType_t TypeOf(DType dtype) {
  return dtype == DType::kF32 ? CUDA_R_32F : CUDA_R_16BF;
}

cublasOperation_t OperationOf(Transpose t) {
  return t == Transpose::kYes ? CUBLAS_OP_T : CUBLAS_OP_N;
}

cublasLtMatrixLayout_t LayoutOf(const Matrix& m) {
  cublasLtMatrixLayout_t layout = nullptr;
  CARACAL_CUBLAS_CHECK(cublasLtMatrixLayoutCreate(&layout, TypeOf(m.dtype),
                                                  m.columns, m.rows, m.stride));
  return layout;
}

// How one shape is computed. Owns cuBLASLt's descriptions of it.
struct Plan {
  Plan() = default;
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
  ~Plan() {
    cublasLtMatrixLayoutDestroy(first);
    cublasLtMatrixLayoutDestroy(second);
    cublasLtMatrixLayoutDestroy(out);
    cublasLtMatmulDescDestroy(operation);
  }
  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatrixLayout_t first = nullptr, second = nullptr, out = nullptr;
  cublasLtMatmulAlgo_t algorithm;
};

// Returns which choice it became.
int Choose(cublasLtHandle_t handle, Transpose ta, Transpose tb, const Matrix& a,
           const Matrix& b, const Matrix& c, uint64_t workspace_bytes,
           int32_t multiprocessors, int choice, Plan& plan) {
  CARACAL_CUBLAS_CHECK(cublasLtMatmulDescCreate(
      &plan.operation, CUBLAS_COMPUTE_32F, CUDA_R_32F));
  const cublasOperation_t first = OperationOf(tb), second = OperationOf(ta);
  CARACAL_CUBLAS_CHECK(cublasLtMatmulDescSetAttribute(
      plan.operation, CUBLASLT_MATMUL_DESC_TRANSA, &first, sizeof(first)));
  CARACAL_CUBLAS_CHECK(cublasLtMatmulDescSetAttribute(
      plan.operation, CUBLASLT_MATMUL_DESC_TRANSB, &second, sizeof(second)));
  if (multiprocessors > 0) {
    CARACAL_CUBLAS_CHECK(cublasLtMatmulDescSetAttribute(
        plan.operation, CUBLASLT_MATMUL_DESC_SM_COUNT_TARGET, &multiprocessors,
        sizeof(multiprocessors)));
  }
  plan.first = LayoutOf(b);
  plan.second = LayoutOf(a);
  plan.out = LayoutOf(c);

  cublasLtMatmulPreference_t preference = nullptr;
  CARACAL_CUBLAS_CHECK(cublasLtMatmulPreferenceCreate(&preference));
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute,
                          auto value) {
    CARACAL_CUBLAS_CHECK(cublasLtMatmulPreferenceSetAttribute(
        preference, attribute, &value, sizeof(value)));
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace_bytes);
  // Parts of long sums stay fp32.
  prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
         uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, AlignmentOf(b.data));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, AlignmentOf(a.data));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, AlignmentOf(c.data));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, AlignmentOf(c.data));
  cublasLtMatmulHeuristicResult_t choices[kMostChoices];
  int found = 0;
  CARACAL_CUBLAS_CHECK(cublasLtMatmulAlgoGetHeuristic(
      handle, plan.operation, plan.first, plan.second, plan.out, plan.out,
      preference, choice + 1, choices, &found))
      << "for C [" << c.rows << ", " << c.columns << "]";
  cublasLtMatmulPreferenceDestroy(preference);
  CARACAL_CHECK(found >= 1)
      << "no algorithm for C [" << c.rows << ", " << c.columns << "]";
  plan.algorithm = choices[found - 1].algo;
  return found - 1;
}

// One of the current device for the whole process, never given back: that would
// wait for all that the device has, which may stand still. It has no settings
// of its own, and threads may use it at once (cuBLAS's manual, "Thread
// Safety").
cublasLtHandle_t HandleOfDevice() {
  static std::mutex mutex;
  static auto* const handles = new std::map<int, cublasLtHandle_t>;
  int device = 0;
  CARACAL_LAUNCHER_CHECK(cudaGetDevice(&device));
  const std::lock_guard lock(mutex);
  const auto [place, fresh] = handles->try_emplace(device);
  if (fresh) CARACAL_CUBLAS_CHECK(cublasLtCreate(&place->second));
  return place->second;
}

}  // namespace

struct MatMulCudaPlans::Cache {
  const cublasLtHandle_t handle = HandleOfDevice();
  int multiprocessors = 0, choice = 0, newest_choice = 0;
  std::map<Key, Plan> plans;
};

MatMulCudaPlans::MatMulCudaPlans(int multiprocessors, int choice)
    : cache_(std::make_unique<Cache>()) {
  cache_->multiprocessors = multiprocessors;
  CARACAL_CHECK(choice >= 0 && choice < kMostChoices) << choice;
  cache_->choice = choice;
}
MatMulCudaPlans::~MatMulCudaPlans() = default;
size_t MatMulCudaPlans::size() const { return cache_->plans.size(); }
int MatMulCudaPlans::newest_choice() const { return cache_->newest_choice; }

void MatMulCuda(const Context& ctx, MatMulCudaPlans& plans, Transpose ta,
                Transpose tb, float alpha, ConstTensorView a, ConstTensorView b,
                float beta, TensorView c, Workspace workspace,
                ConstTensorView add) {
  const Matrix left = Bind(a), right = Bind(b), out = Bind(c);
  CARACAL_CHECK(left.dtype == DType::kBF16 && right.dtype == DType::kBF16)
      << NameOf(left.dtype) << " times " << NameOf(right.dtype)
      << ", wanted bf16";
  CARACAL_CHECK(out.dtype == DType::kBF16 || out.dtype == DType::kF32)
      << NameOf(out.dtype) << " result, wanted bf16 or f32";
  const bool at = ta == Transpose::kYes, bt = tb == Transpose::kYes;
  const int64_t m = at ? left.columns : left.rows;
  const int64_t k = at ? left.rows : left.columns;
  const int64_t n = bt ? right.rows : right.columns;
  CARACAL_CHECK_EQ(bt ? right.columns : right.rows, k);
  CARACAL_CHECK(out.rows == m && out.columns == n)
      << "C is [" << out.rows << ", " << out.columns << "], wanted [" << m
      << ", " << n << "]";
  CARACAL_CHECK(k >= 1) << "empty sums";
  if (m == 0 || n == 0) return;
  const void* added = out.data;
  if (add.defined()) {
    const Matrix from = Bind(add);
    CARACAL_CHECK(from.dtype == out.dtype && from.rows == m &&
                  from.columns == n && from.stride == out.stride &&
                  AlignmentOf(from.data) >= AlignmentOf(out.data))
        << "what is added is not laid out as C";
    added = from.data;
  }

  const Key key = {at,
                   bt,
                   m,
                   n,
                   k,
                   left.stride,
                   right.stride,
                   out.stride,
                   static_cast<int64_t>(out.dtype),
                   AlignmentOf(left.data),
                   AlignmentOf(right.data),
                   AlignmentOf(out.data),
                   static_cast<int64_t>(workspace.bytes)};
  MatMulCudaPlans::Cache& cache = plans.cache();
  const auto [entry, created] = cache.plans.try_emplace(key);
  Plan& plan = entry->second;
  if (created) {
    cache.newest_choice =
        Choose(cache.handle, ta, tb, left, right, out, workspace.bytes,
               cache.multiprocessors, cache.choice, plan);
  }
  CARACAL_CUBLAS_CHECK(cublasLtMatmul(
      cache.handle, plan.operation, &alpha, right.data, plan.first, left.data,
      plan.second, &beta, added, plan.out, out.data, plan.out, &plan.algorithm,
      workspace.data, workspace.bytes, static_cast<cudaStream_t>(ctx.stream)))
      << "for C [" << m << ", " << n << "], K " << k;
}

}  // namespace caracal::kernels
