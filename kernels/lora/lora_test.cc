#include "kernels/lora/lora.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <functional>

#include "kernels/common/kernel_testing.h"
#include "kernels/lora/lora_ref.h"

namespace caracal::kernels {
namespace {

using testing::AvailableIsas;
using testing::kUnitRoundoff;
using testing::PoolContext;
using testing::ScopedIsa;
using testing::TestMatrix;
using testing::Uniform;

struct Shape {
  int64_t rows, in, out, rank;
};

// Every operand of both directions, filled; gradients start from something.
struct Problem {
  explicit Problem(const Shape& s, int64_t padding = 3)
      : shape(s),
        x(s.rows, s.in, padding, Uniform(1)),
        a(s.rank, s.in, padding, Uniform(2)),
        b(s.out, s.rank, padding, Uniform(3)),
        xa(s.rows, s.rank, padding),
        y(s.rows, s.out, padding, Uniform(4)),
        dy(s.rows, s.out, padding, Uniform(5)),
        dxa(s.rows, s.rank, padding),
        da(s.rank, s.in, padding, Uniform(6)),
        db(s.out, s.rank, padding, Uniform(7)),
        dx(s.rows, s.in, padding, Uniform(8)) {}
  void Forward(const Context& ctx) {
    LoraForward(ctx, x.view(), a.view(), b.view(), scale, xa.view(), y.view());
  }
  void Backward(const Context& ctx, bool with_dx = true) {
    LoraBackward(ctx, dy.view(), x.view(), xa.view(), a.view(), b.view(), scale,
                 dxa.view(), da.view(), db.view(),
                 with_dx ? dx.view() : TensorView());
  }
  std::vector<TestMatrix> Outputs() const { return {xa, y, dxa, da, db, dx}; }

