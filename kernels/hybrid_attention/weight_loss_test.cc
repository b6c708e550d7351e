// The attention-weight loss: the reference's gradients by complex step, every
// version against the reference in fp64, and what the call promises.
#include "kernels/hybrid_attention/weight_loss.h"

#include <gtest/gtest.h>

#include <complex>

#include "kernels/hybrid_attention/test_problem.h"
#include "kernels/hybrid_attention/test_shapes.h"
#include "kernels/hybrid_attention/weight_loss_ref.h"
#include "kernels/hybrid_attention/weight_loss_test_reference.h"

namespace caracal::kernels::testing {
namespace {

using ::caracal::testing::AvailableIsas;
using ::caracal::testing::PoolContext;
using ::caracal::testing::ScopedIsa;
using Complex = std::complex<double>;

template <typename T>
WeightLossSums<T> SumsOf(const HybridAttentionArgs<T>& args) {
  WeightLossSums<T> sums;
  for (int64_t i = 0; i < args.sequences * args.heads; ++i) {
    const auto one = WeightLossReference(args, i / args.heads, i % args.heads);
    sums.cross_entropy += one.cross_entropy;
    sums.teacher_entropy += one.teacher_entropy;
  }
  return sums;
}

TEST(WeightLoss, ReferenceGradientsMatchComplexStep) {
  constexpr double kStep = 1e-30;
  for (uint8_t terms : TermSets()) {
    Shape s;
    s.lengths = {11, 4};
    s.heads = 2;
    s.D = 4;
    s.F = 4;
    s.config.window = 3;
    s.config.sinks = 2;
    s.config.affine = terms % 2 != 0;
    s.bias = true;
    s.terms = {terms};
    SCOPED_TRACE(Describe(s));
    Problem p(s);
    const ReferenceProblem<double> real(p);
    const WeightLossSolution want(real.args, 1.0);
    ReferenceProblem<Complex> complex(p);
    const auto check = [&](const char* name, std::vector<Complex>& x,
                           const std::vector<double>& gradient) {
      ASSERT_EQ(x.size(), gradient.size()) << name;
      for (size_t i = 0; i < x.size(); ++i) {
        const Complex before = x[i];
        x[i] += Complex(0, kStep);
        const double got = SumsOf(complex.args).cross_entropy.imag() / kStep;
        x[i] = before;
        ASSERT_NEAR(got, gradient[i], 1e-11 * (1 + std::fabs(gradient[i])))
            << name << " " << i;
      }
    };
    check("weight_q", complex.weight_q, want.dweight_q);
    check("weight_k", complex.weight_k, want.dweight_k);
    check("bias_q", complex.bias_q, want.dbias_q);
    check("bias_k", complex.bias_k, want.dbias_k);
    check("factor", complex.factor, want.dfactor);
  }
}

struct Call {
  std::vector<float> dweight_q, dweight_k, dbias_q, dbias_k, dfactor;
  AttentionWeightLoss loss;

