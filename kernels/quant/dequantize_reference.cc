#include "kernels/quant/dequantize_reference.h"

#include <cstring>

#include "kernels/common/dtype.h"

namespace caracal::kernels::reference {
namespace {

uint16_t LoadU16(const uint8_t* p) {
  uint16_t bits;
  std::memcpy(&bits, p, sizeof(bits));
  return bits;
}

float LoadF16(const uint8_t* p) { return FloatFromF16(LoadU16(p)); }

}  // namespace

void DequantizeF32(const uint8_t* data, int64_t blocks, float* out) {
  std::memcpy(out, data, blocks * sizeof(float));
}

void DequantizeF16(const uint8_t* data, int64_t blocks, float* out) {
  for (int64_t i = 0; i < blocks; ++i) out[i] = LoadF16(data + 2 * i);
}

void DequantizeBF16(const uint8_t* data, int64_t blocks, float* out) {
  for (int64_t i = 0; i < blocks; ++i) {
    out[i] = FloatFromBf16(LoadU16(data + 2 * i));
  }
}

void DequantizeQ8_0(const uint8_t* data, int64_t blocks, float* out) {
  for (int64_t b = 0; b < blocks; ++b, data += 34, out += 32) {
    const float d = LoadF16(data);
    for (int i = 0; i < 32; ++i) {
      out[i] = static_cast<int8_t>(data[2 + i]) * d;
    }
  }
}

void DequantizeQ4_0(const uint8_t* data, int64_t blocks, float* out) {
  for (int64_t b = 0; b < blocks; ++b, data += 18, out += 32) {
    const float d = LoadF16(data);
    for (int i = 0; i < 16; ++i) {
      out[i] = ((data[2 + i] & 15) - 8) * d;
      out[i + 16] = ((data[2 + i] >> 4) - 8) * d;
    }
  }
}

void DequantizeQ4_1(const uint8_t* data, int64_t blocks, float* out) {
  for (int64_t b = 0; b < blocks; ++b, data += 20, out += 32) {
    const float d = LoadF16(data);
    const float m = LoadF16(data + 2);
    for (int i = 0; i < 16; ++i) {
      out[i] = (data[4 + i] & 15) * d + m;
      out[i + 16] = (data[4 + i] >> 4) * d + m;
    }
  }
}

void DequantizeQ6_K(const uint8_t* data, int64_t blocks, float* out) {
  for (int64_t b = 0; b < blocks; ++b, data += 210, out += 256) {
    const float d = LoadF16(data + 208);
    // Two halves of 128 elements: 64 bytes of low nibbles, 32 bytes with four
    // 2-bit high parts each, one scale for every 16 elements.
    for (int half = 0; half < 2; ++half) {
      const uint8_t* low = data + 64 * half;
      const uint8_t* high = data + 128 + 32 * half;
      const uint8_t* scales = data + 192 + 8 * half;
      for (int i = 0; i < 128; ++i) {
        const int column = i % 32, quarter = i / 32;
        const uint8_t byte = low[column + 32 * (quarter % 2)];
        const int nibble = quarter < 2 ? byte & 15 : byte >> 4;
        const int top = (high[column] >> (2 * quarter)) & 3;
        const int8_t scale = static_cast<int8_t>(scales[i / 16]);
        out[128 * half + i] = d * scale * ((nibble | top << 4) - 32);
      }
    }
  }
}

}  // namespace caracal::kernels::reference
