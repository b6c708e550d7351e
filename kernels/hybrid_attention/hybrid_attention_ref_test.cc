// The reference's backward against complex-step derivatives of its forward:
// with L = sum of dy * y, dL/dx = Im L(x + ih) / h, free of cancellation.
#include "kernels/hybrid_attention/hybrid_attention_ref.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <vector>

#include "kernels/hybrid_attention/test_problem.h"
#include "kernels/hybrid_attention/test_shapes.h"

namespace caracal::kernels::testing {
namespace {

using Complex = std::complex<double>;

constexpr double kStep = 1e-30;

// Compares dL/dx for the elements of x [rows, columns + skip].
void CheckGradient(const char* name, ReferenceProblem<Complex>& p,
                   std::vector<Complex>& x, int64_t columns, int64_t skip,
                   const std::vector<double>& dy,
                   const std::vector<double>& gradient) {
  size_t at = 0;
  double worst = 0, largest = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    if (static_cast<int64_t>(i) % (columns + skip) >= columns) continue;
    const Complex before = x[i];
    x[i] += Complex(0, kStep);
    p.Forward();
    x[i] = before;
    double sum = 0;
    for (size_t j = 0; j < dy.size(); ++j) sum += p.y[j].imag() * dy[j];
    worst = std::fmax(worst, std::fabs(sum / kStep - gradient[at]));
    largest = std::fmax(largest, std::fabs(gradient[at]));
    ++at;
  }
  ASSERT_EQ(at, gradient.size());
  EXPECT_LE(worst, 1e-12 * (1 + largest)) << name;
}

void CheckAllGradients(const Shape& shape) {
  SCOPED_TRACE(Describe(shape));
  Problem p(shape);
  const ReferenceProblem<double> real(p);
  ReferenceProblem<Complex> complex(p);
  complex.args.row_max = nullptr;
  const std::vector<float> dense = p.dy.Dense(kSkip);
  const std::vector<double> dy(dense.begin(), dense.end());
  const ReferenceGradients<double> want(real.args, dy);
  const int64_t H = shape.heads, Hkv = shape.kv_heads, D = shape.D;
  const auto check = [&](const char* name, std::vector<Complex>& x,
                         int64_t columns, int64_t skip,
                         const std::vector<double>& gradient) {
    CheckGradient(name, complex, x, columns, skip, dy, gradient);
  };
  check("dq", complex.q, H * D, kSkip, want.dq);
  check("dk", complex.k, Hkv * D, kSkip, want.dk);
  check("dv", complex.v, Hkv * D, kSkip, want.dv);
  check("dweight_q", complex.weight_q, 1, 0, want.dweight_q);
  check("dweight_k", complex.weight_k, 1, 0, want.dweight_k);
  if (shape.bias) {
    check("dbias_q", complex.bias_q, 1, 0, want.dbias_q);
    check("dbias_k", complex.bias_k, 1, 0, want.dbias_k);
  }
  check("dwindow_factor", complex.factor, 1, 0, want.dfactor);
}

Shape Small(uint8_t terms) {
  Shape s;
  s.lengths = {13};
  s.heads = 2;
  s.kv_heads = 1;
  s.D = 4;
  s.F = 4;
  s.config.window = 3;
  s.config.sinks = 2;
  s.terms = {terms};
  return s;
}

TEST(HybridAttentionReference, GradientsOfEveryTermSet) {
  for (uint8_t terms : TermSets()) {
    Shape s = Small(terms);
    CheckAllGradients(s);
    s.config.window_kind = WindowKind::kTerraced;
    s.config.affine = true;
    s.bias = true;
    CheckAllGradients(s);
  }
}

TEST(HybridAttentionReference, GradientsOverGroupsAndSequences) {
  Shape s = Small(kHybridTerms);
  s.lengths = {7, 0, 5};
  s.heads = 4;
  s.kv_heads = 2;
  s.terms = TermSets();
  CheckAllGradients(s);
}

// The row maximum's own gradient matters most when scores are large.
TEST(HybridAttentionReference, GradientsOfLargeScores) {
  Shape s = Small(kHybridTerms);
  s.score_size = 60;
  CheckAllGradients(s);
}

TEST(HybridAttentionReference, GradientsOfIdentityFeatures) {
  Shape s = Small(kHybridTerms);
  s.config.feature_map = FeatureMapKind::kIdentity;
  // Products of raw features have either sign; large gammas keep den > 0.
  s.score_size = 0.1;
  CheckAllGradients(s);
}

}  // namespace
}  // namespace caracal::kernels::testing
