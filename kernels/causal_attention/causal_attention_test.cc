// Causal attention: every version against the scalar reference in fp64, and
// the reference's gradients by complex step.
#include "kernels/causal_attention/causal_attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <string>
#include <vector>

#include "kernels/causal_attention/causal_attention_ref.h"
#include "kernels/common/kernel_testing.h"

namespace caracal::kernels {
namespace {

using ::caracal::testing::AvailableIsas;
using ::caracal::testing::kUnitRoundoff;
using ::caracal::testing::PoolContext;
using ::caracal::testing::ScopedIsa;
using ::caracal::testing::Uniform;

constexpr int64_t kSkip = 3;  // columns after the heads: rows are strided

struct Shape {
  std::vector<int64_t> queries;
  std::vector<int64_t> earlier;  // keys before them; empty: none
  int64_t heads, kv_heads, D;
  double score_size = 2;
};

class Problem {
 public:
  explicit Problem(const Shape& s) : shape(s) {
    offsets = key_offsets = {0};
    for (size_t i = 0; i < s.queries.size(); ++i) {
      const int64_t past = s.earlier.empty() ? 0 : s.earlier[i];
      offsets.push_back(offsets.back() + s.queries[i]);
      key_offsets.push_back(key_offsets.back() + s.queries[i] + past);
    }
    rows = offsets.back();
    key_rows = key_offsets.back();
    Uniform random(rows * 131 + s.D);
    const double size = std::sqrt(s.score_size);
    Fill(q, rows * (s.heads * s.D + kSkip), size, random);
    Fill(k, key_rows * (s.kv_heads * s.D + kSkip), size, random);
    Fill(v, key_rows * (s.kv_heads * s.D + kSkip), 1, random);
    Fill(dy, rows * (s.heads * s.D + kSkip), 1, random);
  }

  TensorView View(std::vector<float>& values, int64_t heads) {
    const int64_t row = heads * shape.D + kSkip;
    TensorView view(values.data(), {static_cast<int64_t>(values.size()) / row,
                                    heads, shape.D});
    view.stride[0] = row;
    return view;
  }
  CausalAttentionInputs Inputs() {
    CausalAttentionInputs in;
    in.q = View(q, shape.heads);
    in.k = View(k, shape.kv_heads);
    in.v = View(v, shape.kv_heads);
    in.offsets = offsets.data();
    in.key_offsets = shape.earlier.empty() ? nullptr : key_offsets.data();
    in.sequences = shape.queries.size();
    return in;
  }
  // Error of a score in fp32, and of sums over the keys: rounding errors grow
  // as the square root of the number of terms (Higham and Mary, 2019); 8
  // bounds the extremes of many such sums.
  double ErrorBound() const {
    double score = 0;
    for (int64_t r = 0; r < rows; ++r) {
      double norm = 0;
      for (int64_t d = 0; d < shape.D; ++d) {
        norm += double{q[r * (shape.heads * shape.D + kSkip) + d]} *
                q[r * (shape.heads * shape.D + kSkip) + d];
      }
      score = std::max(score, norm / std::sqrt(shape.D));
    }
    return 8 * kUnitRoundoff * (score + std::sqrt(key_rows));
  }

  Shape shape;
  int64_t rows = 0, key_rows = 0;
  std::vector<int64_t> offsets, key_offsets;
  std::vector<float> q, k, v, dy;

 private:
  static void Fill(std::vector<float>& values, int64_t n, double size,
                   Uniform& random) {
    values.resize(n);
    for (float& x : values) x = static_cast<float>(size * random());
  }
};

template <typename T>
struct Reference {
  explicit Reference(const Problem& p)
      : q(p.q.begin(), p.q.end()),
        k(p.k.begin(), p.k.end()),
        v(p.v.begin(), p.v.end()),
        dy(p.dy.begin(), p.dy.end()),
        y(p.dy.size()),
        lse(p.shape.heads * p.rows) {
    const Shape& s = p.shape;
    args.heads = s.heads;
    args.kv_heads = s.kv_heads;
    args.D = s.D;
    args.rows = p.rows;
    args.sequences = s.queries.size();
    args.offsets = p.offsets.data();
    args.key_offsets = p.key_offsets.data();
    const int64_t row = s.heads * s.D + kSkip;
    const int64_t key_row = s.kv_heads * s.D + kSkip;
    args.q = {q.data(), row, s.D};
    args.k = {k.data(), key_row, s.D};
    args.v = {v.data(), key_row, s.D};
    args.y = {y.data(), row, s.D};
    args.lse = lse.data();
  }
  void Forward() {
    for (int64_t i = 0; i < args.sequences * args.heads; ++i) {
      CausalAttentionForwardReference(args, i / args.heads, i % args.heads);
    }
  }
  void Backward() {
    dq.assign(q.size(), T(0));
    dk.assign(k.size(), T(0));
    dv.assign(v.size(), T(0));
    const int64_t group = args.heads / args.kv_heads;
    for (int64_t i = 0; i < args.sequences * args.heads; ++i) {
      CausalAttentionBackwardTask<T> task;
      task.sequence = i / args.heads;
      task.head = i % args.heads;
      task.y = {y.data(), args.y.row, args.y.head};
      task.dy = {dy.data(), args.y.row, args.y.head};
      task.lse = lse.data();
      task.dq = {dq.data(), args.q.row, args.q.head};
      const int64_t at = args.offsets[task.sequence] * args.k.row +
                         task.head / group * args.k.head;
      task.dk = dk.data() + at;
      task.dv = dv.data() + at;
      task.dk_row = task.dv_row = args.k.row;
      task.add_kv = task.head % group != 0;
      CausalAttentionBackwardReference(args, task);
    }
  }

