// Lays out the scratch memory, orders the kernels (weight_loss_cuda_queries.h,
// weight_loss_cuda_keys.h) and adds up the losses. Features come from the plain
// version, and the way from their gradients to the parameters'.
#include <algorithm>
#include <type_traits>
#include <utility>

#include "kernels/common/cuda_check.h"
#include "kernels/common/cuda_early_launch.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_bind.h"
#include "kernels/hybrid_attention/weight_loss_cuda_keys.h"
#include "kernels/hybrid_attention/weight_loss_cuda_queries.h"

namespace caracal::kernels {
namespace {

using namespace cuda;
using namespace cuda::weight_loss;

constexpr int kSumThreads = 1024;

// One block: *out += the sum, in a fixed order.
__global__ void __launch_bounds__(kSumThreads)
    AddSum(const float* values, int64_t n, double* out) {
  __shared__ double sums[kSumThreads];
  double sum = 0;
  for (int64_t i = threadIdx.x; i < n; i += kSumThreads) sum += values[i];
  sums[threadIdx.x] = sum;
  __syncthreads();
  for (int half = kSumThreads / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) *out += sums[0];
}

// `memory` null: only the size counts.
size_t Allocate(char* memory, Problem* p) {
  size_t bytes = 0;
  const auto take = [&](auto*& pointer, int64_t count) {
    pointer = reinterpret_cast<std::remove_reference_t<decltype(pointer)>>(
        reinterpret_cast<uintptr_t>(memory) + bytes);
    bytes += Aligned(count * sizeof(*pointer));
  };
  const int64_t all = p->a.H * p->a.rows;
  PlainScratch& s = p->plain;
  for (float** f : {&s.phi_q, &s.phi_k, &s.dphi_q, &s.dphi_k}) {
    take(*f, all * p->a.Fout);
  }
  take(p->phi_q, all * p->features);
  take(p->phi_k, all * p->features);
  take(s.dfactor, all);
  take(s.weight_parts, PlainWeightParts(p->a));
  RowStatistics& r = p->rows;
  for (float** f : {&r.shift, &r.student_shift, &r.inverse_den, &r.kept,
                    &r.cross, &r.entropy}) {
    take(*f, all);
  }
  return bytes;
}

Problem Bind(const HybridAttentionConfig& config,
             const HybridAttentionInputs& in) {
  Problem p = {};
  p.a = BindInputs(config, in);
  p.features = (p.a.Fout + 15) / 16 * 16;
  p.parts = std::max(1, (p.features + kPartFeatures - 1) / kPartFeatures);
  CARACAL_CHECK(p.a.D % 16 == 0) << "head dimension " << p.a.D;
  p.memory = Memory(p.a.D, p.features);
  const size_t most = MostSharedBytes();  // 0: the device is lost
  CARACAL_CHECK(most == 0 || p.memory.bytes <= most)
      << p.a.Fout << " features take " << p.memory.bytes << " bytes of "
      << most;
  return p;
}

template <int kTiles>
void Launch(const Problem& p, float scale, int64_t longest,
            cudaStream_t stream) {
  const size_t bytes = p.memory.bytes;
  const dim3 grid(static_cast<unsigned>((longest + kTile - 1) / kTile),
                  p.a.H * p.parts, p.a.sequences);
  CARACAL_LAUNCHER_CHECK(cudaFuncSetAttribute(
      QueryTiles<kTiles>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  QueryTiles<kTiles><<<grid, kThreads, bytes, stream>>>(p, scale);
  CARACAL_CUDA_CHECK_LAUNCH();
  if (p.a.F == 0) return;
  CARACAL_LAUNCHER_CHECK(cudaFuncSetAttribute(
      KeyTiles<kTiles>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  KeyTiles<kTiles><<<grid, kThreads, bytes, stream>>>(p, scale);
  CARACAL_CUDA_CHECK_LAUNCH();
}

}  // namespace

size_t AttentionWeightLossCudaWorkspaceBytes(
    const HybridAttentionConfig& config, const HybridAttentionInputs& in) {
  Problem p = Bind(config, in);
  return TableBytes(p.a) + Allocate(nullptr, &p);
}

void AttentionWeightLossBackwardCuda(
    const Context& ctx, const HybridAttentionConfig& config,
    const HybridAttentionInputs& in, float scale,
    const HybridAttentionGradients& grads, double* cross_entropy,
    double* teacher_entropy, Workspace workspace) {
  CARACAL_CHECK(!grads.dq.defined() && !grads.dk.defined() &&
                !grads.dv.defined())
      << "scores are frozen";
  Problem p = Bind(config, in);
  Args& a = p.a;
  BindMapGradients(grads, a);
  a.dwindow_factor = BindF32(grads.dwindow_factor, a.H);
  const size_t bytes = AttentionWeightLossCudaWorkspaceBytes(config, in);
  CARACAL_CHECK(workspace.bytes >= bytes) << workspace.bytes << " of " << bytes;
  if (a.rows == 0) return;
  const auto stream = static_cast<cudaStream_t>(ctx.stream);
  Allocate(UploadTables(in, workspace.data, stream, a), &p);
  int64_t longest = 0;
  for (int64_t i = 0; i < in.sequences; ++i) {
    longest = std::max(longest, in.offsets[i + 1] - in.offsets[i]);
  }
  PlainFeatures(a, p.plain, stream, p.phi_q, p.phi_k, p.features);
  if (p.features <= 64) {
    Launch<4>(p, scale, longest, stream);
  } else if (p.features <= 128) {
    Launch<8>(p, scale, longest, stream);
  } else {
    Launch<16>(p, scale, longest, stream);
  }
  PlainFeatureBackward(a, p.plain, stream);
  PlainParameterGradients(a, p.plain, stream);
  for (const auto& [values, sum] :
       {std::pair(p.rows.cross, cross_entropy),
        std::pair(p.rows.entropy, teacher_entropy)}) {
    if (sum == nullptr) continue;
    AddSum<<<1, kSumThreads, 0, stream>>>(values, a.H * a.rows, sum);
    CARACAL_CUDA_CHECK_LAUNCH();
  }
}

}  // namespace caracal::kernels
