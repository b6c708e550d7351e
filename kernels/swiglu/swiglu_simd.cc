#include "kernels/swiglu/swiglu_simd.h"

#include "kernels/common/simd.h"

namespace caracal::kernels::CARACAL_SIMD_NS {
namespace {

using namespace ::caracal::CARACAL_SIMD_NS;  // NOLINT: Vec and its functions

constexpr int kLanes = Vec::kLanes;

inline Vec Silu(Vec g) { return g / (Set(1.0f) + Exp(Zero() - g)); }

void Forward(const float* gate, const float* up, int64_t n, float* out) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    Store(out + i, Silu(Load(gate + i)) * Load(up + i));
  }
  if (i < n) {
    const int rest = static_cast<int>(n - i);
    StoreN(out + i, Silu(LoadN(gate + i, rest)) * LoadN(up + i, rest), rest);
  }
}

void Backward(const float* dout, const float* gate, const float* up, int64_t n,
              float* dgate, float* dup) {
  const Vec one = Set(1.0f);
  for (int64_t i = 0; i < n; i += kLanes) {
    const int lanes = n - i < kLanes ? static_cast<int>(n - i) : kLanes;
    const Vec g = LoadN(gate + i, lanes);
    const Vec u = LoadN(up + i, lanes);
    const Vec d = LoadN(dout + i, lanes);
    const Vec s = one / (one + Exp(Zero() - g));
    StoreN(dgate + i, d * u * (s * Fma(g, one - s, one)), lanes);
    StoreN(dup + i, d * (g * s), lanes);
  }
}

}  // namespace

const SwigluLoops kSwigluLoops = {Forward, Backward};

}  // namespace caracal::kernels::CARACAL_SIMD_NS
