#include "kernels/swiglu/swiglu_simd.h"

#include "kernels/common/simd_loop.h"

namespace caracal::kernels::CARACAL_SIMD_NS {
namespace {

using namespace ::caracal::CARACAL_SIMD_NS;  // NOLINT: Vec and its functions

void Forward(const float* gate, const float* up, int64_t n, float* out) {
  ForEachVector(n, [=](int64_t i, auto lanes) {
    const Vec g = lanes.Load(gate + i);
    lanes.Store(out + i,
                g / (Set(1.0f) + Exp(Zero() - g)) * lanes.Load(up + i));
  });
}

void Backward(const float* dout, const float* gate, const float* up, int64_t n,
              float* dgate, float* dup) {
  const Vec one = Set(1.0f);
  ForEachVector(n, [=](int64_t i, auto lanes) {
    const Vec g = lanes.Load(gate + i);
    const Vec u = lanes.Load(up + i);
    const Vec d = lanes.Load(dout + i);
    const Vec s = one / (one + Exp(Zero() - g));
    lanes.Store(dgate + i, d * u * (s * Fma(g, one - s, one)));
    lanes.Store(dup + i, d * (g * s));
  });
}

}  // namespace

const SwigluLoops kSwigluLoops = {Forward, Backward};

}  // namespace caracal::kernels::CARACAL_SIMD_NS