  std::vector<T> q, k, v, dy, y, lse, dq, dk, dv;
  CausalAttentionArgs<T> args;
};

struct Result {
  std::vector<float> y, lse, dq, dk, dv;
};

Result Attend(Problem& p, int threads, bool backward) {
  PoolContext pool(threads);
  const CausalAttentionInputs in = p.Inputs();
  Result r;
  r.y.assign(p.q.size(), 0.0f);
  r.lse.resize(p.shape.heads * p.rows);
  const TensorView y = p.View(r.y, p.shape.heads);
  const TensorView lse(r.lse.data(), {p.shape.heads, p.rows});
  const auto workspace = [](std::vector<char>& memory, size_t bytes) {
    memory.assign(bytes + 64, '\xff');  // NaN
    const auto start = (reinterpret_cast<uintptr_t>(memory.data()) + 63) & ~63;
    return Workspace{reinterpret_cast<void*>(start), bytes};
  };
  std::vector<char> memory, backward_memory;
  CausalAttentionForward(
      pool.ctx, in, y, lse,
      workspace(memory, CausalAttentionWorkspaceBytes(pool.ctx, in)));
  if (!backward) return r;
  r.dq.assign(p.q.size(), 0.0f);
  r.dk.assign(p.k.size(), 0.0f);
  r.dv.assign(p.v.size(), 0.0f);
  CausalAttentionBackward(
      pool.ctx, in, y, lse, p.View(p.dy, p.shape.heads),
      p.View(r.dq, p.shape.heads), p.View(r.dk, p.shape.kv_heads),
      p.View(r.dv, p.shape.kv_heads),
      workspace(backward_memory,
                CausalAttentionBackwardWorkspaceBytes(pool.ctx, in)));
  return r;
}

// The largest difference, infinite if one is NaN.
double Distance(const std::vector<float>& got,
                const std::vector<double>& want) {
  EXPECT_EQ(got.size(), want.size());
  double worst = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double d = std::fabs(got[i] - want[i]);
    worst = std::isnan(d) ? HUGE_VAL : std::max(worst, d);
  }
  return worst;
}

double Largest(const std::vector<double>& values) {
  double most = 0;
  for (double v : values) most = std::max(most, std::fabs(v));
  return most;
}

std::vector<Shape> Shapes() {
  return {
      {{1}, {}, 1, 1, 16},        {{5}, {}, 3, 1, 64},
      {{33}, {}, 2, 2, 80},       {{140}, {}, 4, 1, 16},
      {{300}, {}, 2, 1, 64},      {{64, 0, 1, 37}, {}, 6, 2, 20},
      {{40}, {}, 1, 1, 128},      {{100}, {}, 2, 1, 96, 80},
      {{100}, {}, 2, 1, 64, 200},
  };
}

std::vector<Shape> CachedShapes() {
  return {
      {{1}, {200}, 3, 1, 64},       {{1, 1}, {9000, 5}, 2, 1, 16},
      {{3}, {130}, 2, 1, 24},       {{50, 0, 7}, {77, 12, 0}, 4, 2, 16},
      {{40}, {128}, 2, 1, 64, 100},
  };
}

TEST(CausalAttention, ForwardMatchesTheReference) {
  std::vector<Shape> shapes = Shapes();
  for (const Shape& s : CachedShapes()) shapes.push_back(s);
  for (size_t i = 0; i < shapes.size(); ++i) {
    Problem p(shapes[i]);
    Reference<double> want(p);
    want.Forward();
    for (Isa isa : AvailableIsas()) {
      SCOPED_TRACE("shape " + std::to_string(i) + " " + NameOf(isa));
      ScopedIsa scoped(isa);
      const Result got = Attend(p, 2, false);
      // v is at most 1 in magnitude, and y an average of it.
      EXPECT_LE(Distance(got.y, want.y), 2 * p.ErrorBound());
      EXPECT_LE(Distance(got.lse, want.lse),
                2 * p.ErrorBound() * (1 + p.shape.score_size));
    }
  }
}

TEST(CausalAttention, BackwardMatchesTheReference) {
  const std::vector<Shape> shapes = Shapes();
  for (size_t i = 0; i < shapes.size(); ++i) {
    Problem p(shapes[i]);
    Reference<double> want(p);
    want.Forward();
    want.Backward();
    for (Isa isa : AvailableIsas()) {
      SCOPED_TRACE("shape " + std::to_string(i) + " " + NameOf(isa));
      ScopedIsa scoped(isa);
      const Result got = Attend(p, 2, true);
      // dp - delta carries the error of D terms of size |dy| |v|, amplified
      // at most by |q|, |k| on its way into dq and dk.
      const double D = shapes[i].D;
      const double tolerance = p.ErrorBound() * std::sqrt(D);
      const double size = std::sqrt(shapes[i].score_size);
      EXPECT_LE(Distance(got.dq, want.dq),
                tolerance * (size + Largest(want.dq)));
      EXPECT_LE(Distance(got.dk, want.dk),
                tolerance * (size + Largest(want.dk)));
      EXPECT_LE(Distance(got.dv, want.dv), tolerance * (1 + Largest(want.dv)));
    }
  }
}

// L = sum of dy * y; dL/dx by a step along the imaginary axis.
TEST(CausalAttention, ReferenceGradientsMatchComplexStep) {
  Problem p({{5, 9}, {}, 4, 2, 6});
  Reference<double> real(p);
  real.Forward();
  real.Backward();
  Reference<std::complex<double>> complex(p);
  constexpr double kStep = 1e-30;
  const auto check = [&](std::vector<std::complex<double>>& x,
                         const std::vector<double>& gradient, int64_t columns) {
    double worst = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      if (static_cast<int64_t>(i) % (columns + kSkip) >= columns) continue;
      const std::complex<double> before = x[i];
      x[i] += std::complex<double>(0, kStep);
      complex.Forward();
      x[i] = before;
      double sum = 0;
      for (size_t j = 0; j < complex.y.size(); ++j) {
        sum += complex.y[j].imag() * real.dy[j];
      }
      worst = std::max(worst, std::fabs(sum / kStep - gradient[i]));
    }
    EXPECT_LE(worst, 1e-12 * Largest(gradient));
  };
  check(complex.q, real.dq, 4 * 6);
  check(complex.k, real.dk, 2 * 6);
  check(complex.v, real.dv, 2 * 6);
}

