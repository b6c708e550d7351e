#include "kernels/adamw/adamw_simd.h"

#include "kernels/common/simd_loop.h"

namespace caracal::kernels::CARACAL_SIMD_NS {
namespace {

using namespace ::caracal::CARACAL_SIMD_NS;  // NOLINT: Vec and its functions

constexpr int kLanes = Vec::kLanes;

inline int LanesLeft(int64_t begin, int64_t end) {
  return end - begin < kLanes ? static_cast<int>(end - begin) : kLanes;
}

void Step(const AdamWCoefficients& k, const float* grad, int64_t n,
          float* param, float* m, float* v) {
  const Vec grad_scale = Set(k.grad_scale), decay = Set(k.decay);
  const Vec one_minus_beta1 = Set(k.one_minus_beta1), beta2 = Set(k.beta2);
  const Vec one_minus_beta2 = Set(k.one_minus_beta2);
  const Vec sqrt_correction2 = Set(k.sqrt_correction2);
  const Vec epsilon = Set(k.epsilon), negative_step = Set(k.negative_step);
  ForEachVector(n, [=](int64_t i, auto lanes) {
    const Vec g = lanes.Load(grad + i) * grad_scale;
    const Vec p = lanes.Load(param + i) * decay;
    const Vec m0 = lanes.Load(m + i);
    const Vec m1 = Fma(one_minus_beta1, g - m0, m0);
    const Vec v1 = Fma(one_minus_beta2 * g, g, lanes.Load(v + i) * beta2);
    const Vec denominator = Sqrt(v1) / sqrt_correction2 + epsilon;
    lanes.Store(m + i, m1);
    lanes.Store(v + i, v1);
    lanes.Store(param + i, p + negative_step * m1 / denominator);
  });
}

// Eight or four doubles at a time; two chains.
#if defined(__AVX512F__)
double SumOfSquares(const float* x, int64_t n) {
  __m512d s0 = _mm512_setzero_pd(), s1 = _mm512_setzero_pd();
  ForEachVector(n, [&](int64_t i, auto lanes) {
    const __m512 f = lanes.Load(x + i).v;
    const __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(f));
    const __m512d high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(f, 1));
    s0 = _mm512_fmadd_pd(low, low, s0);
    s1 = _mm512_fmadd_pd(high, high, s1);
  });
  return _mm512_reduce_add_pd(_mm512_add_pd(s0, s1));
}
#else
double SumOfSquares(const float* x, int64_t n) {
  __m256d s0 = _mm256_setzero_pd(), s1 = _mm256_setzero_pd();
  ForEachVector(n, [&](int64_t i, auto lanes) {
    const __m256 f = lanes.Load(x + i).v;
    const __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(f));
    const __m256d high = _mm256_cvtps_pd(_mm256_extractf128_ps(f, 1));
    s0 = _mm256_fmadd_pd(low, low, s0);
    s1 = _mm256_fmadd_pd(high, high, s1);
  });
  double part[4];
  _mm256_storeu_pd(part, _mm256_add_pd(s0, s1));
  return (part[0] + part[1]) + (part[2] + part[3]);
}
#endif

// 0 x is NaN exactly when x is infinite or NaN, and NaN survives the sum.
bool AllFinite(const float* x, int64_t n) {
  const Vec zero = Zero();
  Vec sum0 = zero, sum1 = zero;
  int64_t i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    sum0 = Fma(Load(x + i), zero, sum0);
    sum1 = Fma(Load(x + i + kLanes), zero, sum1);
  }
  for (; i < n; i += kLanes) {
    sum0 = Fma(LoadN(x + i, LanesLeft(i, n)), zero, sum0);
  }
  return ReduceAdd(sum0 + sum1) == 0.0f;
}

void Accumulate(const float* x, int64_t n, float* y) {
  ForEachVector(n, [=](int64_t i, auto lanes) {
    lanes.Store(y + i, lanes.Load(y + i) + lanes.Load(x + i));
  });
}

}  // namespace

const AdamWLoops kAdamWLoops = {Step, SumOfSquares, AllFinite, Accumulate};

}  // namespace caracal::kernels::CARACAL_SIMD_NS
