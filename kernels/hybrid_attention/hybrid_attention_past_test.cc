// Sequences computed in pieces: prefill(n) == prefill(k) and then the rest,
// for any split, with the past carried as a decoder's cache carries it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/feature_map/feature_map_ref.h"
#include "kernels/hybrid_attention/hybrid_attention.h"
#include "kernels/hybrid_attention/test_problem.h"
#include "kernels/hybrid_attention/test_shapes.h"

namespace caracal::kernels::testing {
namespace {

using ::caracal::testing::AvailableIsas;
using ::caracal::testing::PoolContext;
using ::caracal::testing::ScopedIsa;

// Runs a problem piece by piece; every call hands all sequences some rows,
// possibly none.
class Decoder {
 public:
  Decoder(Problem& p, int threads)
      : p_(p),
        pool_(threads),
        y(p.rows, p.shape.heads * p.shape.D),
        state_(p.sequences() * p.shape.heads * p.Fout() * p.shape.D),
        norm_(p.sequences() * p.shape.heads * p.Fout()),
        length_(p.sequences()) {}

  // counts[i] rows of sequence i.
  void Call(const std::vector<int64_t>& counts) {
    const Shape& s = p_.shape;
    const int64_t H = s.heads, Hkv = s.kv_heads, D = s.D, N = p_.sequences();
    std::vector<int64_t> rows, offsets = {0};
    for (int64_t i = 0; i < N; ++i) {
      for (int64_t r = 0; r < counts[i]; ++r) {
        rows.push_back(p_.offsets[i] + length_[i] + r);
      }
      offsets.push_back(rows.size());
    }
    Table q = Rows(p_.q, rows), k = Rows(p_.k, rows), v = Rows(p_.v, rows);
    Table out(rows.size(), H * D + kSkip);
    HybridAttentionInputs in = p_.Inputs();
    in.q = q.View(H, kSkip);
    in.k = k.View(Hkv, kSkip);
    in.v = v.View(Hkv, kSkip);
    in.offsets = offsets.data();

    // A few rows more than needed, filled with what must not be read.
    const int64_t P = 2 * s.config.window + 2, S = s.config.sinks;
    std::vector<float> past_k(N * P * Hkv * D, NAN), past_v = past_k;
    std::vector<float> sink_k(N * (S + 1) * Hkv * D, NAN), sink_v = sink_k;
    for (int64_t i = 0; i < N; ++i) {
      const int64_t end = length_[i];
      const int64_t begin =
          WindowStart(s.config.window_kind, s.config.window, end, end + 1);
      for (int64_t j = begin; j < end; ++j) {
        Copy(p_.k, p_.offsets[i] + j, &past_k[(i * P + P - end + j) * Hkv * D]);
        Copy(p_.v, p_.offsets[i] + j, &past_v[(i * P + P - end + j) * Hkv * D]);
      }
      for (int64_t j = 0; j < std::min(S, end); ++j) {
        Copy(p_.k, p_.offsets[i] + j, &sink_k[(i * (S + 1) + j) * Hkv * D]);
        Copy(p_.v, p_.offsets[i] + j, &sink_v[(i * (S + 1) + j) * Hkv * D]);
      }
    }
    HybridAttentionPast past;
    past.length = length_.data();
    past.past_k = TensorView(past_k.data(), {N, P, Hkv, D});
    past.past_v = TensorView(past_v.data(), {N, P, Hkv, D});
    past.sink_k = TensorView(sink_k.data(), {N, S + 1, Hkv, D});
    past.sink_v = TensorView(sink_v.data(), {N, S + 1, Hkv, D});
    past.state = TensorView(state_.data(), {N, H, p_.Fout(), D});
    past.state_norm = TensorView(norm_.data(), {N, H, p_.Fout()});
    HybridAttentionOutputs outputs;
    outputs.y = out.View(H, kSkip);
    AlignedMemory memory(
        HybridAttentionForwardWorkspaceBytes(pool_.ctx, s.config, in));
    HybridAttentionForward(pool_.ctx, s.config, in, &past, outputs,
                           memory.workspace());
    for (size_t r = 0; r < rows.size(); ++r) {
      std::copy_n(&out.values[r * out.columns], H * D,
                  &y.values[rows[r] * H * D]);
    }
    for (int64_t i = 0; i < N; ++i) length_[i] += counts[i];
  }

  const std::vector<float>& state() const { return state_; }
  const std::vector<float>& norm() const { return norm_; }

 private:
  static Table Rows(const Table& from, const std::vector<int64_t>& rows) {
    Table out(rows.size(), from.columns);
    for (size_t r = 0; r < rows.size(); ++r) {
      std::copy_n(&from.values[rows[r] * from.columns], from.columns,
                  &out.values[r * from.columns]);
    }
    // Never empty, so that the view is defined.
    out.values.resize(out.values.size() + 1);
    return out;
  }
  static void Copy(const Table& from, int64_t row, float* to) {
    std::copy_n(&from.values[row * from.columns], from.columns - kSkip, to);
  }

  Problem& p_;
  PoolContext pool_;

 public:
  Table y;

