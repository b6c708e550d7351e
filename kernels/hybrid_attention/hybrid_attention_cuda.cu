// Binds the views of a CUDA call to plain pointers, uploads its tables and
// picks the version.
#include "kernels/hybrid_attention/hybrid_attention_cuda.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_bind.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_hopper.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_plain.h"

namespace caracal::kernels {
namespace {

using cuda::Args;
using cuda::bf16;
using cuda::BindBf16;
using cuda::BindF32;
using cuda::BindInputs;
using cuda::TableBytes;
using cuda::UploadTables;

void BindBackward(const HybridAttentionCotangent& cotangent,
                  const HybridAttentionGradients& grads, Args& a) {
  CARACAL_CHECK(cotangent.dy.defined() != cotangent.target.defined());
  a.dy = BindBf16<const bf16>(cotangent.dy, a.rows, a.H, a.D);
  a.target = BindBf16<const bf16>(cotangent.target, a.rows, a.H, a.D);
  a.scale = cotangent.scale;
  a.squared_error = cotangent.squared_error;
  a.dq = BindBf16<bf16>(grads.dq, a.rows, a.H, a.D);
  a.dk = BindBf16<bf16>(grads.dk, a.rows, a.Hkv, a.D);
  a.dv = BindBf16<bf16>(grads.dv, a.rows, a.Hkv, a.D);
  BindMapGradients(grads, a);
  a.dwindow_factor = BindF32(grads.dwindow_factor, a.H);
}

bool UsesHopper(const Args& a, CudaVersion version) {
  return version == CudaVersion::kBest && cuda::HopperSupports(a);
}

// The memory for, or with, the states of these inputs; null if there is none.
void* BorderMemory(const Args& a, const int64_t* offsets,
                   const HybridAttentionBorders& borders) {
  if (borders.memory == nullptr) return nullptr;
  const HybridAttentionBorders own = cuda::HopperBorders(a, offsets);
  CARACAL_CHECK(own.bytes == borders.bytes && own.segments == borders.segments)
      << "borders of other inputs: " << borders.bytes << " bytes, not "
      << own.bytes;
  return own.bytes > 0 ? borders.memory : nullptr;
}

}  // namespace

HybridAttentionBorders HybridAttentionBordersCuda(
    const HybridAttentionConfig& config, const HybridAttentionInputs& in,
    CudaVersion version) {
  const Args a = BindInputs(config, in);
  if (!UsesHopper(a, version)) return {};
  return cuda::HopperBorders(a, in.offsets);
}

size_t HybridAttentionForwardCudaWorkspaceBytes(
    const HybridAttentionConfig& config, const HybridAttentionInputs& in,
    CudaVersion version) {
  const Args a = BindInputs(config, in);
  if (UsesHopper(a, version)) {
    return cuda::HopperForwardBytes(a, in.offsets);
  }
  return TableBytes(a) + cuda::PlainForwardScratch(a, nullptr).bytes;
}

void HybridAttentionForwardCuda(const Context& ctx,
                                const HybridAttentionConfig& config,
                                const HybridAttentionInputs& in,
                                const HybridAttentionPast* past,
                                const HybridAttentionOutputs& out,
                                Workspace workspace, CudaVersion version,
                                const HybridAttentionBorders& borders) {
  CARACAL_CHECK(past == nullptr) << "no past on CUDA";
  Args a = BindInputs(config, in);
  a.y = BindBf16<bf16>(out.y, a.rows, a.H, a.D);
  CARACAL_CHECK(a.y.data != nullptr);
  a.row_max = BindF32(out.row_max, a.H * a.rows);
  a.softmax_den = BindF32(out.softmax_den, a.H * a.rows);
  a.linear_den = BindF32(out.linear_den, a.H * a.rows);
  const size_t bytes =
      HybridAttentionForwardCudaWorkspaceBytes(config, in, version);
  CARACAL_CHECK(workspace.bytes >= bytes) << workspace.bytes << " of " << bytes;
  if (a.rows == 0) return;
  const auto stream = static_cast<cudaStream_t>(ctx.stream);
  if (UsesHopper(a, version)) {
    cuda::HopperForward(a, in, workspace.data,
                        BorderMemory(a, in.offsets, borders), stream);
  } else {
    char* rest = UploadTables(in, workspace.data, stream, a);
    cuda::PlainForward(a, cuda::PlainForwardScratch(a, rest), stream);
  }
}

size_t HybridAttentionBackwardCudaWorkspaceBytes(
    const HybridAttentionConfig& config, const HybridAttentionInputs& in,
    const HybridAttentionCotangent& cotangent,
    const HybridAttentionGradients& grads, CudaVersion version) {
  Args a = BindInputs(config, in);
  BindBackward(cotangent, grads, a);
  if (UsesHopper(a, version)) {
    return cuda::HopperBackwardBytes(a, in.offsets);
  }
  return TableBytes(a) + cuda::PlainBackwardScratch(a, nullptr).bytes;
}

void HybridAttentionBackwardCuda(const Context& ctx,
                                 const HybridAttentionConfig& config,
                                 const HybridAttentionInputs& in,
                                 const HybridAttentionCotangent& cotangent,
                                 const HybridAttentionGradients& grads,
                                 Workspace workspace, CudaVersion version,
                                 const HybridAttentionSaved* saved) {
  Args a = BindInputs(config, in);
  BindBackward(cotangent, grads, a);
  if (saved != nullptr) {
    a.saved_y = BindBf16<const bf16>(saved->y, a.rows, a.H, a.D);
    a.saved_softmax_den = BindF32(saved->softmax_den, a.H * a.rows);
    a.saved_linear_den = BindF32(saved->linear_den, a.H * a.rows);
    CARACAL_CHECK(a.saved_y.data != nullptr && a.saved_softmax_den != nullptr &&
                  a.saved_linear_den != nullptr);
  }
  const size_t bytes = HybridAttentionBackwardCudaWorkspaceBytes(
      config, in, cotangent, grads, version);
  CARACAL_CHECK(workspace.bytes >= bytes) << workspace.bytes << " of " << bytes;
  if (a.rows == 0) return;
  const auto stream = static_cast<cudaStream_t>(ctx.stream);
  if (UsesHopper(a, version)) {
    void* borders = nullptr;
    if (saved != nullptr && a.target.data == nullptr) {
      borders = BorderMemory(a, in.offsets, saved->borders);
    }
    cuda::HopperBackward(a, in, workspace.data, borders, stream);
  } else {
    char* rest = UploadTables(in, workspace.data, stream, a);
    cuda::PlainBackward(a, cuda::PlainBackwardScratch(a, rest), stream);
  }
}

}  // namespace caracal::kernels
