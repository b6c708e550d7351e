// Decoders of one block of each encoding into vector registers, for sources of
// a simd_library. A decoder D has
//     kElements, kBytes   one block, or one stretch of plain floats
//     kPieces, kVecs      a block is decoded in kPieces pieces of kVecs vectors
//     Offset(piece, v)    the block's element that lane 0 of vector v is
//     Decode(p, piece, w) the piece's vectors
// Results equal the scalar decoders' bit for bit: all products are exact.
#ifndef CARACAL_KERNELS_QUANT_DECODE_SIMD_H_
#define CARACAL_KERNELS_QUANT_DECODE_SIMD_H_

#include <cstdint>
#include <cstring>

#include "kernels/common/simd.h"

namespace caracal::CARACAL_SIMD_NS {

inline uint16_t LoadBits16(const uint8_t* p) {
  uint16_t bits;
  __builtin_memcpy(&bits, p, sizeof(bits));
  return bits;
}

#if defined(__AVX512F__)

// The f16 at p in every lane. Conversions are done on short vectors: they
// occupy an execution port for fewer cycles.
inline Vec BroadcastF16(const uint8_t* p) {
  return {
      _mm512_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(LoadBits16(p))))};
}
// The two f16 at p, each in every lane; reads 8 bytes.
inline void BroadcastTwoF16(const uint8_t* p, Vec* first, Vec* second) {
  const __m128 both =
      _mm_cvtph_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  first->v = _mm512_broadcastss_ps(both);
  second->v = _mm512_broadcastss_ps(_mm_movehdup_ps(both));
}
// kLanes consecutive values as floats.
inline Vec LoadF16s(const uint8_t* p) {
  return {
      _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
inline Vec LoadBF16s(const uint8_t* p) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return {
      _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16))};
}
// kLanes consecutive bytes, one a 32-bit lane.
using Ints = __m512i;
inline Ints LoadU8s(const uint8_t* p) {
  return _mm512_cvtepu8_epi32(
      _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline Ints LoadI8s(const uint8_t* p) {
  return _mm512_cvtepi8_epi32(
      _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline Vec ToFloat(Ints a) { return {_mm512_cvtepi32_ps(a)}; }
inline Ints SetInts(int x) { return _mm512_set1_epi32(x); }
inline Ints And(Ints a, Ints b) { return _mm512_and_si512(a, b); }
inline Ints Or(Ints a, Ints b) { return _mm512_or_si512(a, b); }
inline Ints Sub(Ints a, Ints b) { return _mm512_sub_epi32(a, b); }
template <int kBits>
inline Ints ShiftLeft(Ints a) {
  return _mm512_slli_epi32(a, kBits);
}
template <int kBits>
inline Ints ShiftRight(Ints a) {
  return _mm512_srli_epi32(a, kBits);
}

// The 16 values of a nibble as a table: w = q d + m. One lookup decodes a
// lane, and looks at the low 4 bits of the index only.
struct NibbleTable {
  __m512 values;
  NibbleTable(Vec d, Vec m, float zero) {
    const __m512 q =
        _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    values = _mm512_fmadd_ps(_mm512_sub_ps(q, _mm512_set1_ps(zero)), d.v, m.v);
  }
  NibbleTable(Vec d, float zero) {
    const __m512 q =
        _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    values = _mm512_mul_ps(_mm512_sub_ps(q, _mm512_set1_ps(zero)), d.v);
  }
  Vec Low(Ints bytes) const { return {_mm512_permutexvar_ps(bytes, values)}; }
  Vec High(Ints bytes) const { return Low(ShiftRight<4>(bytes)); }
};

#else

inline Vec BroadcastF16(const uint8_t* p) {
  return {_mm256_cvtph_ps(_mm_set1_epi16(LoadBits16(p)))};
}
inline void BroadcastTwoF16(const uint8_t* p, Vec* first, Vec* second) {
  *first = BroadcastF16(p);
  *second = BroadcastF16(p + 2);
}
inline Vec LoadF16s(const uint8_t* p) {
  return {
      _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
inline Vec LoadBF16s(const uint8_t* p) {
  const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {
      _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16))};
}
using Ints = __m256i;
inline Ints LoadU8s(const uint8_t* p) {
  return _mm256_cvtepu8_epi32(
      _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
inline Ints LoadI8s(const uint8_t* p) {
  return _mm256_cvtepi8_epi32(
      _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
inline Vec ToFloat(Ints a) { return {_mm256_cvtepi32_ps(a)}; }
inline Ints SetInts(int x) { return _mm256_set1_epi32(x); }
inline Ints And(Ints a, Ints b) { return _mm256_and_si256(a, b); }
inline Ints Or(Ints a, Ints b) { return _mm256_or_si256(a, b); }
inline Ints Sub(Ints a, Ints b) { return _mm256_sub_epi32(a, b); }
template <int kBits>
inline Ints ShiftLeft(Ints a) {
  return _mm256_slli_epi32(a, kBits);
}
template <int kBits>
inline Ints ShiftRight(Ints a) {
  return _mm256_srli_epi32(a, kBits);
}

// AVX2 has no lookup of 16 floats: w = (q - zero) d + m by arithmetic.
struct NibbleTable {
  Vec d, m;
  Ints zero;
  bool has_min;
  NibbleTable(Vec d, Vec m, float zero)
      : d(d), m(m), zero(SetInts(static_cast<int>(zero))), has_min(true) {}
  NibbleTable(Vec d, float zero)
      : d(d),
        m(Zero()),
        zero(SetInts(static_cast<int>(zero))),
        has_min(false) {}
  Vec Value(Ints q) const {
    const Vec value = ToFloat(Sub(q, zero));
    return has_min ? Fma(value, d, m) : value * d;
  }
  Vec Low(Ints bytes) const { return Value(And(bytes, SetInts(15))); }
  Vec High(Ints bytes) const { return Value(ShiftRight<4>(bytes)); }
};

#endif

// Plain floats are read in stretches of two vectors.
struct PlainFloats {
  static constexpr int kElements = 2 * Vec::kLanes;
  static constexpr int kPieces = 1;
  static constexpr int kVecs = 2;
  static constexpr int Offset(int, int v) { return v * Vec::kLanes; }
};

struct DecodeF32 : PlainFloats {
  static constexpr int kBytes = 4 * kElements;
  static void Decode(const uint8_t* p, int, Vec* w) {
    const float* values = reinterpret_cast<const float*>(p);
    w[0] = Load(values);
    w[1] = Load(values + Vec::kLanes);
  }
};

struct DecodeF16 : PlainFloats {
  static constexpr int kBytes = 2 * kElements;
  static void Decode(const uint8_t* p, int, Vec* w) {
    w[0] = LoadF16s(p);
    w[1] = LoadF16s(p + 2 * Vec::kLanes);
  }
};

struct DecodeBF16 : PlainFloats {
  static constexpr int kBytes = 2 * kElements;
  static void Decode(const uint8_t* p, int, Vec* w) {
    w[0] = LoadBF16s(p);
    w[1] = LoadBF16s(p + 2 * Vec::kLanes);
  }
};

struct BlockOf32 {
  static constexpr int kElements = 32;
  static constexpr int kPieces = 1;
  static constexpr int kVecs = 32 / Vec::kLanes;
  static constexpr int Offset(int, int v) { return v * Vec::kLanes; }
};

struct DecodeQ8_0 : BlockOf32 {
  static constexpr int kBytes = 34;
  static void Decode(const uint8_t* p, int, Vec* w) {
    const Vec d = BroadcastF16(p);
    for (int v = 0; v < kVecs; ++v) {
      w[v] = ToFloat(LoadI8s(p + 2 + v * Vec::kLanes)) * d;
    }
  }
};

// The 16 bytes of nibbles at p: low ones first, then the high ones.
inline void DecodeNibbles(const uint8_t* p, const NibbleTable& table, Vec* w) {
  constexpr int kHalf = 16 / Vec::kLanes;  // vectors
  for (int v = 0; v < kHalf; ++v) {
    const Ints bytes = LoadU8s(p + v * Vec::kLanes);
    w[v] = table.Low(bytes);
    w[v + kHalf] = table.High(bytes);
  }
}

struct DecodeQ4_0 : BlockOf32 {
  static constexpr int kBytes = 18;
  static void Decode(const uint8_t* p, int, Vec* w) {
    DecodeNibbles(p + 2, NibbleTable(BroadcastF16(p), 8.0f), w);
  }
};

struct DecodeQ4_1 : BlockOf32 {
  static constexpr int kBytes = 20;
  static void Decode(const uint8_t* p, int, Vec* w) {
    Vec d, m;
    BroadcastTwoF16(p, &d, &m);
    DecodeNibbles(p + 4, NibbleTable(d, m, 0.0f), w);
  }
};

// A piece is kLanes columns of a half: 4 vectors, 32 elements apart.
struct DecodeQ6_K {
  static constexpr int kElements = 256;
  static constexpr int kBytes = 210;
  static constexpr int kPiecesOfHalf = 32 / Vec::kLanes;
  static constexpr int kPieces = 2 * kPiecesOfHalf;
  static constexpr int kVecs = 4;
  static constexpr int Offset(int piece, int v) {
    return 128 * (piece / kPiecesOfHalf) +
           Vec::kLanes * (piece % kPiecesOfHalf) + 32 * v;
  }
  static void Decode(const uint8_t* p, int piece, Vec* w) {
    const int half = piece / kPiecesOfHalf;
    const int column = Vec::kLanes * (piece % kPiecesOfHalf);
    const uint8_t* low = p + 64 * half + column;
    const Ints low0 = LoadU8s(low), low1 = LoadU8s(low + 32);
    const Ints high = LoadU8s(p + 128 + 32 * half + column);
    const Ints nibble = SetInts(15), top = SetInts(0x30);
    const Ints q[4] = {
        Or(And(low0, nibble), And(ShiftLeft<4>(high), top)),
        Or(And(low1, nibble), And(ShiftLeft<2>(high), top)),
        Or(ShiftRight<4>(low0), And(high, top)),
        Or(ShiftRight<4>(low1), And(ShiftRight<2>(high), top)),
    };
    const Vec d = BroadcastF16(p + 208);
    float scales[16];
    for (int i = 0; i < 16; i += Vec::kLanes) {
      Store(scales + i, d * ToFloat(LoadI8s(p + 192 + i)));
    }
    for (int v = 0; v < 4; ++v) {
      w[v] = ToFloat(Sub(q[v], SetInts(32))) *
             Set(scales[8 * half + column / 16 + 2 * v]);
    }
  }
};

}  // namespace caracal::CARACAL_SIMD_NS

#endif  // CARACAL_KERNELS_QUANT_DECODE_SIMD_H_
