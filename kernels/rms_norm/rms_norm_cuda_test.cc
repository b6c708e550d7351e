// RMSNorm on the GPU against the scalar reference in fp64, on inputs that
// bf16 holds exactly.
#include "kernels/rms_norm/rms_norm_cuda.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/common/cuda_testing.h"
#include "kernels/rms_norm/rms_norm_ref.h"

namespace caracal::kernels {
namespace {

using testing::DeviceArray;
using testing::DeviceMatrix;
using testing::kBf16Rounding;
using testing::kUnitRoundoff;
using testing::RandomVector;
using testing::RoundToBf16;
using testing::Uniform;
using testing::VectorView;

using Matrix = DeviceMatrix<uint16_t>;

// Large enough to be missed.
constexpr float kEps = 0.125f;

// Every width of a thread's, a warp's and a block's share, and the models'.
const int64_t kWidths[] = {8,    16,   24,   248,  256,   264,
                           576,  1016, 1024, 1032, 2048,  2056,
                           4096, 4104, 8192, 8200, 16376, 16384};

// A thread adds at most 32 terms in turn, then a tree of at most 5 levels and
// a sum over at most 32 warps.
constexpr double kSumError = (32 + 5 + 32) * kUnitRoundoff;

struct Inputs {
  Inputs(int64_t rows, int64_t columns)
      : rows(rows),
        columns(columns),
        x(rows, columns, Uniform(columns, -3, 3)),
        dy(rows, columns, Uniform(columns + 7)),
        weight(RandomVector(columns, Uniform(columns + 99, 0.5, 2))),
        inv(RandomVector(rows, Uniform(5, 0.5, 2))) {}
  int64_t rows, columns;
  Matrix x, dy;
  DeviceArray<float> weight, inv;
};

// y and inv_rms of what lies in `x`.
void ExpectForward(const std::vector<double>& x, const Inputs& in,
                   const Matrix& y, const std::vector<float>& inv) {
  const std::vector<double> got = y.Host();
  const std::vector<float> w32 = in.weight.Host();
  const std::vector<double> w(w32.begin(), w32.end());
  for (int64_t r = 0; r < in.rows; ++r) {
    std::vector<double> expected(in.columns);
    double expected_inv;
    RmsNormForwardRowReference<double>(&x[r * in.columns], w.data(), kEps,
                                       in.columns, expected.data(),
                                       &expected_inv);
    if (!inv.empty()) {
      EXPECT_NEAR(inv[r], expected_inv,
                  (kSumError + 4 * kUnitRoundoff) * expected_inv);
    }
    for (int64_t c = 0; c < in.columns; ++c) {
      ASSERT_NEAR(got[r * in.columns + c], expected[c],
                  (kBf16Rounding + kSumError + 8 * kUnitRoundoff) *
                      std::abs(expected[c]))
          << "columns " << in.columns << " at " << r << "," << c;
    }
  }
  EXPECT_TRUE(y.GapsIntact());
}

TEST(RmsNormCuda, ForwardMatchesDouble) {
  for (int64_t columns : kWidths) {
    for (int64_t rows : {1, 7}) {
      const Inputs in(rows, columns);
      Matrix y(rows, columns);
      DeviceArray<float> inv(rows);
      RmsNormForwardCuda({}, in.x.View(), VectorView(in.weight), kEps, y.View(),
                         VectorView(inv));
      ExpectForward(in.x.Host(), in, y, inv.Host());
    }
  }
}

TEST(RmsNormCuda, ForwardInPlaceWithoutInverse) {
  for (int64_t columns : {576, 4096}) {
    const Inputs in(5, columns);
    Matrix x(5, columns, Uniform(columns, -3, 3));
    RmsNormForwardCuda({}, x.View(), VectorView(in.weight), kEps, x.View(), {});
    ExpectForward(in.x.Host(), in, x, {});
  }
}

TEST(RmsNormCuda, AddForwardRoundsTheStreamFirst) {
  for (int64_t columns : kWidths) {
    for (int variant = 0; variant < 4; ++variant) {
      const bool in_place = variant % 2, with_more = variant / 2;
      const int64_t rows = 6;
      const Inputs in(rows, columns);
      const Matrix x(rows, columns, Uniform(columns, -3, 3));
      const Matrix apart(rows, columns), y(rows, columns);
      const Matrix& sum = in_place ? x : apart;
      DeviceArray<float> inv(rows);
      const Matrix more(rows, columns, Uniform(11));
      RmsNormAddForwardCuda({}, x.View(), in.dy.View(), VectorView(in.weight),
                            kEps, sum.View(), y.View(), VectorView(inv),
                            with_more ? more.View() : ConstTensorView());
      const std::vector<double> before = in.x.Host(), delta = in.dy.Host();
      const std::vector<double> stream = sum.Host(), extra = more.Host();
      for (size_t i = 0; i < stream.size(); ++i) {
        ASSERT_EQ(stream[i],
                  RoundToBf16(static_cast<float>(before[i]) +
                              (static_cast<float>(delta[i]) +
                               static_cast<float>(with_more ? extra[i] : 0))))
            << "columns " << columns << " at " << i;
      }
      ExpectForward(stream, in, y, inv.Host());
      EXPECT_TRUE(sum.GapsIntact());
      if (!in_place) {
        EXPECT_EQ(x.Host(), before);
      }
    }
  }
}

void CheckBackward(const Inputs& in, bool accumulate, bool with_weight,
                   bool with_more = false) {
  const int64_t rows = in.rows, columns = in.columns;
  const Matrix dx(rows, columns, Uniform(6));
  const Matrix more(rows, columns, Uniform(12));
  const std::vector<double> before = dx.Host();
  const std::vector<float> dw_before = RandomVector(columns, Uniform(8));
  const DeviceArray<float> dw(dw_before);
  TensorView dweight;
  if (with_weight) dweight = VectorView(dw);
  const DeviceArray<char> memory(
      RmsNormBackwardCudaWorkspaceBytes(in.x.View(), dweight));
  RmsNormBackwardCuda({}, in.dy.View(), in.x.View(), VectorView(in.weight),
                      VectorView(in.inv), accumulate, dx.View(), dweight,
                      {memory.data(), memory.size()},
                      with_more ? more.View() : ConstTensorView());
  const std::vector<double> got = dx.Host(), x = in.x.Host();
  std::vector<double> dy = in.dy.Host();
  const std::vector<double> extra = more.Host();
  for (size_t i = 0; i < dy.size() && with_more; ++i) {
    dy[i] = static_cast<float>(dy[i]) + static_cast<float>(extra[i]);
  }
  const std::vector<float> w32 = in.weight.Host(), inv = in.inv.Host();
  const std::vector<double> w(w32.begin(), w32.end());
  for (int64_t r = 0; r < rows; ++r) {
    const double* xr = &x[r * columns];
    const double* dyr = &dy[r * columns];
    std::vector<double> expected(&before[r * columns],
                                 &before[r * columns] + columns);
    RmsNormBackwardRowReference<double>(dyr, xr, w.data(), inv[r], columns,
                                        accumulate, expected.data());
    double sum_abs = 0;
    for (int64_t c = 0; c < columns; ++c)
      sum_abs += std::abs(dyr[c] * w[c] * xr[c]);
    const double i = inv[r];
    for (int64_t c = 0; c < columns; ++c) {
      const double terms = i * i * i * sum_abs / columns * std::abs(xr[c]) +
                           i * std::abs(dyr[c] * w[c]) +
                           (accumulate ? std::abs(before[r * columns + c]) : 0);
      ASSERT_NEAR(got[r * columns + c], expected[c],
                  kBf16Rounding * std::abs(expected[c]) +
                      (kSumError + 8 * kUnitRoundoff) * terms)
          << "columns " << columns << " at " << r << "," << c;
    }
  }
  EXPECT_TRUE(dx.GapsIntact());
  const std::vector<float> dw_got = dw.Host();
  for (int64_t c = 0; c < columns; ++c) {
    double expected = dw_before[c], sum_abs = std::abs(expected);
    for (int64_t r = 0; r < rows && with_weight; ++r) {
      const double term = dy[r * columns + c] * x[r * columns + c] * inv[r];
      expected += term;
      sum_abs += std::abs(term);
    }
    // A part's rows in turn, a warp's parts in turn, the warps in turn.
    const double error = with_weight ? (rows / 500 + 80 + 40) : 0;
    ASSERT_NEAR(dw_got[c], expected, error * kUnitRoundoff * sum_abs)
        << "columns " << columns << " at " << c;
  }
}

TEST(RmsNormCuda, BackwardMatchesDouble) {
  for (int64_t columns : kWidths) {
    const Inputs in(7, columns);
    for (bool accumulate : {false, true}) {
      CheckBackward(in, accumulate, false);
      CheckBackward(in, accumulate, true);
      CheckBackward(in, accumulate, false, true);
      CheckBackward(in, accumulate, true, true);
    }
  }
}

// Blocks and warps that take several rows, the last one fewer.
TEST(RmsNormCuda, WeightGradientOverManyRows) {
  CheckBackward(Inputs(2 * 2112 + 3, 64), false, true);
  CheckBackward(Inputs(2 * 528 + 3, 1032), true, true);
}

TEST(RmsNormCuda, GradientInPlaceOfItsCotangentAndSameBits) {
  for (int64_t columns : {576, 4096}) {
    const int64_t rows = 1500;
    const Inputs in(rows, columns);
    std::vector<uint16_t> bits[3];
    std::vector<float> dweights[3];
    for (int i = 0; i < 3; ++i) {
      // The last time over dy.
      Matrix dy(rows, columns, Uniform(columns + 7)), dx(rows, columns);
      const Matrix& out = i == 2 ? dy : dx;
      const DeviceArray<float> dw{std::vector<float>(columns)};
      const DeviceArray<char> memory(
          RmsNormBackwardCudaWorkspaceBytes(in.x.View(), VectorView(dw)));
      RmsNormBackwardCuda({}, dy.View(), in.x.View(), VectorView(in.weight),
                          VectorView(in.inv), false, out.View(), VectorView(dw),
                          {memory.data(), memory.size()});
      bits[i] = out.Bits();
      dweights[i] = dw.Host();
    }
    for (int i : {1, 2}) {
      EXPECT_EQ(bits[i], bits[0]) << i;
      EXPECT_EQ(dweights[i], dweights[0]) << i;
    }
  }
}

TEST(RmsNormCuda, NoRows) {
  RmsNormForwardCuda({}, Matrix(0, 64).View(),
                     VectorView(DeviceArray<float>(64)), kEps,
                     Matrix(0, 64).View(), {});
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
}

}  // namespace
}  // namespace caracal::kernels
