#include "kernels/rope/rope_simd.h"

#include "kernels/common/simd.h"

namespace caracal::kernels::CARACAL_SIMD_NS {
namespace {

using namespace ::caracal::CARACAL_SIMD_NS;  // NOLINT: Vec and its functions

constexpr int kLanes = Vec::kLanes;

void Rotate(float* x, int64_t head_stride, int64_t heads, int64_t half,
            const float* cos, const float* sin, bool inverse) {
  const Vec sign = Set(inverse ? -1.0f : 1.0f);
  for (int64_t i = 0; i < half; i += kLanes) {
    const int n = half - i < kLanes ? static_cast<int>(half - i) : kLanes;
    const Vec c = LoadN(cos + i, n);
    const Vec s = LoadN(sin + i, n) * sign;
    float* first = x + i;
    if (n == kLanes) {
      for (int64_t h = 0; h < heads; ++h, first += head_stride) {
        const Vec a = Load(first);
        const Vec b = Load(first + half);
        Store(first, a * c - b * s);
        Store(first + half, b * c + a * s);
      }
    } else {
      for (int64_t h = 0; h < heads; ++h, first += head_stride) {
        const Vec a = LoadN(first, n);
        const Vec b = LoadN(first + half, n);
        StoreN(first, a * c - b * s, n);
        StoreN(first + half, b * c + a * s, n);
      }
    }
  }
}

}  // namespace

const RopeLoops kRopeLoops = {Rotate};

}  // namespace caracal::kernels::CARACAL_SIMD_NS
