#include "kernels/quant/dequantize_simd.h"

#include "kernels/quant/decode_simd.h"

namespace caracal::CARACAL_SIMD_NS {
namespace {

template <typename D>
void Decode(const uint8_t* data, int64_t blocks, float* out) {
  for (int64_t i = 0; i < blocks; ++i) {
#pragma GCC unroll 8
    for (int piece = 0; piece < D::kPieces; ++piece) {
      Vec values[D::kVecs];
      D::Decode(data, piece, values);
#pragma GCC unroll 8
      for (int v = 0; v < D::kVecs; ++v) {
        Store(out + D::Offset(piece, v), values[v]);
      }
    }
    data += D::kBytes;
    out += D::kElements;
  }
}

// Plain floats: whole stretches, then the rest from a padded copy.
template <typename D>
void DecodePlain(const uint8_t* data, int64_t count, float* out) {
  constexpr int kElementBytes = D::kBytes / D::kElements;
  const int64_t stretches = count / D::kElements;
  Decode<D>(data, stretches, out);
  const int64_t done = stretches * D::kElements;
  if (done == count) return;
  uint8_t padded[D::kBytes] = {};
  float values[D::kElements];
  __builtin_memcpy(padded, data + done * kElementBytes,
                   (count - done) * kElementBytes);
  Decode<D>(padded, 1, values);
  __builtin_memcpy(out + done, values, (count - done) * sizeof(float));
}

}  // namespace

void DequantizeBlocks(Encoding encoding, const uint8_t* data, int64_t blocks,
                      float* out) {
  switch (encoding) {
    case Encoding::kF32:
      return DecodePlain<DecodeF32>(data, blocks, out);
    case Encoding::kF16:
      return DecodePlain<DecodeF16>(data, blocks, out);
    case Encoding::kBF16:
      return DecodePlain<DecodeBF16>(data, blocks, out);
    case Encoding::kQ8_0:
      return Decode<DecodeQ8_0>(data, blocks, out);
    case Encoding::kQ4_0:
      return Decode<DecodeQ4_0>(data, blocks, out);
    case Encoding::kQ4_1:
      return Decode<DecodeQ4_1>(data, blocks, out);
    case Encoding::kQ6_K:
      return Decode<DecodeQ6_K>(data, blocks, out);
  }
}

bool AllFinite(const float* values, int64_t count) {
  // x * 0 is 0 for finite x and NaN otherwise; sums keep a NaN.
  Vec first = Zero(), second = Zero();
  int64_t i = 0;
  for (; i + 2 * Vec::kLanes <= count; i += 2 * Vec::kLanes) {
    first = Fma(Load(values + i), Zero(), first);
    second = Fma(Load(values + i + Vec::kLanes), Zero(), second);
  }
  for (; i < count; i += Vec::kLanes) {
    const int rest = static_cast<int>(count - i);
    first = Fma(LoadN(values + i, rest < Vec::kLanes ? rest : Vec::kLanes),
                Zero(), first);
  }
  return ReduceAdd(first + second) == 0.0f;
}

}  // namespace caracal::CARACAL_SIMD_NS