TEST(CausalAttention, ThreadsChangeNoBit) {
  Problem p({{70, 33}, {}, 6, 2, 16});
  for (Isa isa : AvailableIsas()) {
    ScopedIsa scoped(isa);
    const Result one = Attend(p, 1, true);
    for (int threads : {2, 3, 5}) {
      const Result more = Attend(p, threads, true);
      EXPECT_EQ(one.y, more.y);
      EXPECT_EQ(one.dq, more.dq);
      EXPECT_EQ(one.dk, more.dk);
      EXPECT_EQ(one.dv, more.dv);
    }
  }
}

// Queries after a cache see what they would have seen in one call.
TEST(CausalAttention, CachedPrefixIsTheEndOfTheWhole) {
  Problem whole({{90}, {}, 3, 1, 32});
  const Result all = Attend(whole, 1, false);
  for (int64_t last : {1, 3, 40}) {
    Problem part(whole);
    part.shape.queries = {last};
    part.shape.earlier = {90 - last};
    part.offsets = {0, last};
    part.key_offsets = {0, 90};
    part.rows = last;
    const int64_t row = 3 * 32 + kSkip;
    part.q.assign(whole.q.end() - last * row, whole.q.end());
    const Result got = Attend(part, 1, false);
    double worst = 0;
    for (int64_t i = 0; i < last * row; ++i) {
      worst = std::max<double>(
          worst, std::fabs(got.y[i] - all.y[(90 - last) * row + i]));
    }
    EXPECT_LE(worst, 2 * whole.ErrorBound());
  }
}

}  // namespace
}  // namespace caracal::kernels
