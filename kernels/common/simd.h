// A vector of floats as wide as the instruction set this file is compiled for
// (simd_library: AVX2 or AVX-512), with the few operations kernels need.
// Included only by sources of a simd_library; everything lies in the
// namespace of the instruction set, so that no two versions are ever merged
// by the linker.
#ifndef CARACAL_KERNELS_COMMON_SIMD_H_
#define CARACAL_KERNELS_COMMON_SIMD_H_

#include <immintrin.h>

#include <cstdint>

namespace caracal::CARACAL_SIMD_NS {

#if defined(__AVX512F__)

struct Vec {
  static constexpr int kLanes = 16;
  __m512 v;
};

inline Vec Load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline void Store(float* p, Vec a) { _mm512_storeu_ps(p, a.v); }
inline Vec Set(float x) { return {_mm512_set1_ps(x)}; }
inline Vec Zero() { return {_mm512_setzero_ps()}; }
inline Vec operator+(Vec a, Vec b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Vec operator-(Vec a, Vec b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline Vec operator*(Vec a, Vec b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline Vec operator/(Vec a, Vec b) { return {_mm512_div_ps(a.v, b.v)}; }
// a * b + c, rounded once.
inline Vec Fma(Vec a, Vec b, Vec c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline Vec Max(Vec a, Vec b) { return {_mm512_max_ps(a.v, b.v)}; }
inline Vec Min(Vec a, Vec b) { return {_mm512_min_ps(a.v, b.v)}; }
inline Vec Sqrt(Vec a) { return {_mm512_sqrt_ps(a.v)}; }
inline float ReduceAdd(Vec a) { return _mm512_reduce_add_ps(a.v); }
inline float ReduceMax(Vec a) { return _mm512_reduce_max_ps(a.v); }
// The first n lanes (0 <= n <= kLanes); the others are 0.
inline __mmask16 FirstLanes(int n) {
  return static_cast<__mmask16>((1u << n) - 1);
}
inline Vec LoadN(const float* p, int n) {
  return {_mm512_maskz_loadu_ps(FirstLanes(n), p)};
}
inline void StoreN(float* p, Vec a, int n) {
  _mm512_mask_storeu_ps(p, FirstLanes(n), a.v);
}
// Lanes < n from a, the others from b.
inline Vec SelectFirst(int n, Vec a, Vec b) {
  return {_mm512_mask_blend_ps(FirstLanes(n), b.v, a.v)};
}
inline Vec RoundNearest(Vec a) {
  return {
      _mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
// A predicate per lane.
using Mask = __mmask16;
// Lanes l with low <= l < high; the bounds may lie outside [0, kLanes].
inline Mask LaneRange(int low, int high) {
  low = low < 0 ? 0 : low > 16 ? 16 : low;
  high = high < low ? low : high > 16 ? 16 : high;
  return static_cast<Mask>((1u << high) - (1u << low));
}
inline Mask Equal(Vec a, Vec b) {
  return _mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ);
}
inline Mask Greater(Vec a, Vec b) {
  return _mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ);
}
// Greater, or either is NaN.
inline Mask NotLessEqual(Vec a, Vec b) {
  return _mm512_cmp_ps_mask(a.v, b.v, _CMP_NLE_UQ);
}
inline Mask And(Mask a, Mask b) { return a & b; }
// a where the mask is set, else b.
inline Vec Select(Mask mask, Vec a, Vec b) {
  return {_mm512_mask_blend_ps(mask, b.v, a.v)};
}
inline Vec SelectOrZero(Mask mask, Vec a) {
  return {_mm512_maskz_mov_ps(mask, a.v)};
}
// a * 2^n for integral n (any magnitude; saturates to 0 and infinity).
inline Vec ScaleByPowerOf2(Vec a, Vec n) {
  return {_mm512_scalef_ps(a.v, n.v)};
}
// a = m 2^n with m in [1, 2), for positive normal a. Returns n.
inline Vec Exponent(Vec a) { return {_mm512_getexp_ps(a.v)}; }

#else

struct Vec {
  static constexpr int kLanes = 8;
  __m256 v;
};

inline Vec Load(const float* p) { return {_mm256_loadu_ps(p)}; }
inline void Store(float* p, Vec a) { _mm256_storeu_ps(p, a.v); }
inline Vec Set(float x) { return {_mm256_set1_ps(x)}; }
inline Vec Zero() { return {_mm256_setzero_ps()}; }
inline Vec operator+(Vec a, Vec b) { return {_mm256_add_ps(a.v, b.v)}; }
inline Vec operator-(Vec a, Vec b) { return {_mm256_sub_ps(a.v, b.v)}; }
inline Vec operator*(Vec a, Vec b) { return {_mm256_mul_ps(a.v, b.v)}; }
inline Vec operator/(Vec a, Vec b) { return {_mm256_div_ps(a.v, b.v)}; }
// a * b + c, rounded once.
inline Vec Fma(Vec a, Vec b, Vec c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
inline Vec Max(Vec a, Vec b) { return {_mm256_max_ps(a.v, b.v)}; }
inline Vec Min(Vec a, Vec b) { return {_mm256_min_ps(a.v, b.v)}; }
inline Vec Sqrt(Vec a) { return {_mm256_sqrt_ps(a.v)}; }
inline float ReduceAdd(Vec a) {
  __m128 s =
      _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  s = _mm_add_ss(s, _mm_movehdup_ps(s));
  return _mm_cvtss_f32(s);
}
inline float ReduceMax(Vec a) {
  __m128 s =
      _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  s = _mm_max_ss(s, _mm_movehdup_ps(s));
  return _mm_cvtss_f32(s);
}
// The first n lanes (0 <= n <= kLanes); the others are 0.
inline __m256i FirstLanes(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline Vec LoadN(const float* p, int n) {
  return {_mm256_maskload_ps(p, FirstLanes(n))};
}
inline void StoreN(float* p, Vec a, int n) {
  // Masked stores are slow on AMD processors.
  if (n == Vec::kLanes) return Store(p, a);
  _mm256_maskstore_ps(p, FirstLanes(n), a.v);
}
// Lanes < n from a, the others from b.
inline Vec SelectFirst(int n, Vec a, Vec b) {
  return {_mm256_blendv_ps(b.v, a.v, _mm256_castsi256_ps(FirstLanes(n)))};
}
inline Vec RoundNearest(Vec a) {
  return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
// A predicate per lane.
struct Mask {
  __m256 v;
};
// Lanes l with low <= l < high; the bounds may lie outside [0, kLanes].
inline Mask LaneRange(int low, int high) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i below = _mm256_cmpgt_epi32(_mm256_set1_epi32(low), lane);
  const __m256i inside = _mm256_cmpgt_epi32(_mm256_set1_epi32(high), lane);
  return {_mm256_castsi256_ps(_mm256_andnot_si256(below, inside))};
}
inline Mask Equal(Vec a, Vec b) {
  return {_mm256_cmp_ps(a.v, b.v, _CMP_EQ_OQ)};
}
inline Mask Greater(Vec a, Vec b) {
  return {_mm256_cmp_ps(a.v, b.v, _CMP_GT_OQ)};
}
// Greater, or either is NaN.
inline Mask NotLessEqual(Vec a, Vec b) {
  return {_mm256_cmp_ps(a.v, b.v, _CMP_NLE_UQ)};
}
inline Mask And(Mask a, Mask b) { return {_mm256_and_ps(a.v, b.v)}; }
// a where the mask is set, else b.
inline Vec Select(Mask mask, Vec a, Vec b) {
  return {_mm256_blendv_ps(b.v, a.v, mask.v)};
}
inline Vec SelectOrZero(Mask mask, Vec a) {
  return {_mm256_and_ps(mask.v, a.v)};
}
// a * 2^n for integral n in [-252, 254]; two steps keep subnormals right.
inline Vec ScaleByPowerOf2(Vec a, Vec n) {
  const __m256i whole = _mm256_cvtps_epi32(n.v);
  const __m256i half = _mm256_srai_epi32(whole, 1);
  const __m256i rest = _mm256_sub_epi32(whole, half);
  const __m256i bias = _mm256_set1_epi32(127);
  const __m256 f1 =
      _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23));
  const __m256 f2 =
      _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23));
  return {_mm256_mul_ps(_mm256_mul_ps(a.v, f1), f2)};
}
// a = m 2^n with m in [1, 2), for positive normal a. Returns n.
inline Vec Exponent(Vec a) {
  const __m256i biased = _mm256_srli_epi32(_mm256_castps_si256(a.v), 23);
  return {_mm256_cvtepi32_ps(_mm256_sub_epi32(biased, _mm256_set1_epi32(127)))};
}

#endif

// Asks for the cache lines of `count` floats, into L2 and further in.
inline void Prefetch(const float* p, int64_t count) {
  for (int64_t i = 0; i < count; i += 16) {
    _mm_prefetch(reinterpret_cast<const char*>(p + i), _MM_HINT_T1);
  }
}

// e^x within 2 ulp on [-104, 89]; 0 below, +infinity above; NaN gives NaN.
// Cody-Waite reduction to |r| <= ln(2)/2 and a degree-6 polynomial.
inline Vec Exp(Vec x) {
  // min/max return the second operand on NaN, so x stands second.
  const Vec bounded = Min(Set(89.5f), Max(Set(-105.0f), x));
  const Vec n = RoundNearest(bounded * Set(1.44269504088896341f));
  Vec r = Fma(n, Set(-0.693145751953125f), bounded);
  r = Fma(n, Set(-1.42860682030941723212e-6f), r);
  Vec p = Set(1.38889e-3f);
  p = Fma(p, r, Set(8.33333333e-3f));
  p = Fma(p, r, Set(4.16666667e-2f));
  p = Fma(p, r, Set(1.66666667e-1f));
  p = Fma(p, r, Set(0.5f));
  p = Fma(p, r, Set(1.0f));
  p = Fma(p, r, Set(1.0f));
  return ScaleByPowerOf2(p, n);
}

// log x within 4 ulp of max(1, |log x|), for positive normal x.
// x = m 2^n with m in [sqrt(1/2), sqrt(2)); log m = 2 atanh((m - 1) / (m + 1))
// by its odd series, whose next term is below 2^-26.
inline Vec Log(Vec x) {
  Vec n = Exponent(x);
  Vec m = ScaleByPowerOf2(x, Zero() - n);
  const Mask large = Greater(m, Set(1.41421356f));
  m = Select(large, m * Set(0.5f), m);
  n = n + SelectOrZero(large, Set(1.0f));
  const Vec t = (m - Set(1.0f)) / (m + Set(1.0f));
  const Vec t2 = t * t;
  Vec p = Set(2.0f / 9);
  p = Fma(p, t2, Set(2.0f / 7));
  p = Fma(p, t2, Set(2.0f / 5));
  p = Fma(p, t2, Set(2.0f / 3));
  p = Fma(p, t2, Set(2.0f));
  return Fma(n, Set(0.693147180559945f), p * t);
}

}  // namespace caracal::CARACAL_SIMD_NS

#endif  // CARACAL_KERNELS_COMMON_SIMD_H_
