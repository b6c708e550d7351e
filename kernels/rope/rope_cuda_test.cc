// RoPE on the GPU against the scalar reference in fp64, on inputs that bf16
// holds exactly.
#include "kernels/rope/rope_cuda.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/common/cuda_testing.h"
#include "kernels/rope/rope_ref.h"

namespace caracal::kernels {
namespace {

using testing::DeviceArray;
using testing::DeviceMatrix;
using testing::kBf16Rounding;
using testing::kUnitRoundoff;
using testing::Uniform;
using testing::VectorView;

using Matrix = DeviceMatrix<uint16_t>;

struct Shape {
  int64_t rows, heads, others, D;  // others follow the heads and stay
};
const Shape kShapes[] = {{1, 1, 0, 16},   {5, 3, 2, 32},  {7, 12, 3, 64},
                         {3, 40, 8, 128}, {33, 5, 1, 96}, {2, 4, 0, 256}};

struct Tables {
  Tables(int64_t positions, int64_t half)
      : cos(positions * half), sin(positions * half) {
    std::vector<float> frequency(half);
    for (int64_t i = 0; i < half; ++i) {
      frequency[i] = std::pow(10000.0f, -static_cast<float>(i) / half);
    }
    RopeTable(TensorView(frequency.data(), {half}),
              TensorView(cos.data(), {positions, half}),
              TensorView(sin.data(), {positions, half}));
    device_cos = DeviceArray<float>(cos);
    device_sin = DeviceArray<float>(sin);
    cos_view = TensorView(device_cos.data(), {positions, half});
    sin_view = TensorView(device_sin.data(), {positions, half});
  }
  std::vector<float> cos, sin;
  DeviceArray<float> device_cos, device_sin;
  TensorView cos_view, sin_view;
};

// The first heads of a matrix [rows, (heads + others) D].
TensorView Heads(const Matrix& x, const Shape& s) {
  const TensorView all = x.View();
  TensorView view(all.data, all.dtype, {s.rows, s.heads, s.D});
  view.stride[0] = all.stride[0];
  return view;
}

TEST(RopeCuda, MatchesDoubleAndLeavesOtherHeads) {
  for (const Shape& s : kShapes) {
    for (bool inverse : {false, true}) {
      const int64_t positions = 200, half = s.D / 2;
      const Tables tables(positions, half);
      std::vector<int32_t> position(s.rows);
      for (int64_t r = 0; r < s.rows; ++r)
        position[r] = (r * 71 + 3) % positions;
      const DeviceArray<int32_t> on_device(position);
      const int64_t columns = (s.heads + s.others) * s.D;
      const Matrix x(s.rows, columns, Uniform(s.D, -3, 3));
      const std::vector<double> before = x.Host();
      RopeCuda({}, Heads(x, s), VectorView(on_device), tables.cos_view,
               tables.sin_view, inverse);
      const std::vector<double> got = x.Host();
      std::vector<double> expected = before;
      for (int64_t r = 0; r < s.rows; ++r) {
        const float* c = &tables.cos[position[r] * half];
        const float* n = &tables.sin[position[r] * half];
        const std::vector<double> cos(c, c + half), sin(n, n + half);
        RopeRotateReference<double>(&expected[r * columns], s.D, s.heads, half,
                                    cos.data(), sin.data(), inverse);
      }
      for (int64_t i = 0; i < s.rows * columns; ++i) {
        const int64_t column = i % columns, in_head = column % s.D;
        if (column >= s.heads * s.D) {
          ASSERT_EQ(got[i], before[i]) << "D " << s.D << " at " << i;
          continue;
        }
        const int64_t pair = in_head < half ? i + half : i - half;
        ASSERT_NEAR(got[i], expected[i],
                    kBf16Rounding * std::abs(expected[i]) +
                        3 * kUnitRoundoff *
                            (std::abs(before[i]) + std::abs(before[pair])))
            << "D " << s.D << " at " << i;
      }
      EXPECT_TRUE(x.GapsIntact());
    }
  }
}

// Heads that lie apart: those of another layout of the same buffer.
TEST(RopeCuda, StridedHeads) {
  const int64_t rows = 4, heads = 5, D = 32;
  const Tables tables(rows, D / 2);
  const DeviceArray<int32_t> positions(std::vector<int32_t>{0, 1, 2, 3});
  const Matrix by_row(rows, heads * D, Uniform(1));
  const std::vector<double> values = by_row.Host();
  // [heads, rows, D].
  std::vector<double> turned(values.size());
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < heads * D; ++c) {
      turned[(c / D * rows + r) * D + c % D] = values[r * heads * D + c];
    }
  }
  Matrix by_head(heads, rows * D);
  by_head.Set(turned);
  RopeCuda({}, Heads(by_row, {rows, heads, 0, D}), VectorView(positions),
           tables.cos_view, tables.sin_view, false);
  TensorView view(by_head.View().data, DType::kBF16, {rows, heads, D});
  view.stride[0] = D;
  view.stride[1] = by_head.View().stride[0];
  RopeCuda({}, view, VectorView(positions), tables.cos_view, tables.sin_view,
           false);
  const std::vector<double> expected = by_row.Host(), got = by_head.Host();
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < heads * D; ++c) {
      ASSERT_EQ(got[(c / D * rows + r) * D + c % D],
                expected[r * heads * D + c]);
    }
  }
  EXPECT_NE(got, turned);
}

}  // namespace
}  // namespace caracal::kernels
