// What CUDA calls of hybrid attention begin with: views become plain pointers,
// and tables of host memory go to the device. Included only by their sources.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_BIND_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_BIND_H_

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/common/cuda_check.h"
#include "kernels/common/cuda_upload.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_args.h"

namespace caracal::kernels::cuda {

template <typename View>
auto* BindF32(View view, int64_t size) {
  using Pointer = decltype(view.f32());
  if (!view.defined()) return Pointer{nullptr};
  CARACAL_CHECK(view.contiguous());
  CARACAL_CHECK_EQ(view.size(), size);
  return view.f32();
}

// The feature maps' shape.
inline void BindMaps(FeatureMapKind kind, const ConstTensorView& weight,
                     Args& a) {
  CARACAL_CHECK_EQ(weight.rank, 3);
  a.map = kind;
  a.maps = static_cast<int>(weight.shape[0]);
  CARACAL_CHECK(a.maps == a.H || a.maps == 1)
      << a.maps << " feature maps of " << a.H << " heads";
  a.F = static_cast<int>(weight.shape[2]);
  a.Fout = static_cast<int>(FeatureMapOutputs(kind, a.F));
}

inline void BindMapGradients(const HybridAttentionGradients& grads, Args& a) {
  const int64_t size = int64_t{a.maps} * a.D * a.F;
  a.dweight_q = BindF32(grads.dweight_q, size);
  a.dweight_k = BindF32(grads.dweight_k, size);
  a.dbias_q = BindF32(grads.dbias_q, int64_t{a.maps} * a.F);
  a.dbias_k = BindF32(grads.dbias_k, int64_t{a.maps} * a.F);
}

// HybridAttentionInputs::term_kinds, of the host's table where there is no
// other.
inline uint32_t TermKinds(const HybridAttentionInputs& in) {
  if (in.device_terms != nullptr) {
    CARACAL_CHECK(in.term_kinds != 0) << "a table of no kind of terms";
    return in.term_kinds;
  }
  return TermKindsOf(in.terms, in.sequences * in.q.shape[1]);
}
inline bool AnyLinearKind(uint32_t term_kinds) {
  for (int terms = 0; terms < kTermKinds; ++terms) {
    if ((term_kinds >> terms & 1) != 0 &&
        (terms & (kLinearPastTerms | kLinearNearTerms)) != 0) {
      return true;
    }
  }
  return false;
}

inline Args BindInputs(const HybridAttentionConfig& config,
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
  a.terraced = config.window_kind != WindowKind::kSliding;
  a.from_end = config.window_kind == WindowKind::kLolcatsTerraced;
  a.affine = config.affine;
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
  if (in.weight_q.defined() || AnyLinearKind(TermKinds(in))) {
    BindMaps(config.feature_map, in.weight_q, a);
    const int64_t size = int64_t{a.maps} * a.D * a.F;
    a.weight_q = BindF32(in.weight_q, size);
    a.weight_k = BindF32(in.weight_k, size);
    CARACAL_CHECK(a.weight_q != nullptr && a.weight_k != nullptr);
    a.bias_q = BindF32(in.bias_q, int64_t{a.maps} * a.F);
    a.bias_k = BindF32(in.bias_k, int64_t{a.maps} * a.F);
  }
  a.window_factor = BindF32(in.window_factor, a.H);
  CARACAL_CHECK(a.window_factor != nullptr);
  return a;
}

inline size_t Aligned(size_t bytes) { return (bytes + 255) / 256 * 256; }

inline size_t TableBytes(const Args& a) {
  return Aligned((a.sequences + 1) * sizeof(int64_t)) +
         Aligned(a.sequences * a.H);
}

// Uploads offsets, and terms that are not there yet, in one go, to the start of
// the workspace; returns the rest.
inline char* UploadTables(const HybridAttentionInputs& in, void* memory,
                          cudaStream_t stream, Args& a) {
  const size_t offset_bytes = (in.sequences + 1) * sizeof(int64_t);
  const size_t terms_at = Aligned(offset_bytes);
  std::vector<char> tables(offset_bytes);
  std::memcpy(tables.data(), in.offsets, offset_bytes);
  if (in.device_terms == nullptr) {
    tables.resize(terms_at + in.sequences * a.H);
    std::memcpy(&tables[terms_at], in.terms, in.sequences * a.H);
  }
  CudaUpload(tables.data(), tables.size(), memory, stream);
  char* at = static_cast<char*>(memory);
  a.offsets = reinterpret_cast<const int64_t*>(at);
  a.terms = in.device_terms != nullptr
                ? in.device_terms
                : reinterpret_cast<const uint8_t*>(at + terms_at);
  return at + TableBytes(a);
}

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_BIND_H_
