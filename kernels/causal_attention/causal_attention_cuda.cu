// Binds the views of a CUDA call to plain pointers, lists the sequences'
// work and picks the version.
#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/causal_attention/causal_attention_cuda.h"
#include "kernels/causal_attention/causal_attention_cuda_args.h"
#include "kernels/common/cuda_check.h"
#include "kernels/common/cuda_early_launch.h"
#include "kernels/common/cuda_upload.h"

namespace caracal::kernels {
namespace {

using cuda::bf16;
using cuda::BindBf16;
using cuda::CausalArgs;
using cuda::CausalSequence;
using cuda::kCausalRows;

CausalArgs BindInputs(const CausalAttentionInputs& in) {
  CARACAL_CHECK_EQ(in.q.rank, 3);
  CARACAL_CHECK_EQ(in.k.rank, 3);
  CausalArgs a;
  a.rows = in.q.shape[0];
  a.key_rows = in.k.shape[0];
  a.H = static_cast<int>(in.q.shape[1]);
  a.Hkv = static_cast<int>(in.k.shape[1]);
  a.D = static_cast<int>(in.q.shape[2]);
  // Keeps positions within 32 bits.
  CARACAL_CHECK(a.rows < (1 << 30) && a.key_rows < (1 << 30))
      << a.rows << " rows, " << a.key_rows << " keys";
  CARACAL_CHECK(a.D >= 8 && a.D % 8 == 0 && a.D <= 256)
      << "head dimension " << a.D;
  CARACAL_CHECK(a.Hkv >= 1 && a.H % a.Hkv == 0) << a.H << " over " << a.Hkv;
  a.q = BindBf16<const bf16>(in.q, a.rows, a.H, a.D);
  a.k = BindBf16<const bf16>(in.k, a.key_rows, a.Hkv, a.D);
  a.v = BindBf16<const bf16>(in.v, a.key_rows, a.Hkv, a.D);
  return a;
}

// Keys and values that blocks at work look at together: half of an H100's L2
// cache.
constexpr int64_t kCacheBytes = 24 << 20;

// In front of the table: how many items were taken.
constexpr size_t kHeaderBytes = 16;

// Empty ones left out, the longest first: the last to be taken are short.
std::vector<CausalSequence> SequencesOf(const CausalAttentionInputs& in,
                                        CausalArgs& a) {
  const int64_t* const keys =
      in.key_offsets == nullptr ? in.offsets : in.key_offsets;
  CARACAL_CHECK_EQ(in.offsets[0], 0);
  CARACAL_CHECK_EQ(in.offsets[in.sequences], a.rows);
  CARACAL_CHECK(keys[0] >= 0 && keys[in.sequences] <= a.key_rows);
  std::vector<CausalSequence> list;
  for (int64_t i = 0; i < in.sequences; ++i) {
    const int64_t queries = in.offsets[i + 1] - in.offsets[i];
    const int64_t length = keys[i + 1] - keys[i];
    CARACAL_CHECK(queries >= 0 && length >= queries) << "sequence " << i;
    if (queries == 0) continue;
    const int64_t kv_heads =
        std::clamp<int64_t>(kCacheBytes / (length * a.D * 4), 1, a.Hkv);
    list.push_back({0, static_cast<int>(in.offsets[i]),
                    static_cast<int>(queries), static_cast<int>(keys[i]),
                    static_cast<int>(length - queries),
                    static_cast<int>(kv_heads * (a.H / a.Hkv))});
  }
  std::stable_sort(list.begin(), list.end(),
                   [](const CausalSequence& x, const CausalSequence& y) {
                     return x.past + x.queries > y.past + y.queries;
                   });
  int64_t items = 0;
  for (CausalSequence& s : list) {
    s.first_item = static_cast<int>(items);
    items += static_cast<int64_t>(a.H) *
             ((s.queries + kCausalRows - 1) / kCausalRows);
  }
  CARACAL_CHECK(items < (1 << 30)) << items << " work items";
  a.sequences = static_cast<int>(list.size());
  a.items = static_cast<int>(items);
  return list;
}

bool IsHopper() { return cuda::MajorCapability() == 9; }

}  // namespace

size_t CausalAttentionForwardCudaWorkspaceBytes(
    const CausalAttentionInputs& in) {
  return kHeaderBytes + in.sequences * sizeof(CausalSequence);
}

void CausalAttentionForwardCuda(const Context& ctx,
                                const CausalAttentionInputs& in, TensorView y,
                                TensorView lse, Workspace workspace,
                                CudaVersion version) {
  CausalArgs a = BindInputs(in);
  a.y = BindBf16<bf16>(y, a.rows, a.H, a.D);
  CARACAL_CHECK(a.y.data != nullptr);
  if (lse.defined()) {
    CARACAL_CHECK(lse.contiguous());
    CARACAL_CHECK_EQ(lse.size(), a.H * a.rows);
    a.lse = lse.f32();
  }
  const size_t bytes = CausalAttentionForwardCudaWorkspaceBytes(in);
  CARACAL_CHECK(workspace.bytes >= bytes) << workspace.bytes << " of " << bytes;
  const std::vector<CausalSequence> list = SequencesOf(in, a);
  if (list.empty()) return;
  std::vector<char> memory(kHeaderBytes + list.size() * sizeof(list[0]));
  std::memcpy(&memory[kHeaderBytes], list.data(), memory.size() - kHeaderBytes);
  const auto stream = static_cast<cudaStream_t>(ctx.stream);
  CudaUpload(memory.data(), memory.size(), workspace.data, stream);
  char* const data = static_cast<char*>(workspace.data);
  a.taken = reinterpret_cast<int*>(data);
  a.table = reinterpret_cast<const CausalSequence*>(data + kHeaderBytes);
  if (version == CudaVersion::kBest && a.D <= 128 && IsHopper()) {
    cuda::CausalForwardHopper(a, stream);
  } else {
    cuda::CausalForwardPlain(a, stream);
  }
}

}  // namespace caracal::kernels
