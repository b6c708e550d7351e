#include "kernels/rope/rope_simd.h"

#include "kernels/common/simd_loop.h"

namespace caracal::kernels::CARACAL_SIMD_NS {
namespace {

using namespace ::caracal::CARACAL_SIMD_NS;  // NOLINT: Vec and its functions

void Rotate(float* x, int64_t head_stride, int64_t heads, int64_t half,
            const float* cos, const float* sin, bool inverse) {
  const Vec sign = Set(inverse ? -1.0f : 1.0f);
  ForEachVector(half, [=](int64_t i, auto lanes) {
    const Vec c = lanes.Load(cos + i);
    const Vec s = lanes.Load(sin + i) * sign;
    float* first = x + i;
    for (int64_t h = 0; h < heads; ++h, first += head_stride) {
      const Vec a = lanes.Load(first);
      const Vec b = lanes.Load(first + half);
      lanes.Store(first, a * c - b * s);
      lanes.Store(first + half, b * c + a * s);
    }
  });
}

}  // namespace

const RopeLoops kRopeLoops = {Rotate};

}  // namespace caracal::kernels::CARACAL_SIMD_NS
