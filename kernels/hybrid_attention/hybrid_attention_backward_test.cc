// Backward of hybrid attention: every version against the scalar reference in
// fp64, and what the call promises: regression targets, accumulation, optional
// gradients, and results that do not depend on the number of threads.
#include <gtest/gtest.h>

#include "kernels/hybrid_attention/hybrid_attention.h"
#include "kernels/hybrid_attention/test_problem.h"
#include "kernels/hybrid_attention/test_shapes.h"

namespace caracal::kernels::testing {
namespace {

using ::caracal::testing::AvailableIsas;
using ::caracal::testing::PoolContext;
using ::caracal::testing::ScopedIsa;

// What to ask of a call, and what it left.
struct Backward {
  bool rows = true, weights = true;  // dq, dk, dv; the parameters
  bool regress = false;              // dy is a target
  float scale = 0;
  float initial = 0;  // parameters' gradients before the call

  Table dq, dk, dv;
  std::vector<float> dweight_q, dweight_k, dbias_q, dbias_k, dfactor;
  double squared_error = 0;

  void Call(Problem& p, int threads) {
    PoolContext pool(threads);
    const Shape& s = p.shape;
    const HybridAttentionInputs in = p.Inputs();
    HybridAttentionGradients grads;
    if (rows) {
      dq = Table(p.rows, s.heads * s.D + kSkip);
      dk = Table(p.rows, s.kv_heads * s.D + kSkip);
      dv = Table(p.rows, s.kv_heads * s.D + kSkip);
      grads.dq = dq.View(s.heads, kSkip);
      grads.dk = dk.View(s.kv_heads, kSkip);
      grads.dv = dv.View(s.kv_heads, kSkip);
    }
    if (weights) {
      const int64_t H = s.heads, maps = p.maps(), D = s.D, F = s.F;
      const auto bind = [&](std::vector<float>& values, TensorView view) {
        values.assign(view.size(), initial);
        view.data = values.data();
        return view;
      };
      float none;
      grads.dweight_q = bind(dweight_q, TensorView(&none, {maps, D, F}));
      grads.dweight_k = bind(dweight_k, TensorView(&none, {maps, D, F}));
      grads.dbias_q = bind(dbias_q, TensorView(&none, {maps, F}));
      grads.dbias_k = bind(dbias_k, TensorView(&none, {maps, F}));
      grads.dwindow_factor = bind(dfactor, TensorView(&none, {H}));
    }
    HybridAttentionCotangent cotangent;
    (regress ? cotangent.target : cotangent.dy) = p.dy.View(s.heads, kSkip);
    cotangent.scale = scale;
    cotangent.squared_error = &squared_error;
    AlignedMemory memory(
        HybridAttentionBackwardWorkspaceBytes(pool.ctx, s.config, in, grads));
    HybridAttentionBackward(pool.ctx, s.config, in, cotangent, grads,
                            memory.workspace());
  }
};

// A gradient's error has two parts: that of the weights, relative to the
// gradient, and that of g = (dy.v - dy.y) / den, which stays when g cancels:
// 8 roundings of numbers of the size of dy.v, times q or k, at each element.
void ExpectGradients(const Problem& p, const Backward& got,
                     const ReferenceGradients<double>& want) {
  const double floor = 8 * kUnitRoundoff * std::sqrt(p.shape.score_size) *
                       std::sqrt(p.rows * p.shape.heads * p.shape.D);
  const auto expect = [&](const char* name, const std::vector<float>& values,
                          const std::vector<double>& expected) {
    const double norm = Norm(expected);
    EXPECT_LE(Distance(values, expected), p.ErrorBound() * norm + floor)
        << name << ", norm " << norm;
  };
  if (got.rows) {
    expect("dq", got.dq.Dense(kSkip), want.dq);
    expect("dk", got.dk.Dense(kSkip), want.dk);
    expect("dv", got.dv.Dense(kSkip), want.dv);
  }
  if (got.weights) {
    expect("dweight_q", got.dweight_q, want.dweight_q);
    expect("dweight_k", got.dweight_k, want.dweight_k);
    expect("dbias_q", got.dbias_q, want.dbias_q);
    expect("dbias_k", got.dbias_k, want.dbias_k);
    expect("dwindow_factor", got.dfactor, want.dfactor);
  }
}

TEST(HybridAttentionBackward, EveryVersionMatchesTheReference) {
  for (const Shape& shape : Shapes()) {
    Problem p(shape);
    const ReferenceProblem<double> reference(p);
    const std::vector<float> dy = p.dy.Dense(kSkip);
    const ReferenceGradients<double> want(
        reference.args, std::vector<double>(dy.begin(), dy.end()));
    for (Isa isa : AvailableIsas()) {
      SCOPED_TRACE(Describe(shape) + " " + NameOf(isa));
      ScopedIsa scoped(isa);
      Backward got;
      got.Call(p, 2);
      ExpectGradients(p, got, want);
    }
  }
}

// The shapes on which the call's promises are tested.
std::vector<Shape> SomeShapes() {
  Shape a;
  a.lengths = {75, 0, 41};
  a.heads = 6;
  a.kv_heads = 2;
  a.config.window = 16;
  a.config.sinks = 4;
  a.terms = TermSets();
  Shape b;
  b.lengths = {130};
  b.heads = 3;
  b.bias = true;
  b.config.window = 33;
  b.config.affine = true;
  return {a, b};
}

TEST(HybridAttentionBackward, TargetIsForwardPlusItsGradient) {
  for (const Shape& shape : SomeShapes()) {
    Problem p(shape);
    const ReferenceProblem<double> reference(p);
    const std::vector<float> target = p.dy.Dense(kSkip);
    const ReferenceGradients<double> want(
        reference.args, std::vector<double>(target.begin(), target.end()),
        /*regress=*/true, /*scale=*/0.75);
    for (Isa isa : AvailableIsas()) {
      SCOPED_TRACE(Describe(shape) + " " + NameOf(isa));
      ScopedIsa scoped(isa);
      Backward got;
      got.regress = true;
      got.scale = 0.75;
      got.squared_error = 1000;  // is added to
      got.Call(p, 2);
      ExpectGradients(p, got, want);
      EXPECT_NEAR(got.squared_error - 1000, want.squared_error,
                  2 * p.ErrorBound() * (1 + want.squared_error));

      // The same dy, spelled out.
      ReferenceProblem<double> forward(p);
      forward.Forward();
      Problem explicit_dy(shape);
      for (int64_t r = 0; r < p.rows; ++r) {
        const int64_t columns = p.dy.columns - kSkip;
        for (int64_t c = 0; c < columns; ++c) {
          float& v = explicit_dy.dy.values[r * p.dy.columns + c];
          v = static_cast<float>(0.75 * (forward.y[r * columns + c] - v));
        }
      }
      Backward same;
      same.Call(explicit_dy, 2);
      ExpectGradients(p, same, want);
    }
  }
}

TEST(HybridAttentionBackward, ParametersAccumulate) {
  for (const Shape& shape : SomeShapes()) {
    Problem p(shape);
    for (Isa isa : AvailableIsas()) {
      ScopedIsa scoped(isa);
      Backward from_zero, from_three;
      from_zero.Call(p, 1);
      from_three.initial = 3;
      from_three.Call(p, 1);
      const auto expect = [](std::vector<float> a,
                             const std::vector<float>& b) {
        for (float& v : a) v += 3;
        // Sums of a few parts, in another order.
        EXPECT_LE(Distance(a, b),
                  8 * kUnitRoundoff * (3 * std::sqrt(a.size()) + 1));
      };
      expect(from_zero.dweight_q, from_three.dweight_q);
      expect(from_zero.dweight_k, from_three.dweight_k);
      expect(from_zero.dbias_q, from_three.dbias_q);
      expect(from_zero.dbias_k, from_three.dbias_k);
      expect(from_zero.dfactor, from_three.dfactor);
    }
  }
}

// What is not asked for changes nothing of the rest.
TEST(HybridAttentionBackward, GradientsAreOptional) {
  for (const Shape& shape : SomeShapes()) {
    Problem p(shape);
    for (Isa isa : AvailableIsas()) {
      SCOPED_TRACE(Describe(shape) + " " + NameOf(isa));
      ScopedIsa scoped(isa);
      Backward all, rows, weights;
      all.Call(p, 2);
      rows.weights = false;
      rows.Call(p, 2);
      weights.rows = false;
      weights.Call(p, 2);
      EXPECT_EQ(all.dq.values, rows.dq.values);
      EXPECT_EQ(all.dk.values, rows.dk.values);
      EXPECT_EQ(all.dv.values, rows.dv.values);
      EXPECT_EQ(all.dweight_q, weights.dweight_q);
      EXPECT_EQ(all.dweight_k, weights.dweight_k);
      EXPECT_EQ(all.dbias_q, weights.dbias_q);
      EXPECT_EQ(all.dbias_k, weights.dbias_k);
      EXPECT_EQ(all.dfactor, weights.dfactor);
    }
  }
}

TEST(HybridAttentionBackward, ThreadsChangeNoBit) {
  std::vector<Shape> shapes = SomeShapes();
  // More sequences than exist as parts at the same time.
  Shape many;
  many.lengths.assign(37, 9);
  many.heads = 3;
  many.config.window = 2;
  shapes.push_back(many);
  for (const Shape& shape : shapes) {
    Problem p(shape);
    for (Isa isa : AvailableIsas()) {
      SCOPED_TRACE(Describe(shape) + " " + NameOf(isa));
      ScopedIsa scoped(isa);
      Backward one;
      one.regress = true;
      one.scale = 2;
      Backward initial = one;
      one.Call(p, 1);
      for (int threads : {2, 3, 5}) {
        Backward more = initial;
        more.Call(p, threads);
        EXPECT_EQ(one.dq.values, more.dq.values);
        EXPECT_EQ(one.dk.values, more.dk.values);
        EXPECT_EQ(one.dv.values, more.dv.values);
        EXPECT_EQ(one.dweight_q, more.dweight_q);
        EXPECT_EQ(one.dweight_k, more.dweight_k);
        EXPECT_EQ(one.dfactor, more.dfactor);
        EXPECT_EQ(one.squared_error, more.squared_error);
      }
    }
  }
}

}  // namespace
}  // namespace caracal::kernels::testing
