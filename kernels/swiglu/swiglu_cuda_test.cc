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

// Of a matrix [rows, 2 F].
TensorView Half(const Matrix& both, int which) {
  TensorView view = both.View();
  view.shape[1] /= 2;
  view.data = static_cast<uint16_t*>(view.data) + which * view.shape[1];
  return view;
}
std::vector<double> HostHalf(const Matrix& both, int which) {
  const std::vector<double> all = both.Host();
  const int64_t columns = both.View().shape[1] / 2;
  std::vector<double> out;
  for (int64_t r = 0; r < both.View().shape[0]; ++r) {
    const double* row = &all[(2 * r + which) * columns];
    out.insert(out.end(), row, row + columns);
  }
  return out;
}

void ExpectForward(const std::vector<double>& g, const std::vector<double>& u,
                   const std::vector<double>& got) {
  std::vector<double> expected(g.size());
  SwigluForwardReference<double>(g.data(), u.data(), g.size(), expected.data());
  for (size_t i = 0; i < g.size(); ++i) {
    ASSERT_NEAR(got[i], expected[i], ErrorOf(g[i]) * std::abs(expected[i]))
        << "at " << i;
  }
}

// Derivatives, times d's numbers (1: the derivatives themselves) and rounded
// again for them.
void ExpectGradients(const std::vector<double>& d, const std::vector<double>& g,
                     const std::vector<double>& u,
                     const std::vector<double>& dgate,
                     const std::vector<double>& dup, int roundings) {
  std::vector<double> expected_gate(g.size()), expected_up(g.size());
  SwigluBackwardReference<double>(d.data(), g.data(), u.data(), g.size(),
                                  expected_gate.data(), expected_up.data());
  const double rounding = std::pow(1 + kBf16Rounding, roundings) - 1;
  for (size_t i = 0; i < g.size(); ++i) {
    // 1 + g (1 - s) cancels near its zero.
    const double s = 1 / (1 + std::exp(-g[i]));
    const double terms =
        std::abs(d[i] * u[i]) * s * (1 + std::abs(g[i]) * (1 - s));
    const double of_exponential = (2 * std::abs(g[i]) + 16) * kUnitRoundoff;
    ASSERT_NEAR(dgate[i], expected_gate[i],
                rounding * std::abs(expected_gate[i]) +
                    (1 + rounding) * of_exponential * terms)
        << "at " << i;
    ASSERT_NEAR(
        dup[i], expected_up[i],
        (rounding + (1 + rounding) * of_exponential) * std::abs(expected_up[i]))
        << "at " << i;
  }
}

TEST(SwigluCuda, ForwardMatchesDouble) {
  for (const Shape& s : kShapes) {
    const Matrix gate(s.rows, s.columns, Uniform(s.columns, -20, 20));
    const Matrix up(s.rows, s.columns, Uniform(s.columns + 1, -2, 2));
    const Matrix out(s.rows, s.columns);
    SwigluForwardCuda({}, gate.View(), up.View(), out.View());
    ExpectForward(gate.Host(), up.Host(), out.Host());
    EXPECT_TRUE(out.GapsIntact());
  }
}

// exp(-gate) overflows and underflows: the limits are gate and 0.
TEST(SwigluCuda, LargeGates) {
  Matrix gate(1, 8), up(1, 8), out(1, 8), slopes(1, 16);
  gate.Set({90, 1e4, 3e38, -90, -1e4, -3e38, 0, 88});
  up.Set({1, 1, 1, 1, 1, 1, 1, 1});
  SwigluForwardCuda({}, gate.View(), up.View(), out.View(), slopes.View());
  SwigluBackwardCuda({}, up.View(), slopes.View());
  const std::vector<double> g = gate.Host(), y = out.Host();
  const std::vector<double> dg = HostHalf(slopes, 0), du = HostHalf(slopes, 1);
  for (int i = 0; i < 8; ++i) {
    EXPECT_NEAR(y[i], std::max(g[i], 0.0), 1e-30) << g[i];
    EXPECT_NEAR(dg[i], g[i] == 0 ? 0.5 : g[i] > 0, 1e-30) << g[i];
    EXPECT_NEAR(du[i], std::max(g[i], 0.0), 1e-30) << g[i];
  }
}

TEST(SwigluCuda, SlopesAndBackwardMatchDouble) {
  for (const Shape& s : kShapes) {
    const Matrix gate(s.rows, s.columns, Uniform(s.columns, -10, 10));
    const Matrix up(s.rows, s.columns, Uniform(s.columns + 1, -2, 2));
    const Matrix dout(s.rows, s.columns, Uniform(s.columns + 2));
    const Matrix alone(s.rows, s.columns), out(s.rows, s.columns);
    const Matrix slopes(s.rows, 2 * s.columns);
    SwigluForwardCuda({}, gate.View(), up.View(), alone.View());
    SwigluForwardCuda({}, gate.View(), up.View(), out.View(), slopes.View());
    EXPECT_EQ(out.Bits(), alone.Bits());
    const std::vector<double> g = gate.Host(), u = up.Host();
    ExpectGradients(std::vector<double>(g.size(), 1), g, u, HostHalf(slopes, 0),
                    HostHalf(slopes, 1), 1);
    SwigluBackwardCuda({}, dout.View(), slopes.View());
    ExpectGradients(dout.Host(), g, u, HostHalf(slopes, 0), HostHalf(slopes, 1),
                    2);
    EXPECT_TRUE(out.GapsIntact() && slopes.GapsIntact());
  }
}

// Slopes over gate and up, out over the gate.
TEST(SwigluCuda, InPlace) {
  const int64_t rows = 9, columns = 1536;
  const auto filled = [&] {
    return Matrix(rows, 2 * columns, Uniform(1, -5, 5));
  };
  const Matrix gate_up = filled(), forward = filled(), slopes = filled();
  const Matrix out(rows, columns);
  const std::vector<double> g = HostHalf(gate_up, 0), u = HostHalf(gate_up, 1);
  SwigluForwardCuda({}, Half(forward, 0), Half(forward, 1), Half(forward, 0));
  ExpectForward(g, u, HostHalf(forward, 0));
  EXPECT_EQ(HostHalf(forward, 1), u);

  SwigluForwardCuda({}, Half(slopes, 0), Half(slopes, 1), out.View(),
                    slopes.View());
  ExpectForward(g, u, out.Host());
  ExpectGradients(std::vector<double>(g.size(), 1), g, u, HostHalf(slopes, 0),
                  HostHalf(slopes, 1), 1);
  EXPECT_TRUE(forward.GapsIntact() && slopes.GapsIntact());
}

}  // namespace
}  // namespace caracal::kernels