  Shape shape;
  float scale = 1.75f;
  TestMatrix x, a, b, xa, y, dy, dxa, da, db, dx;
};

// Sum over p < n of term(p), and of its magnitude.
struct Sum {
  double value = 0, magnitude = 0;
};
Sum SumOf(int64_t n, const std::function<double(int64_t)>& term) {
  Sum sum;
  for (int64_t p = 0; p < n; ++p) {
    const double t = term(p);
    sum.value += t;
    sum.magnitude += std::abs(t);
  }
  return sum;
}

// value within n + 8 roundoffs of what was summed and of what it was added to.
void ExpectSum(float actual, const Sum& sum, double scale, double before,
               int64_t n, const char* what) {
  ASSERT_NEAR(actual, before + scale * sum.value,
              kUnitRoundoff * ((n + 8) * std::abs(scale) * sum.magnitude +
                               3 * std::abs(before)))
      << what;
}

// Each output against fp64 from the fp32 values that output was made of.
void CheckForward(const Shape& s, const Context& ctx) {
  Problem p(s);
  const TestMatrix y = p.y;
  p.Forward(ctx);
  for (int64_t r = 0; r < s.rows; ++r) {
    for (int64_t k = 0; k < s.rank; ++k) {
      ExpectSum(
          p.xa.at(r, k),
          SumOf(s.in,
                [&](int64_t i) { return double{p.x.at(r, i)} * p.a.at(k, i); }),
          1, 0, s.in, "xa");
    }
    for (int64_t o = 0; o < s.out; ++o) {
      ExpectSum(p.y.at(r, o),
                SumOf(s.rank,
                      [&](int64_t k) {
                        return double{p.xa.at(r, k)} * p.b.at(o, k);
                      }),
                p.scale, y.at(r, o), s.rank, "y");
    }
  }
  EXPECT_TRUE(p.xa.PaddingIntact() && p.y.PaddingIntact());
}

void CheckBackward(const Shape& s, const Context& ctx) {
  Problem p(s);
  p.Forward(ctx);
  const Problem before = p;
  p.Backward(ctx);
  for (int64_t r = 0; r < s.rows; ++r) {
    for (int64_t k = 0; k < s.rank; ++k) {
      ExpectSum(p.dxa.at(r, k),
                SumOf(s.out,
                      [&](int64_t o) {
                        return double{p.dy.at(r, o)} * p.b.at(o, k);
                      }),
                p.scale, 0, s.out, "dxa");
    }
    for (int64_t i = 0; i < s.in; ++i) {
      ExpectSum(p.dx.at(r, i),
                SumOf(s.rank,
                      [&](int64_t k) {
                        return double{p.dxa.at(r, k)} * p.a.at(k, i);
                      }),
                1, before.dx.at(r, i), s.rank, "dx");
    }
  }
  for (int64_t k = 0; k < s.rank; ++k) {
    for (int64_t i = 0; i < s.in; ++i) {
      ExpectSum(p.da.at(k, i),
                SumOf(s.rows,
                      [&](int64_t r) {
                        return double{p.dxa.at(r, k)} * p.x.at(r, i);
                      }),
                1, before.da.at(k, i), s.rows, "da");
    }
    for (int64_t o = 0; o < s.out; ++o) {
      ExpectSum(p.db.at(o, k),
                SumOf(s.rows,
                      [&](int64_t r) {
                        return double{p.dy.at(r, o)} * p.xa.at(r, k);
                      }),
                p.scale, before.db.at(o, k), s.rows, "db");
    }
  }
  for (const TestMatrix& m : p.Outputs()) EXPECT_TRUE(m.PaddingIntact());

  Problem without = before;
  without.Backward(ctx, /*with_dx=*/false);
  EXPECT_TRUE(without.da.SameBits(p.da) && without.db.SameBits(p.db));
  EXPECT_TRUE(without.dx.SameBits(before.dx));
}

TEST(Lora, MatchesDouble) {
  const Shape shapes[] = {{1, 1, 1, 1},    {3, 7, 5, 2},     {5, 17, 33, 3},
                          {6, 31, 30, 8},  {9, 64, 96, 16},  {4, 65, 127, 17},
                          {300, 20, 9, 5}, {7, 130, 600, 8}, {2, 40, 50, 256},
                          {13, 70, 80, 64}};
  for (Isa isa : AvailableIsas()) {
    ScopedIsa scoped(isa);
    PoolContext pool(2);
    SCOPED_TRACE(NameOf(isa));
    for (const Shape& s : shapes) {
      CheckForward(s, pool.ctx);
      CheckBackward(s, pool.ctx);
    }
    for (int64_t n = 1; n <= 33; ++n) {
      CheckForward({n % 6 + 1, n, 34 - n, 1 + n % 9}, pool.ctx);
      CheckBackward({n % 6 + 1, n, 34 - n, 1 + n % 9}, pool.ctx);
    }
  }
}

// The loss <dy, y> as a function of A, B and x, by a complex step through the
// templated reference, against the fast backward.
TEST(Lora, GradientsMatchComplexStep) {
  using Complex = std::complex<double>;
  constexpr double kStep = 1e-50;
  const Shape s{5, 6, 7, 3};
  PoolContext pool(2);
  Problem p(s, 0);
  p.da = TestMatrix(s.rank, s.in);
  p.db = TestMatrix(s.out, s.rank);
  p.dx = TestMatrix(s.rows, s.in);
  p.Forward(pool.ctx);
  p.Backward(pool.ctx);
  const auto all = [](const TestMatrix& m) {
    std::vector<Complex> v;
    for (int64_t r = 0; r < m.rows(); ++r) {
      for (int64_t c = 0; c < m.columns(); ++c) v.push_back(m.at(r, c));
    }
    return v;
  };
  const auto loss = [&](const std::vector<Complex>& x,
                        const std::vector<Complex>& a,
                        const std::vector<Complex>& b) {
    std::vector<Complex> xa(s.rows * s.rank), y(s.rows * s.out);
    LoraProjectReference<Complex>(x.data(), s.in, a.data(), s.in, 1.0, s.rows,
                                  s.rank, s.in, false, xa.data(), s.rank);
    std::vector<Complex> turned(s.rank * s.out);  // B^T
    for (int64_t o = 0; o < s.out; ++o) {
      for (int64_t k = 0; k < s.rank; ++k) {
        turned[k * s.out + o] = b[o * s.rank + k];
      }
    }
    LoraExpandReference<Complex>(xa.data(), s.rank, turned.data(), s.out,
                                 double{p.scale}, s.rows, s.rank, s.out,
                                 y.data(), s.out);
    Complex sum = 0;
    for (int64_t i = 0; i < s.rows * s.out; ++i) {
      sum += y[i] * double{p.dy.row(0)[i]};
    }
    return sum;
  };
  const std::vector<Complex> x = all(p.x), a = all(p.a), b = all(p.b);
  // Sums of up to rows x out products of three factors below 1 or 1.75.
  const double tolerance =
      kUnitRoundoff * 2 * (s.rows + s.in + s.out) * s.rows * s.out;
  const auto check = [&](int which, const TestMatrix& gradient) {
    for (int64_t i = 0; i < gradient.rows() * gradient.columns(); ++i) {
      std::vector<Complex> operand[3] = {x, a, b};
      operand[which][i] += Complex(0, kStep);
      const double expected =
          loss(operand[0], operand[1], operand[2]).imag() / kStep;
      EXPECT_NEAR(gradient.row(0)[i], expected, tolerance) << which;
    }
  };
  check(0, p.dx);
  check(1, p.da);
  check(2, p.db);
}

TEST(Lora, SameBitsForAnyThreads) {
  for (Isa isa : AvailableIsas()) {
    ScopedIsa scoped(isa);
    for (const Shape& s : {Shape{530, 150, 170, 8}, Shape{11, 70, 200, 33}}) {
      const auto run = [&](int threads) {
        PoolContext pool(threads);
        Problem p(s, 0);
        p.Forward(pool.ctx);
        p.Backward(pool.ctx);
        return p.Outputs();
      };
      const auto one = run(1);
      for (int threads : {2, 3, 5}) {
        const auto many = run(threads);
        for (size_t i = 0; i < one.size(); ++i) {
          EXPECT_TRUE(one[i].SameBits(many[i]))
              << NameOf(isa) << " threads " << threads << " output " << i;
        }
      }
    }
  }
}

}  // namespace
}  // namespace caracal::kernels
