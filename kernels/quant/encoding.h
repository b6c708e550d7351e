// How the elements of a weight matrix are stored: plain floats, or GGUF's
// quantised blocks. One row of the table in encoding.cc per encoding; the
// next one is a row there, a decoder in dequantize_reference.cc and one in
// decode_simd.h.
//
// A block holds `block_elements` consecutive elements of one row:
//     F32 F16 BF16   1 element
//     Q8_0   32: {f16 d; i8 q[32]}          w = q d
//     Q4_0   32: {f16 d; u8 q[16]}          w = (q - 8) d
//     Q4_1   32: {f16 d; f16 m; u8 q[16]}   w = q d + m
//     Q6_K  256: {u8 ql[128]; u8 qh[64]; i8 s[16]; f16 d}   w = (q - 32) s d
// In Q4_x low nibbles are elements 0..15, high ones 16..31. All of it is
// little endian. Source: the GGUF specification and ggml's block layouts.
#ifndef CARACAL_KERNELS_QUANT_ENCODING_H_
#define CARACAL_KERNELS_QUANT_ENCODING_H_

#include <cstdint>

namespace caracal {

enum class Encoding : uint8_t {
  kF32,
  kF16,
  kBF16,
  kQ8_0,
  kQ4_0,
  kQ4_1,
  kQ6_K,
};

inline constexpr int kEncodingCount = 7;
inline constexpr int kMaxBlockElements = 256;

struct EncodingInfo {
  Encoding encoding;
  const char* name;        // as GGUF writes it: "F16", "Q4_1"
  uint32_t gguf_type;      // the type id in a GGUF tensor info
  int32_t block_elements;  // a row's length is a multiple of it
  int32_t block_bytes;
  // Scalar specification: decodes `blocks` consecutive blocks into
  // out[blocks * block_elements].
  void (*dequantize)(const uint8_t* data, int64_t blocks, float* out);
};

const EncodingInfo& InfoOf(Encoding encoding);
// nullptr for a type this program does not know.
const EncodingInfo* FindGgufType(uint32_t gguf_type);
// nullptr for an unknown name.
const EncodingInfo* FindEncoding(const char* name);
inline const char* NameOf(Encoding encoding) { return InfoOf(encoding).name; }

// Bytes of a row of `columns` elements (a multiple of the block).
inline int64_t RowBytes(Encoding encoding, int64_t columns) {
  const EncodingInfo& info = InfoOf(encoding);
  return columns / info.block_elements * info.block_bytes;
}

// A matrix [rows, columns] of encoded elements; rows lie row_bytes apart.
// Owns nothing. No alignment is required of `data`.
struct EncodedView {
  const uint8_t* data = nullptr;
  Encoding encoding = Encoding::kF32;
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t row_bytes = 0;

  const uint8_t* row(int64_t r) const { return data + r * row_bytes; }
  // Rows [begin, end) of it.
  EncodedView Rows(int64_t begin, int64_t end) const {
    EncodedView part = *this;
    part.data = row(begin);
    part.rows = end - begin;
    return part;
  }
};

}  // namespace caracal

#endif  // CARACAL_KERNELS_QUANT_ENCODING_H_
