#include "kernels/quant/dequantize.h"

#include <algorithm>
#include <cmath>

#include "kernels/common/check.h"
#include "kernels/common/cpu.h"
#include "kernels/quant/dequantize_simd.h"

namespace caracal::kernels {
namespace {

// Elements a thread gets at least.
constexpr int64_t kElementsPerThread = 16384;
// FirstNonFinite looks at this many elements at a time.
constexpr int64_t kStretch = 4096;

}  // namespace

void DequantizeRow(Encoding encoding, const uint8_t* data, int64_t elements,
                   float* out) {
  const EncodingInfo& info = InfoOf(encoding);
  CARACAL_CHECK_EQ(elements % info.block_elements, 0);
  const int64_t blocks = elements / info.block_elements;
  switch (CurrentIsa()) {
    case Isa::kAvx512:
      return avx512::DequantizeBlocks(encoding, data, blocks, out);
    case Isa::kAvx2:
      return avx2::DequantizeBlocks(encoding, data, blocks, out);
    case Isa::kScalar:
      return info.dequantize(data, blocks, out);
  }
}

void Dequantize(const Context& ctx, const EncodedView& w, TensorView out) {
  CARACAL_CHECK(ctx.device == DeviceType::kCpu) << "no such device";
  CARACAL_CHECK_EQ(out.rank, 2);
  CARACAL_CHECK_EQ(out.shape[0], w.rows);
  CARACAL_CHECK_EQ(out.shape[1], w.columns);
  CARACAL_CHECK_EQ(out.stride[1], 1);
  float* values = out.f32();
  const int64_t grain =
      kElementsPerThread / std::max<int64_t>(1, w.columns) + 1;
  ctx.pool->ParallelRanges(w.rows, grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      DequantizeRow(w.encoding, w.row(r), w.columns,
                    values + r * out.stride[0]);
    }
  });
}

int64_t FirstNonFinite(const float* values, int64_t count) {
  const Isa isa = CurrentIsa();
  for (int64_t begin = 0; begin < count; begin += kStretch) {
    const int64_t end = std::min(count, begin + kStretch);
    if (isa == Isa::kAvx512 && avx512::AllFinite(values + begin, end - begin)) {
      continue;
    }
    if (isa == Isa::kAvx2 && avx2::AllFinite(values + begin, end - begin)) {
      continue;
    }
    for (int64_t i = begin; i < end; ++i) {
      if (!std::isfinite(values[i])) return i;
    }
  }
  return -1;
}

}  // namespace caracal::kernels
