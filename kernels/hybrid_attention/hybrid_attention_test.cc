// Forward of hybrid attention: every version against the scalar reference in
// fp64, over shapes, windows, term sets and instruction sets.
#include "kernels/hybrid_attention/hybrid_attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <utility>
#include <vector>

#include "kernels/hybrid_attention/test_problem.h"
#include "kernels/hybrid_attention/test_shapes.h"

namespace caracal::kernels::testing {
namespace {

using ::caracal::testing::AvailableIsas;
using ::caracal::testing::PoolContext;
using ::caracal::testing::ScopedIsa;

double Largest(const std::vector<float>& got, const std::vector<double>& want) {
  double most = got.size() == want.size() ? 0 : HUGE_VAL;
  for (size_t i = 0; i < want.size() && i < got.size(); ++i) {
    const double d = std::fabs(got[i] - want[i]);
    most = std::isnan(d) ? HUGE_VAL : std::fmax(most, d);
  }
  return most;
}

double LargestRelative(const std::vector<float>& got,
                       const std::vector<double>& want) {
  double most = got.size() == want.size() ? 0 : HUGE_VAL;
  for (size_t i = 0; i < want.size() && i < got.size(); ++i) {
    if (got[i] == want[i]) continue;
    const double d = std::fabs(got[i] - want[i]) / std::fabs(want[i]);
    most = std::isnan(d) ? HUGE_VAL : std::fmax(most, d);
  }
  return most;
}

struct ForwardResult {
  Table y;
  std::vector<float> row_max, softmax_den, linear_den;
};

ForwardResult RunForward(Problem& p, int threads, bool statistics,
                         bool feature_maps = true) {
  PoolContext pool(threads);
  HybridAttentionInputs in = p.Inputs();
  if (!feature_maps) in.weight_q = in.weight_k = {};
  ForwardResult result;
  result.y = Table(p.rows, p.shape.heads * p.shape.D + kSkip);
  HybridAttentionOutputs out;
  out.y = result.y.View(p.shape.heads, kSkip);
  if (statistics) {
    const int64_t n = p.shape.heads * p.rows;
    for (auto [values, view] :
         {std::pair(&result.row_max, &out.row_max),
          std::pair(&result.softmax_den, &out.softmax_den),
          std::pair(&result.linear_den, &out.linear_den)}) {
      values->resize(n);
      *view = TensorView(values->data(), {p.shape.heads, p.rows});
    }
  }
  std::vector<char> memory(
      HybridAttentionForwardWorkspaceBytes(pool.ctx, p.shape.config, in) + 64);
  Workspace workspace{
      reinterpret_cast<void*>(
          (reinterpret_cast<uintptr_t>(memory.data()) + 63) / 64 * 64),
      memory.size() - 64};
  HybridAttentionForward(pool.ctx, p.shape.config, in, nullptr, out, workspace);
  return result;
}

TEST(HybridAttentionForward, EveryVersionMatchesTheReference) {
  for (const Shape& shape : Shapes()) {
    Problem p(shape);
    ReferenceProblem<double> want(p);
    want.Forward();
    const double bound = 2 * p.ErrorBound();
    for (Isa isa : AvailableIsas()) {
      for (bool statistics : {false, true}) {
        SCOPED_TRACE(Describe(shape) + " " + NameOf(isa));
        ScopedIsa scoped(isa);
        const ForwardResult got = RunForward(p, 2, statistics);
        // v is at most 1 in magnitude, and y an average of it.
        EXPECT_LE(Largest(got.y.Dense(kSkip), want.y), bound);
        if (!statistics) continue;
        EXPECT_LE(Largest(got.row_max, want.row_max), bound);
        EXPECT_LE(LargestRelative(got.softmax_den, want.softmax_den), bound);
        EXPECT_LE(LargestRelative(got.linear_den, want.linear_den), bound);
      }
    }
  }
}

TEST(HybridAttentionForward, ThreadsChangeNoBit) {
  for (const Shape& shape : Shapes()) {
    Problem p(shape);
    for (Isa isa : AvailableIsas()) {
      ScopedIsa scoped(isa);
      const ForwardResult one = RunForward(p, 1, true);
      const ForwardResult three = RunForward(p, 3, true);
      EXPECT_EQ(one.y.values, three.y.values) << Describe(shape);
      EXPECT_EQ(one.linear_den, three.linear_den) << Describe(shape);
    }
  }
}

// The modes that compute no linear term need no feature maps.
TEST(HybridAttentionForward, SoftmaxModesRunWithoutFeatureMaps) {
  Shape shape;
  shape.lengths = {50};
  shape.config.window = 8;
  shape.config.sinks = 2;
  shape.terms = {kSwaOnlyTerms};
  Problem p(shape);
  for (Isa isa : AvailableIsas()) {
    ScopedIsa scoped(isa);
    const ForwardResult with = RunForward(p, 1, false);
    const ForwardResult without = RunForward(p, 1, false, false);
    EXPECT_EQ(with.y.values, without.y.values);
  }
}

}  // namespace
}  // namespace caracal::kernels::testing
