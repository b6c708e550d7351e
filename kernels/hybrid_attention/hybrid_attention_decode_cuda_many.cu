// The first of two kernels for many sequences: all but the states. Some blocks
// make features, others softmax weights and their values' sums. Neither waits
// for the other.
#include <algorithm>

#include "kernels/common/cuda_check.h"
#include "kernels/hybrid_attention/hybrid_attention_decode_cuda_tile_features.h"
#include "kernels/hybrid_attention/hybrid_attention_decode_cuda_window.h"

namespace caracal::kernels::cuda::decode {
namespace {

// Blocks of a multiprocessor.
constexpr int kResident = 4;

struct ManyArgs {
  DecodeArgs d;
  int sequences = 0;
  int each = 0;    // sequences of a block that makes features
  int shares = 0;  // such blocks of a head
};

// kD, kF: D and F, where the compiler knows them, or 0.
template <int kD, int kF>
__global__ void __launch_bounds__(kManyThreads, kResident)
    Prepare(const __grid_constant__ ManyArgs many) {
  extern __shared__ __align__(16) char memory[];
  const DecodeArgs& d = many.d;
  const Args& a = d.a;
  int block = blockIdx.x;
  if (block < 2 * a.H * many.shares) {
    const int begin = block / (2 * a.H) * many.each;
    TileFeatures<kD, kF>(d, block / 2 % a.H, block % 2 == 1, begin,
                         min(begin + many.each, many.sequences),
                         *reinterpret_cast<FeatureShared*>(memory));
    return;
  }
  block -= 2 * a.H * many.shares;
  const int groups = GroupsOf(a), group = block % groups;
  const int kv = block / groups % a.Hkv, sequence = block / groups / a.Hkv;
  const int heads = a.H / a.Hkv;
  WindowSums<kD>(d, sequence, kv, kv * heads + group * kGroup,
                 min(kGroup, heads - group * kGroup), group == 0,
                 *reinterpret_cast<WindowShared*>(memory));
}

int RoundUp(int64_t n, int64_t multiple) {
  return static_cast<int>((n + multiple - 1) / multiple * multiple);
}

}  // namespace

static size_t PrepareSharedBytes(const Args& a) {
  return std::max(WindowSharedBytes(a), FeatureSharedBytes(a));
}

void LaunchPrepare(const DecodeArgs& d, int64_t sequences,
                   cudaStream_t stream) {
  const Args& a = d.a;
  const auto kernel =
      a.D == 128 && a.F == 64 ? Prepare<128, 64> : Prepare<0, 0>;
  const size_t bytes = PrepareSharedBytes(a);
  CARACAL_LAUNCHER_CHECK(cudaFuncSetAttribute(
      kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  ManyArgs many;
  many.d = d;
  many.sequences = static_cast<int>(sequences);
  // As many tiles a block, whose map is read once, as leave none of the
  // multiprocessors' places empty.
  const int64_t places = int64_t{kResident} * Multiprocessors();
  many.each = std::max(RoundUp(2 * a.H * sequences / places, kTileSequences),
                       kTileSequences);
  many.shares = (many.sequences + many.each - 1) / many.each;
  const int64_t blocks =
      int64_t{2} * a.H * many.shares + sequences * a.Hkv * GroupsOf(a);
  LaunchEarly(kernel, dim3(static_cast<unsigned>(blocks)), dim3(kManyThreads),
              bytes, stream, many);
}

}  // namespace caracal::kernels::cuda::decode
