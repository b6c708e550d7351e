// Forward of hybrid attention: every version against the scalar reference in
// fp64, over shapes, windows, term sets and instruction sets.
#include "kernels/hybrid_attention/hybrid_attention.h"

#include <gtest/gtest.h>

#include <complex>

#include "kernels/hybrid_attention/hybrid_attention_ref.h"
#include "kernels/hybrid_attention/test_problem.h"

namespace caracal::kernels::testing {
namespace {

using ::caracal::testing::AvailableIsas;
using ::caracal::testing::PoolContext;
using ::caracal::testing::ScopedIsa;

struct ForwardResult {
  Table y;
  std::vector<float> row_max, softmax_den, linear_den;
};

ForwardResult RunForward(Problem& p, int threads, bool statistics) {
  PoolContext pool(threads);
  const HybridAttentionInputs in = p.Inputs();
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

ReferenceProblem<double> RunReference(const Problem& p) {
  ReferenceProblem<double> r(p);
  for (int64_t s = 0; s < p.sequences(); ++s) {
    for (int64_t h = 0; h < p.shape.heads; ++h) {
      HybridAttentionForwardReference(r.args, s, h);
    }
  }
  return r;
}

TEST(HybridAttentionForward, EveryVersionMatchesTheReference) {
  for (const Shape& shape : Shapes()) {
    Problem p(shape);
    const ReferenceProblem<double> want = RunReference(p);
    // v is at most 1 in magnitude, and y an average of it.
    const double tolerance = 2 * p.ErrorBound();
    for (Isa isa : AvailableIsas()) {
      SCOPED_TRACE(Describe(shape) + " " + NameOf(isa));
      ScopedIsa scoped(isa);
      const ForwardResult got = RunForward(p, 2, true);
      const int64_t columns = shape.heads * shape.D;
      double worst = 0;
      for (int64_t r = 0; r < p.rows; ++r) {
        for (int64_t c = 0; c < columns; ++c) {
          const double difference =
              got.y.values[r * got.y.columns + c] - want.y[r * columns + c];
          worst = std::fmax(
              worst, std::isnan(difference) ? HUGE_VAL : std::fabs(difference));
        }
      }
      EXPECT_LE(worst, tolerance);
    }
  }
}

}  // namespace
}  // namespace caracal::kernels::testing
