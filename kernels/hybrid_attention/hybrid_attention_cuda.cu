// Binds the views of a CUDA call to plain pointers, uploads its tables and
// picks the version.
#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/common/cuda_check.h"
#include "kernels/common/cuda_upload.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_args.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_hopper.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_plain.h"

namespace caracal::kernels {
namespace {

using cuda::Args;
using cuda::bf16;
using cuda::BindBf16;

template <typename View>
auto* BindF32(View view, int64_t size) {
  using Pointer = decltype(view.f32());
  if (!view.defined()) return Pointer{nullptr};
  CARACAL_CHECK(view.contiguous());
  CARACAL_CHECK_EQ(view.size(), size);
  return view.f32();
}

Args BindInputs(const HybridAttentionConfig& config,
                const HybridAttentionInputs& in) {
  CARACAL_CHECK(config.window >= 1) << "window " << config.window;
  CARACAL_CHECK(config.sinks >= 0) << "sinks " << config.sinks;
  CARACAL_CHECK_EQ(in.q.rank, 3);
  CARACAL_CHECK_EQ(in.k.rank, 3);
  Args a;
  a.rows = in.q.shape[0];
  // No row is further away: keeps positions within 32 bits.
  CARACAL_CHECK(a.rows < (int64_t{1} << 30)) << a.rows << " rows";
  a.window = static_cast<int>(std::min(config.window, a.rows + 1));
  a.sinks = static_cast<int>(std::min(config.sinks, a.rows));
  CARACAL_CHECK(config.window_kind != WindowKind::kLolcatsTerraced)
      << "window kind " << NameOf(config.window_kind);
  a.terraced = config.window_kind == WindowKind::kTerraced;
  a.affine = config.affine;
  // The kernels know these two maps; another would be taken for hedgehog.
  CARACAL_CHECK(config.feature_map == FeatureMapKind::kHedgehog ||
                config.feature_map == FeatureMapKind::kIdentity)
      << "feature map " << static_cast<int>(config.feature_map);
  a.identity = config.feature_map == FeatureMapKind::kIdentity;
  a.H = in.q.shape[1];
  a.D = in.q.shape[2];
  a.Hkv = in.k.shape[1];
  CARACAL_CHECK(a.D >= 8 && a.D % 8 == 0) << "head dimension " << a.D;
  CARACAL_CHECK(a.Hkv >= 1 && a.H % a.Hkv == 0) << a.H << " over " << a.Hkv;
  a.q = BindBf16<const bf16>(in.q, a.rows, a.H, a.D);
  a.k = BindBf16<const bf16>(in.k, a.rows, a.Hkv, a.D);
  a.v = BindBf16<const bf16>(in.v, a.rows, a.Hkv, a.D);

  CARACAL_CHECK(in.offsets != nullptr && in.terms != nullptr);
  CARACAL_CHECK_EQ(in.offsets[0], 0);
  CARACAL_CHECK_EQ(in.offsets[in.sequences], a.rows);
  for (int64_t i = 0; i < in.sequences; ++i) {
    CARACAL_CHECK(in.offsets[i] <= in.offsets[i + 1]) << "sequence " << i;
  }
  a.sequences = static_cast<int>(in.sequences);
  const bool linear =
      std::any_of(in.terms, in.terms + in.sequences * a.H, [](uint8_t terms) {
        return terms & (kLinearPastTerms | kLinearNearTerms);
      });
  if (in.weight_q.defined() || linear) {
    CARACAL_CHECK_EQ(in.weight_q.rank, 3);
    a.F = in.weight_q.shape[2];
    a.Fout = FeatureMapOutputs(config.feature_map, a.F);
    const int64_t size = a.H * a.D * a.F;
    a.weight_q = BindF32(in.weight_q, size);
    a.weight_k = BindF32(in.weight_k, size);
    CARACAL_CHECK(a.weight_q != nullptr && a.weight_k != nullptr);
    a.bias_q = BindF32(in.bias_q, a.H * a.F);
    a.bias_k = BindF32(in.bias_k, a.H * a.F);
  }
  a.window_factor = BindF32(in.window_factor, a.H);
  CARACAL_CHECK(a.window_factor != nullptr);
  return a;
}

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
  a.dweight_q = BindF32(grads.dweight_q, a.H * a.D * a.F);
  a.dweight_k = BindF32(grads.dweight_k, a.H * a.D * a.F);
  a.dbias_q = BindF32(grads.dbias_q, a.H * a.F);
  a.dbias_k = BindF32(grads.dbias_k, a.H * a.F);
  a.dwindow_factor = BindF32(grads.dwindow_factor, a.H);
}

size_t Aligned(size_t bytes) { return (bytes + 255) / 256 * 256; }

size_t TableBytes(const Args& a) {
  return Aligned((a.sequences + 1) * sizeof(int64_t)) +
         Aligned(a.sequences * a.H);
}

// Uploads offsets and terms, in one go, to the start of the workspace; returns
// the rest.
char* UploadTables(const HybridAttentionInputs& in, void* memory,
                   cudaStream_t stream, Args& a) {
  const size_t offset_bytes = (in.sequences + 1) * sizeof(int64_t);
  const size_t terms_at = Aligned(offset_bytes);
  std::vector<char> tables(terms_at + in.sequences * a.H);
  std::memcpy(tables.data(), in.offsets, offset_bytes);
  std::memcpy(tables.data() + terms_at, in.terms, in.sequences * a.H);
  CudaUpload(tables.data(), tables.size(), memory, stream);
  char* at = static_cast<char*>(memory);
  a.offsets = reinterpret_cast<const int64_t*>(at);
  a.terms = reinterpret_cast<const uint8_t*>(at + terms_at);
  return at + TableBytes(a);
}

}  // namespace

