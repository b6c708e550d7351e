#include "kernels/quant/dequantize.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/common/cpu.h"
#include "kernels/quant/random_blocks.h"

namespace caracal::kernels {
namespace {

std::vector<Isa> Paths() {
  std::vector<Isa> paths = {Isa::kScalar};
  if (BestIsa() >= Isa::kAvx2) paths.push_back(Isa::kAvx2);
  if (BestIsa() >= Isa::kAvx512) paths.push_back(Isa::kAvx512);
  return paths;
}

class DequantizeTest : public ::testing::TestWithParam<int> {
 protected:
  ~DequantizeTest() override { SetIsa(BestIsa()); }
  Encoding encoding() const { return static_cast<Encoding>(GetParam()); }
};

// Worked by hand from the format's definition.
TEST(DequantizeReference, DecodesBlocksByHand) {
  float out[256];
  // d = 0.5 (0x3800), q = -2, 127, -128, ...
  uint8_t q8[34] = {0x00, 0x38, 0xfe, 0x7f, 0x80};
  InfoOf(Encoding::kQ8_0).dequantize(q8, 1, out);
  EXPECT_EQ(out[0], -1.0f);
  EXPECT_EQ(out[1], 63.5f);
  EXPECT_EQ(out[2], -64.0f);
  EXPECT_EQ(out[3], 0.0f);
  // d = 2 (0x4000): byte 0x1f holds 15 for element 0 and 1 for element 16.
  uint8_t q40[18] = {0x00, 0x40, 0x1f};
  InfoOf(Encoding::kQ4_0).dequantize(q40, 1, out);
  EXPECT_EQ(out[0], 14.0f);
  EXPECT_EQ(out[16], -14.0f);
  EXPECT_EQ(out[1], -16.0f);
  // d = 2, m = -1 (0xbc00).
  uint8_t q41[20] = {0x00, 0x40, 0x00, 0xbc, 0x1f};
  InfoOf(Encoding::kQ4_1).dequantize(q41, 1, out);
  EXPECT_EQ(out[0], 29.0f);
  EXPECT_EQ(out[16], 1.0f);
  EXPECT_EQ(out[1], -1.0f);
  // d = 1, scale 3 for elements 0..15, -2 for 96..111 (fourth quarter), and
  // 5 for 128..143. Element 0 is nibble 7 with high bits 2: 39 - 32 = 7.
  // Element 96 is the high nibble (9) of byte 32 with high bits 1: -7.
  uint8_t q6[210] = {};
  q6[0] = 0x07;
  q6[32] = 0x90;
  q6[128] = 2 | 1 << 6;
  q6[192] = 3;
  q6[198] = static_cast<uint8_t>(-2);
  q6[200] = 5;
  q6[209] = 0x3c;
  InfoOf(Encoding::kQ6_K).dequantize(q6, 1, out);
  EXPECT_EQ(out[0], 21.0f);
  EXPECT_EQ(out[1], -96.0f);
  EXPECT_EQ(out[96], 14.0f);
  EXPECT_EQ(out[128], -160.0f);
}

TEST(EncodingTable, FindsByTypeAndName) {
  for (int i = 0; i < kEncodingCount; ++i) {
    const Encoding encoding = static_cast<Encoding>(i);
    const EncodingInfo& info = InfoOf(encoding);
    EXPECT_EQ(info.encoding, encoding);
    EXPECT_EQ(FindGgufType(info.gguf_type), &info);
    EXPECT_EQ(FindEncoding(info.name), &info);
    EXPECT_LE(info.block_elements, kMaxBlockElements);
  }
  EXPECT_EQ(FindGgufType(6), nullptr);  // Q5_0
  EXPECT_EQ(FindEncoding("Q5_0"), nullptr);
}

TEST_P(DequantizeTest, AllPathsAgreeBitForBit) {
  const EncodingInfo& info = InfoOf(encoding());
  for (int64_t blocks : {1, 2, 3, 7, 16, 33, 71}) {
    const int64_t elements = blocks * info.block_elements;
    for (int64_t shift : {0, 1, 3}) {
      const RandomMatrix w =
          MakeRandomMatrix(encoding(), 1, elements, 7 + blocks, 0, shift);
      std::vector<float> expected(elements);
      info.dequantize(w.view.data, blocks, expected.data());
      for (Isa isa : Paths()) {
        SetIsa(isa);
        // One element more, which must stay untouched.
        std::vector<float> out(elements + 1, -7.5f);
        DequantizeRow(encoding(), w.view.data, elements, out.data());
        EXPECT_EQ(0, std::memcmp(out.data(), expected.data(),
                                 elements * sizeof(float)))
            << info.name << " " << NameOf(isa) << " blocks " << blocks;
        EXPECT_EQ(out[elements], -7.5f);
      }
    }
  }
}

TEST_P(DequantizeTest, MatrixOnThreadsEqualsRowByRow) {
  const int64_t rows = 37, columns = 2 * kMaxBlockElements;
  const RandomMatrix w = MakeRandomMatrix(encoding(), rows, columns, 3, 5);
  std::vector<float> expected(rows * columns);
  for (int64_t r = 0; r < rows; ++r) {
    DequantizeRow(encoding(), w.view.row(r), columns, &expected[r * columns]);
  }
  for (int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    std::vector<float> out(rows * columns);
    Dequantize({.pool = &pool}, w.view,
               TensorView(out.data(), {rows, columns}));
    EXPECT_EQ(out, expected);
  }
}

TEST_P(DequantizeTest, NonFiniteScaleShowsInTheValues) {
  const EncodingInfo& info = InfoOf(encoding());
  if (info.block_elements == 1) return;
  RandomMatrix w = MakeRandomMatrix(encoding(), 1, 3 * info.block_elements, 1);
  const int64_t scale =
      info.block_bytes + (encoding() == Encoding::kQ6_K ? 208 : 0);
  w.bytes[scale] = 0x01;
  w.bytes[scale + 1] = 0x7c;  // NaN
  for (Isa isa : Paths()) {
    SetIsa(isa);
    std::vector<float> out(3 * info.block_elements);
    DequantizeRow(encoding(), w.view.data, out.size(), out.data());
    EXPECT_EQ(FirstNonFinite(out.data(), out.size()), info.block_elements);
  }
}

INSTANTIATE_TEST_SUITE_P(Encodings, DequantizeTest,
                         ::testing::Range(0, kEncodingCount),
                         [](const ::testing::TestParamInfo<int>& info) {
                           return NameOf(static_cast<Encoding>(info.param));
                         });

TEST(FirstNonFinite, FindsEveryPositionOnEveryPath) {
  const float bad[] = {std::numeric_limits<float>::quiet_NaN(),
                       std::numeric_limits<float>::infinity(),
                       -std::numeric_limits<float>::infinity()};
  for (Isa isa : Paths()) {
    SetIsa(isa);
    for (int64_t count : {0, 1, 15, 16, 31, 33, 100, 4096, 5000}) {
      std::vector<float> values(count, 3e38f);
      EXPECT_EQ(FirstNonFinite(values.data(), count), -1);
      for (int64_t at = 0; at < count; at += 1 + count / 37) {
        values[at] = bad[at % 3];
        EXPECT_EQ(FirstNonFinite(values.data(), count), at)
            << NameOf(isa) << " count " << count;
        values[at] = -3e38f;
      }
    }
  }
  SetIsa(BestIsa());
}

}  // namespace
}  // namespace caracal::kernels