  void Run(Problem& p, int threads, float scale, float initial = 0) {
    PoolContext pool(threads);
    const Shape& s = p.shape;
    const HybridAttentionInputs in = p.Inputs();
    HybridAttentionGradients grads;
    const auto bind = [&](std::vector<float>& values, TensorView view) {
      values.assign(view.size(), initial);
      view.data = values.data();
      return view;
    };
    float none;
    const int64_t maps = p.maps(), D = s.D, F = s.F;
    grads.dweight_q = bind(dweight_q, TensorView(&none, {maps, D, F}));
    grads.dweight_k = bind(dweight_k, TensorView(&none, {maps, D, F}));
    grads.dbias_q = bind(dbias_q, TensorView(&none, {maps, F}));
    grads.dbias_k = bind(dbias_k, TensorView(&none, {maps, F}));
    grads.dwindow_factor = bind(dfactor, TensorView(&none, {s.heads}));
    AlignedMemory memory(
        AttentionWeightLossWorkspaceBytes(pool.ctx, s.config, in, grads));
    AttentionWeightLossBackward(pool.ctx, s.config, in, scale, grads, &loss,
                                memory.workspace());
  }
};

// Errors of the student's weights are relative (ErrorBound); the teacher's
// too, and log p's is that of p, absolute, beside log's own rounding. A
// gradient's terms g u = A p - a cancel: what stays is rounding of the size of
// the terms, of which rows * heads sum to 2 each at most, times those of z.
TEST(WeightLoss, EveryVersionMatchesTheReference) {
  for (const Shape& shape : Shapes()) {
    Problem p(shape);
    const ReferenceProblem<double> reference(p);
    constexpr float kScale = 0.5f;
    const WeightLossSolution want(reference.args, kScale);
    const double relative = p.ErrorBound() + 64 * kUnitRoundoff;
    const double rows = static_cast<double>(p.rows * shape.heads);
    const double x = std::fmax(Problem::RowNorm(p.q, shape.D),
                               Problem::RowNorm(p.k, shape.D));
    for (Isa isa : AvailableIsas()) {
      SCOPED_TRACE(Describe(shape) + " " + NameOf(isa));
      ScopedIsa scoped(isa);
      Call got;
      got.Run(p, 2, kScale);
      EXPECT_NEAR(got.loss.cross_entropy, want.sums.cross_entropy,
                  relative * (rows + std::fabs(want.sums.cross_entropy)));
      EXPECT_NEAR(got.loss.teacher_entropy, want.sums.teacher_entropy,
                  relative * (rows + std::fabs(want.sums.teacher_entropy)));
      const auto expect = [&](const char* name,
                              const std::vector<float>& values,
                              const std::vector<double>& expected,
                              double size) {
        EXPECT_LE(Distance(values, expected),
                  relative * (Norm(expected) + size * kScale * std::sqrt(rows)))
            << name << ", norm " << Norm(expected);
      };
      expect("dweight_q", got.dweight_q, want.dweight_q, x);
      expect("dweight_k", got.dweight_k, want.dweight_k, x);
      expect("dbias_q", got.dbias_q, want.dbias_q, 1);
      expect("dbias_k", got.dbias_k, want.dbias_k, 1);
      expect("dfactor", got.dfactor, want.dfactor, 1);
    }
  }
}

TEST(WeightLoss, AddsUpAndDoesNotDependOnThreads) {
  Shape s;
  s.lengths = {75, 0, 41};
  s.heads = 6;
  s.kv_heads = 2;
  s.config.window = 16;
  s.config.sinks = 4;
  s.terms = TermSets();
  Problem p(s);
  for (Isa isa : AvailableIsas()) {
    ScopedIsa scoped(isa);
    Call one, three, added;
    one.Run(p, 1, 1.0f);
    three.Run(p, 3, 1.0f);
    EXPECT_EQ(one.dweight_q, three.dweight_q);
    EXPECT_EQ(one.dweight_k, three.dweight_k);
    EXPECT_EQ(one.dfactor, three.dfactor);
    EXPECT_EQ(one.loss.cross_entropy, three.loss.cross_entropy);
    EXPECT_EQ(one.loss.teacher_entropy, three.loss.teacher_entropy);
    added.loss = one.loss;
    added.Run(p, 2, 1.0f, /*initial=*/8.0f);
    EXPECT_DOUBLE_EQ(added.loss.cross_entropy, 2 * one.loss.cross_entropy);
    for (size_t i = 0; i < one.dbias_q.size(); ++i) {
      EXPECT_NEAR(added.dbias_q[i], 8 + one.dbias_q[i], 1e-5);
    }
  }
}

// A student that is the teacher: kl = 0 and no gradient. With one key in the
// window both weights are 1.
TEST(WeightLoss, IsZeroForThePerfectStudent) {
  Shape s;
  s.lengths = {1};
  Problem p(s);
  for (Isa isa : AvailableIsas()) {
    ScopedIsa scoped(isa);
    Call call;
    call.Run(p, 1, 1.0f);
    EXPECT_EQ(call.loss.cross_entropy, 0);
    EXPECT_EQ(call.loss.teacher_entropy, 0);
    for (float g : call.dweight_q) EXPECT_EQ(g, 0);
  }
}

}  // namespace
}  // namespace caracal::kernels::testing
