// SwiGLU on the GPU against the scalar reference in fp64, on inputs that bf16
// holds exactly.
#include "kernels/swiglu/swiglu_cuda.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/common/cuda_testing.h"
#include "kernels/swiglu/swiglu_ref.h"

namespace caracal::kernels {
namespace {

using testing::DeviceMatrix;
using testing::kBf16Rounding;
using testing::kUnitRoundoff;
using testing::Uniform;

using Matrix = DeviceMatrix<uint16_t>;

struct Shape {
  int64_t rows, columns;
};
const Shape kShapes[] = {{1, 8},    {3, 16},    {5, 1024}, {2, 1536},
                         {33, 264}, {7, 14336}, {300, 8}};

// The exponential (its argument's rounding and two ulp), the quotient and the
// products.
double ErrorOf(double gate) {
  return kBf16Rounding + (2 * std::abs(gate) + 12) * kUnitRoundoff;
}

// Of a matrix [rows, 2 F], columns [begin, begin + F).
TensorView Half(const Matrix& both, int64_t begin, int64_t columns) {
  TensorView view = both.View();
  view.data = static_cast<uint16_t*>(view.data) + begin;
  view.shape[1] = columns;
  return view;
}

TEST(SwigluCuda, ForwardMatchesDouble) {
  for (const Shape& s : kShapes) {
    const Matrix gate(s.rows, s.columns, Uniform(s.columns, -20, 20));
    const Matrix up(s.rows, s.columns, Uniform(s.columns + 1, -2, 2));
    const Matrix out(s.rows, s.columns);
    SwigluForwardCuda({}, gate.View(), up.View(), out.View());
    const std::vector<double> g = gate.Host(), u = up.Host();
    std::vector<double> expected(g.size());
    SwigluForwardReference<double>(g.data(), u.data(), g.size(),
                                   expected.data());
    const std::vector<double> got = out.Host();
    for (size_t i = 0; i < got.size(); ++i) {
      ASSERT_NEAR(got[i], expected[i], ErrorOf(g[i]) * std::abs(expected[i]))
          << s.columns << " columns, at " << i;
    }
    EXPECT_TRUE(out.GapsIntact());
  }
}

// exp(-gate) overflows and underflows: the limits are gate and 0.
TEST(SwigluCuda, LargeGates) {
  Matrix gate(1, 8), up(1, 8), out(1, 8), dgate(1, 8), dup(1, 8);
  gate.Set({90, 1e4, 3e38, -90, -1e4, -3e38, 0, 88});
  up.Set({1, 1, 1, 1, 1, 1, 1, 1});
  SwigluForwardCuda({}, gate.View(), up.View(), out.View());
  SwigluBackwardCuda({}, up.View(), gate.View(), up.View(), dgate.View(),
                     dup.View());
  const std::vector<double> g = gate.Host(), y = out.Host();
  const std::vector<double> dg = dgate.Host(), du = dup.Host();
  for (int i = 0; i < 8; ++i) {
    EXPECT_NEAR(y[i], std::max(g[i], 0.0), 1e-30) << g[i];
    EXPECT_NEAR(dg[i], g[i] == 0 ? 0.5 : g[i] > 0, 1e-30) << g[i];
    EXPECT_NEAR(du[i], std::max(g[i], 0.0), 1e-30) << g[i];
  }
}

void ExpectBackward(const std::vector<double>& d, const std::vector<double>& g,
                    const std::vector<double>& u,
                    const std::vector<double>& dgate,
                    const std::vector<double>& dup) {
  std::vector<double> expected_gate(g.size()), expected_up(g.size());
  SwigluBackwardReference<double>(d.data(), g.data(), u.data(), g.size(),
                                  expected_gate.data(), expected_up.data());
  for (size_t i = 0; i < g.size(); ++i) {
    // 1 + g (1 - s) cancels near its zero.
    const double s = 1 / (1 + std::exp(-g[i]));
    const double terms =
        std::abs(d[i] * u[i]) * s * (1 + std::abs(g[i]) * (1 - s));
    ASSERT_NEAR(dgate[i], expected_gate[i],
                kBf16Rounding * std::abs(expected_gate[i]) +
                    (2 * std::abs(g[i]) + 16) * kUnitRoundoff * terms)
        << "at " << i;
    ASSERT_NEAR(dup[i], expected_up[i],
                ErrorOf(g[i]) * std::abs(expected_up[i]))
        << "at " << i;
  }
}

TEST(SwigluCuda, BackwardMatchesDouble) {
  for (const Shape& s : kShapes) {
    const Matrix gate(s.rows, s.columns, Uniform(s.columns, -10, 10));
    const Matrix up(s.rows, s.columns, Uniform(s.columns + 1, -2, 2));
    const Matrix dout(s.rows, s.columns, Uniform(s.columns + 2));
    const Matrix dgate(s.rows, s.columns), dup(s.rows, s.columns);
    SwigluBackwardCuda({}, dout.View(), gate.View(), up.View(), dgate.View(),
                       dup.View());
    ExpectBackward(dout.Host(), gate.Host(), up.Host(), dgate.Host(),
                   dup.Host());
    EXPECT_TRUE(dgate.GapsIntact() && dup.GapsIntact());
  }
}

// gate and up as the halves of one matrix, results over operands.
TEST(SwigluCuda, HalvesOfOneMatrixInPlace) {
  const int64_t rows = 9, columns = 1536;
  const auto filled = [&](int seed) {
    return Matrix(rows, 2 * columns, Uniform(seed, -5, 5));
  };
  const Matrix gate_up = filled(1), forward = filled(1), backward = filled(1);
  const auto half = [&](const Matrix& both, int64_t begin) {
    const std::vector<double> all = both.Host();
    std::vector<double> out;
    for (int64_t r = 0; r < rows; ++r) {
      const double* row = &all[r * 2 * columns + begin];
      out.insert(out.end(), row, row + columns);
    }
    return out;
  };
  const std::vector<double> g = half(gate_up, 0), u = half(gate_up, columns);
  SwigluForwardCuda({}, Half(forward, 0, columns),
                    Half(forward, columns, columns), Half(forward, 0, columns));
  std::vector<double> expected(g.size());
  SwigluForwardReference<double>(g.data(), u.data(), g.size(), expected.data());
  const std::vector<double> got = half(forward, 0);
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(got[i], expected[i], ErrorOf(g[i]) * std::abs(expected[i]));
  }
  EXPECT_EQ(half(forward, columns), u);

  const Matrix dout(rows, columns, Uniform(4));
  SwigluBackwardCuda({}, dout.View(), Half(backward, 0, columns),
                     Half(backward, columns, columns),
                     Half(backward, 0, columns),
                     Half(backward, columns, columns));
  ExpectBackward(dout.Host(), g, u, half(backward, 0), half(backward, columns));
  EXPECT_TRUE(backward.GapsIntact());
}

}  // namespace
}  // namespace caracal::kernels
