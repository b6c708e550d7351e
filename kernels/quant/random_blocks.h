// Encoded matrices of random bits for tests and benchmarks: every nibble and
// byte value occurs; scales are finite, of both signs, some of them zero or
// subnormal.
#ifndef CARACAL_KERNELS_QUANT_RANDOM_BLOCKS_H_
#define CARACAL_KERNELS_QUANT_RANDOM_BLOCKS_H_

#include <cstdint>
#include <random>
#include <vector>

#include "kernels/quant/encoding.h"

namespace caracal {

struct RandomMatrix {
  std::vector<uint8_t> bytes;
  EncodedView view;
};

namespace internal {

// A finite f16 of magnitude below 2^-4 at p.
inline void PutScale(std::mt19937& random, uint8_t* p) {
  uint16_t bits = random() & 0xffff;
  const uint16_t exponent = (bits >> 10) % 11;  // 0: subnormal
  bits = (bits & 0x83ff) | exponent << 10;
  p[0] = bits & 0xff;
  p[1] = bits >> 8;
}

}  // namespace internal

// `padding` bytes follow each row; `shift` bytes precede the matrix.
inline RandomMatrix MakeRandomMatrix(Encoding encoding, int64_t rows,
                                     int64_t columns, uint32_t seed,
                                     int64_t padding = 0, int64_t shift = 0) {
  const EncodingInfo& info = InfoOf(encoding);
  std::mt19937 random(seed);
  RandomMatrix out;
  const int64_t row_bytes = RowBytes(encoding, columns) + padding;
  out.bytes.resize(shift + rows * row_bytes);
  for (uint8_t& byte : out.bytes) byte = random() & 0xff;
  for (int64_t r = 0; r < rows; ++r) {
    uint8_t* row = out.bytes.data() + shift + r * row_bytes;
    for (int64_t c = 0; c < columns; c += info.block_elements) {
      uint8_t* block = row + c / info.block_elements * info.block_bytes;
      switch (encoding) {
        case Encoding::kF32:
          block[3] = (block[3] & 0x80) | 0x3d;
          break;
        case Encoding::kBF16:
          block[1] = (block[1] & 0x80) | 0x3d;
          break;
        case Encoding::kQ4_1:
          internal::PutScale(random, block);
          internal::PutScale(random, block + 2);
          break;
        case Encoding::kQ6_K:
          internal::PutScale(random, block + 208);
          break;
        case Encoding::kF16:
        case Encoding::kQ8_0:
        case Encoding::kQ4_0:
          internal::PutScale(random, block);
          break;
      }
    }
  }
  out.view = {out.bytes.data() + shift, encoding, rows, columns, row_bytes};
  return out;
}

}  // namespace caracal

#endif  // CARACAL_KERNELS_QUANT_RANDOM_BLOCKS_H_