 private:
  std::vector<float> state_, norm_;
  std::vector<int64_t> length_;
};

// The sums the state must hold at the end of every sequence.
void ExpectState(const Problem& p, const Decoder& decoder) {
  const ReferenceProblem<double> r(p);
  const Shape& s = p.shape;
  const int64_t Fout = p.Fout(), D = s.D;
  double state_error = 0, norm_error = 0;
  for (int64_t i = 0; i < p.sequences() * s.heads; ++i) {
    const int64_t sequence = i / s.heads, h = i % s.heads;
    const int64_t end = s.lengths[sequence];
    std::vector<double> state(Fout * D), norm(Fout), z(s.F), phi(Fout);
    for (int64_t j = s.config.sinks;
         j < WindowStart(s.config.window_kind, s.config.window, end, end + 1);
         ++j) {
      const int64_t row = p.offsets[sequence] + j, kv = r.args.kv_head(h);
      FeatureProjection<double>(
          D, s.F, r.args.k.at(row, kv), r.args.weight_k + h * D * s.F,
          r.args.bias_k == nullptr ? nullptr : r.args.bias_k + h * s.F,
          z.data());
      kFeatureMapReference<double>[0].forward(s.F, z.data(), phi.data());
      for (int64_t f = 0; f < Fout; ++f) {
        norm[f] += phi[f];
        for (int64_t d = 0; d < D; ++d) {
          state[f * D + d] += phi[f] * r.args.v.at(row, kv)[d];
        }
      }
    }
    for (int64_t f = 0; f < Fout; ++f) {
      norm_error = std::fmax(norm_error,
                             std::fabs(decoder.norm()[i * Fout + f] - norm[f]));
    }
    for (int64_t f = 0; f < Fout * D; ++f) {
      state_error = std::fmax(
          state_error, std::fabs(decoder.state()[i * Fout * D + f] - state[f]));
    }
  }
  // Sums of at most `longest` numbers below 1.
  const double longest = *std::max_element(s.lengths.begin(), s.lengths.end());
  EXPECT_LE(norm_error, p.ErrorBound() * (1 + longest / s.F));
  EXPECT_LE(state_error, p.ErrorBound() * (1 + longest / s.F));
}

std::vector<Shape> PastShapes() {
  std::vector<Shape> shapes;
  for (const auto kind : {WindowKind::kSliding, WindowKind::kTerraced}) {
    for (int64_t window : {1, 5, 33}) {
      for (int64_t sinks : {0, 4, 40}) {
        Shape s;
        s.lengths = {59};
        s.config.window = window;
        s.config.sinks = sinks;
        s.config.window_kind = kind;
        s.config.affine = window == 5;
        s.bias = sinks == 4;
        s.seed = shapes.size() + 3;
        shapes.push_back(s);
      }
    }
    Shape many;
    many.lengths = {71, 40, 12};
    many.heads = 4;
    many.kv_heads = 2;
    many.D = 24;
    many.config.window = 7;
    many.config.sinks = 3;
    many.config.window_kind = kind;
    many.terms = TermSets();
    shapes.push_back(many);
  }
  return shapes;
}

// Every call takes the next of `sizes` rows of each sequence, as far as it has
// them; the last size repeats.
void CheckSplit(const Shape& shape, const std::vector<int64_t>& sizes) {
  Problem p(shape);
  ReferenceProblem<double> want(p);
  want.Forward();
  for (Isa isa : AvailableIsas()) {
    SCOPED_TRACE(Describe(shape) + " first " + std::to_string(sizes[0]) + " " +
                 NameOf(isa));
    ScopedIsa scoped(isa);
    Decoder decoder(p, 1);
    std::vector<int64_t> left = shape.lengths;
    for (size_t call = 0; *std::max_element(left.begin(), left.end()) > 0;
         ++call) {
      std::vector<int64_t> counts;
      for (int64_t& n : left) {
        counts.push_back(std::min(n, sizes[std::min(call, sizes.size() - 1)]));
        n -= counts.back();
      }
      decoder.Call(counts);
    }
    double worst = 0;
    for (size_t i = 0; i < want.y.size(); ++i) {
      const double d = std::fabs(decoder.y.values[i] - want.y[i]);
      worst = std::isnan(d) ? HUGE_VAL : std::fmax(worst, d);
    }
    EXPECT_LE(worst, 2 * p.ErrorBound());
    ExpectState(p, decoder);
  }
}

TEST(HybridAttentionPast, TwoPieces) {
  for (const Shape& shape : PastShapes()) {
    for (int64_t first : {1, 6, 32, 50, 58}) CheckSplit(shape, {first, 71});
  }
}

TEST(HybridAttentionPast, TokenByTokenFromTheStart) {
  for (const Shape& shape : PastShapes()) CheckSplit(shape, {1});
}

TEST(HybridAttentionPast, TokenByTokenAfterAPrefix) {
  for (const Shape& shape : PastShapes()) CheckSplit(shape, {38, 1});
}

TEST(HybridAttentionPast, OddPieces) {
  for (const Shape& shape : PastShapes()) {
    CheckSplit(shape, {3, 17, 1, 33, 2});
  }
}

}  // namespace
}  // namespace caracal::kernels::testing