size_t HybridAttentionForwardCudaWorkspaceBytes(
    const HybridAttentionConfig& config, const HybridAttentionInputs& in,
    CudaVersion version) {
  const Args a = BindInputs(config, in);
  if (version == CudaVersion::kBest && cuda::HopperSupports(a)) {
    return TableBytes(a) + cuda::HopperForwardBytes(a, in.offsets);
  }
  return TableBytes(a) + cuda::PlainForwardScratch(a, nullptr).bytes;
}

void HybridAttentionForwardCuda(const Context& ctx,
                                const HybridAttentionConfig& config,
                                const HybridAttentionInputs& in,
                                const HybridAttentionPast* past,
                                const HybridAttentionOutputs& out,
                                Workspace workspace, CudaVersion version) {
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
  char* rest = UploadTables(in, workspace.data, stream, a);
  if (version == CudaVersion::kBest && cuda::HopperSupports(a)) {
    cuda::HopperForward(a, in.offsets, in.terms, rest, stream);
  } else {
    cuda::PlainForward(a, cuda::PlainForwardScratch(a, rest), stream);
  }
}

size_t HybridAttentionBackwardCudaWorkspaceBytes(
    const HybridAttentionConfig& config, const HybridAttentionInputs& in,
    const HybridAttentionCotangent& cotangent,
    const HybridAttentionGradients& grads, CudaVersion version) {
  Args a = BindInputs(config, in);
  BindBackward(cotangent, grads, a);
  if (version == CudaVersion::kBest && cuda::HopperSupports(a)) {
    return TableBytes(a) + cuda::HopperBackwardBytes(a, in.offsets);
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
  char* rest = UploadTables(in, workspace.data, stream, a);
  if (version == CudaVersion::kBest && cuda::HopperSupports(a)) {
    cuda::HopperBackward(a, in.offsets, in.terms, rest, stream);
  } else {
    cuda::PlainBackward(a, cuda::PlainBackwardScratch(a, rest), stream);
  }
}

}  // namespace caracal::kernels
