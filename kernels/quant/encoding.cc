#include "kernels/quant/encoding.h"

#include <cstring>

#include "kernels/common/check.h"
#include "kernels/quant/dequantize_reference.h"

namespace caracal {
namespace {

using namespace kernels::reference;  // NOLINT: the decoders of the table

// In the order of the enum.
constexpr EncodingInfo kEncodings[kEncodingCount] = {
    {Encoding::kF32, "F32", 0, 1, 4, DequantizeF32},
    {Encoding::kF16, "F16", 1, 1, 2, DequantizeF16},
    {Encoding::kBF16, "BF16", 30, 1, 2, DequantizeBF16},
    {Encoding::kQ8_0, "Q8_0", 8, 32, 34, DequantizeQ8_0},
    {Encoding::kQ4_0, "Q4_0", 2, 32, 18, DequantizeQ4_0},
    {Encoding::kQ4_1, "Q4_1", 3, 32, 20, DequantizeQ4_1},
    {Encoding::kQ6_K, "Q6_K", 14, 256, 210, DequantizeQ6_K},
};

}  // namespace

const EncodingInfo& InfoOf(Encoding encoding) {
  const int index = static_cast<int>(encoding);
  CARACAL_CHECK(index < kEncodingCount) << "encoding " << index;
  return kEncodings[index];
}

const EncodingInfo* FindGgufType(uint32_t gguf_type) {
  for (const EncodingInfo& info : kEncodings) {
    if (info.gguf_type == gguf_type) return &info;
  }
  return nullptr;
}

const EncodingInfo* FindEncoding(const char* name) {
  for (const EncodingInfo& info : kEncodings) {
    if (std::strcmp(info.name, name) == 0) return &info;
  }
  return nullptr;
}

}  // namespace caracal
