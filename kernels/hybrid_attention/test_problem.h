// Random hybrid attention problems for the tests: the same numbers as views
// for the public functions and, converted to another scalar type, as arguments
// of the reference.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_TEST_PROBLEM_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_TEST_PROBLEM_H_

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/common/kernel_testing.h"
#include "kernels/hybrid_attention/hybrid_attention.h"
#include "kernels/hybrid_attention/hybrid_attention_args.h"

namespace caracal::kernels::testing {

using ::caracal::testing::kUnitRoundoff;
using ::caracal::testing::Uniform;

struct Shape {
  std::vector<int64_t> lengths = {70};
  int64_t heads = 2, kv_heads = 1, D = 16, F = 16;
  HybridAttentionConfig config;
  // Terms of (sequence, head), repeated as often as needed.
  std::vector<uint8_t> terms = {kHybridTerms};
  bool bias = false;
  double score_size = 2;  // about the largest |s|
  uint64_t seed = 1;
};

// Values [rows, columns] in fp32.
struct Table {
  Table() = default;
  Table(int64_t rows, int64_t columns) : rows(rows), columns(columns) {
    values.resize(rows * columns);
  }
  Table(int64_t rows, int64_t columns, double size, Uniform& random)
      : Table(rows, columns) {
    for (float& v : values) v = static_cast<float>(size * random());
  }
  // [rows, heads, columns / heads]; the last `skip` columns are left out.
  TensorView View(int64_t heads, int64_t skip = 0) {
    const int64_t D = (columns - skip) / heads;
    TensorView view(values.data(), {rows, heads, D});
    view.stride[0] = columns;
    return view;
  }
  template <typename T>
  std::vector<T> As() const {
    return std::vector<T>(values.begin(), values.end());
  }
  int64_t rows = 0, columns = 0;
  std::vector<float> values;
};

// Columns after the heads of q, k, v, y: rows are not contiguous.
inline constexpr int64_t kSkip = 3;

class Problem {
 public:
  explicit Problem(const Shape& shape)
      : shape(shape), random_(shape.seed * 7919) {
    offsets = {0};
    for (int64_t n : shape.lengths) offsets.push_back(offsets.back() + n);
    rows = offsets.back();
    const int64_t H = shape.heads, Hkv = shape.kv_heads, D = shape.D;
    // |q.k| / sqrt(D) is about size^2 / 3 for uniform numbers, a few times
    // that at most.
    const double size = std::sqrt(shape.score_size);
    q = Table(rows, H * D + kSkip, size, random_);
    k = Table(rows, Hkv * D + kSkip, size, random_);
    v = Table(rows, Hkv * D + kSkip, 1, random_);
    dy = Table(rows, H * D + kSkip, 1, random_);
    const double weight = 2 / std::sqrt(D) / size;
    weight_q = Table(H, D * shape.F, weight, random_);
    weight_k = Table(H, D * shape.F, weight, random_);
    bias_q = Table(H, shape.F, 0.5, random_);
    bias_k = Table(H, shape.F, 0.5, random_);
    factor = Table(1, H, 2, random_);
    for (size_t i = 0; i < shape.lengths.size() * H; ++i) {
      terms.push_back(shape.terms[i % shape.terms.size()]);
    }
  }

  int64_t sequences() const { return shape.lengths.size(); }
  int64_t Fout() const {
    return FeatureMapOutputs(shape.config.feature_map, shape.F);
  }

  HybridAttentionInputs Inputs() {
    const int64_t H = shape.heads, D = shape.D, F = shape.F;
    HybridAttentionInputs in;
    in.q = q.View(H, kSkip);
    in.k = k.View(shape.kv_heads, kSkip);
    in.v = v.View(shape.kv_heads, kSkip);
    in.weight_q = TensorView(weight_q.values.data(), {H, D, F});
    in.weight_k = TensorView(weight_k.values.data(), {H, D, F});
    if (shape.bias) {
      in.bias_q = TensorView(bias_q.values.data(), {H, F});
      in.bias_k = TensorView(bias_k.values.data(), {H, F});
    }
    in.window_factor = TensorView(factor.values.data(), {H});
    in.offsets = offsets.data();
    in.sequences = sequences();
    in.terms = terms.data();
    return in;
  }

  // Relative error of a weight exp(s - c) or phi.phi in fp32: that of its
  // score, or of its projections. Rounding errors of a sum of n terms grow as
  // sqrt(n) (Higham and Mary, 2019); the factor 8 makes failure of that
  // statistical bound unlikely at any of the elements a test looks at.
  double ErrorBound() const {
    const int64_t D = shape.D, F = shape.F;
    const double x = std::fmax(RowNorm(q, D), RowNorm(k, D));
    double column = 0;
    for (const Table* w : {&weight_q, &weight_k}) {
      for (int64_t h = 0; h < shape.heads; ++h) {
        for (int64_t f = 0; f < F; ++f) {
          double sum = 0;
          for (int64_t d = 0; d < D; ++d) {
            const double value = w->values[(h * D + d) * F + f];
            sum += value * value;
          }
          column = std::fmax(column, std::sqrt(sum));
        }
      }
    }
    const double score = RowNorm(q, D) * RowNorm(k, D) / std::sqrt(D);
    return 8 * kUnitRoundoff *
           (score + 2 * x * column + std::sqrt(Fout()) + std::sqrt(rows));
  }

  // The largest norm of `n` consecutive values.
  static double RowNorm(const Table& t, int64_t n) {
    double most = 0;
    for (int64_t r = 0; r < t.rows; ++r) {
      for (int64_t c = 0; c + n <= t.columns; c += n) {
        double sum = 0;
        for (int64_t i = 0; i < n; ++i) {
          const double value = t.values[r * t.columns + c + i];
          sum += value * value;
        }
        most = std::fmax(most, std::sqrt(sum));
      }
    }
    return most;
  }

  Shape shape;
  int64_t rows = 0;
  std::vector<int64_t> offsets;
  std::vector<uint8_t> terms;
  Table q, k, v, dy, weight_q, weight_k, bias_q, bias_k, factor;

 private:
  Uniform random_;
};

// The problem as arguments of the reference, with outputs of its own.
template <typename T>
struct ReferenceProblem {
  explicit ReferenceProblem(const Problem& p)
      : q(p.q.As<T>()),
        k(p.k.As<T>()),
        v(p.v.As<T>()),
        weight_q(p.weight_q.As<T>()),
        weight_k(p.weight_k.As<T>()),
        bias_q(p.bias_q.As<T>()),
        bias_k(p.bias_k.As<T>()),
        factor(p.factor.As<T>()),
        y(p.rows * p.shape.heads * p.shape.D),
        row_max(p.shape.heads * p.rows),
        softmax_den(row_max.size()),
        linear_den(row_max.size()) {
    const Shape& s = p.shape;
    args.config = s.config;
    args.heads = s.heads;
    args.kv_heads = s.kv_heads;
    args.D = s.D;
    args.F = s.F;
    args.Fout = p.Fout();
    args.rows = p.rows;
    args.sequences = p.sequences();
    args.offsets = p.offsets.data();
    args.terms = p.terms.data();
    args.q = {q.data(), p.q.columns, s.D};
    args.k = {k.data(), p.k.columns, s.D};
    args.v = {v.data(), p.v.columns, s.D};
    args.weight_q = weight_q.data();
    args.weight_k = weight_k.data();
    args.bias_q = s.bias ? bias_q.data() : nullptr;
    args.bias_k = s.bias ? bias_k.data() : nullptr;
    args.window_factor = factor.data();
    args.y = {y.data(), s.heads * s.D, s.D};
    args.row_max = row_max.data();
    args.softmax_den = softmax_den.data();
    args.linear_den = linear_den.data();
  }

  std::vector<T> q, k, v, weight_q, weight_k, bias_q, bias_k, factor;
  std::vector<T> y, row_max, softmax_den, linear_den;
  HybridAttentionArgs<T> args;
};

// Term sets worth a test each: the component modes, and odd mixtures.
inline std::vector<uint8_t> TermSets() {
  return {kHybridTerms,
          kSwaOnlyTerms,
          kLaOnlyTerms,
          kLaPastTerms,
          kSinksOnlyTerms,
          kNoTerms,
          kNearTerms | kLinearPastTerms,
          kFarSinkTerms | kLinearPastTerms,
          kNearSinkTerms | kLinearNearTerms,
          kHybridTerms | kLinearNearTerms};
}

// The sweep: every pair that has bitten someone, small enough to be quick.
inline std::vector<Shape> Shapes() {
  std::vector<Shape> shapes;
  const auto add = [&](std::vector<int64_t> lengths, int64_t heads,
                       int64_t kv_heads, int64_t D, int64_t F, int64_t window,
                       int64_t sinks, WindowKind kind) -> Shape& {
    Shape s;
    s.lengths = std::move(lengths);
    s.heads = heads;
    s.kv_heads = kv_heads;
    s.D = D;
    s.F = F;
    s.config.window = window;
    s.config.sinks = sinks;
    s.config.window_kind = kind;
    s.seed = shapes.size() + 1;
    shapes.push_back(s);
    return shapes.back();
  };
  const auto sliding = WindowKind::kSliding, terraced = WindowKind::kTerraced;
  add({1}, 2, 1, 16, 16, 5, 0, sliding);
  add({1}, 1, 1, 80, 32, 1, 4, terraced);
  add({7}, 3, 1, 16, 32, 16, 1, sliding);
  add({33}, 2, 2, 16, 16, 1, 0, sliding);
  add({70}, 3, 1, 64, 64, 16, 4, sliding);
  add({131}, 4, 1, 16, 16, 64, 0, sliding);
  add({131}, 2, 1, 64, 32, 64, 4, sliding).config.affine = true;
  add({150}, 2, 2, 16, 16, 5, 9, sliding).bias = true;
  add({150}, 1, 1, 96, 16, 100, 1, sliding);
  add({97}, 2, 1, 80, 34, 5, 40, sliding);
  add({97}, 2, 1, 20, 18, 33, 3, sliding).bias = true;
  add({140}, 2, 1, 16, 16, 16, 0, terraced);
  add({140}, 3, 3, 16, 32, 5, 9, terraced).config.affine = true;
  add({140}, 1, 1, 16, 16, 64, 4, terraced);
  add({40}, 1, 1, 128, 256, 16, 4, sliding);
  add({64, 1, 0, 37, 2}, 6, 2, 16, 16, 16, 4, sliding);
  add({0, 90, 33}, 4, 1, 24, 16, 1, 4, terraced);
  // Every kind of terms, mixed over samples and heads.
  Shape& mixed = add({75, 100}, 4, 2, 16, 16, 16, 9, sliding);
  mixed.terms = TermSets();
  Shape& terraces = add({60, 33, 80}, 3, 1, 16, 16, 5, 3, terraced);
  terraces.terms = TermSets();
  terraces.config.affine = true;
  for (uint8_t terms : TermSets()) {
    add({90}, 2, 1, 16, 16, 16, 4, sliding).terms = {terms};
  }
  // Scores so large that a shift by anything but the exact maximum would
  // overflow or lose the linear part's scale.
  add({100}, 2, 1, 64, 16, 16, 4, sliding).score_size = 80;
  add({100}, 2, 1, 64, 16, 16, 1, terraced).score_size = 200;
  return shapes;
}

inline std::string Describe(const Shape& s) {
  std::string text = "lengths";
  for (int64_t n : s.lengths) text += " " + std::to_string(n);
  const auto put = [&](const char* name, int64_t value) {
    text += std::string(" ") + name + " " + std::to_string(value);
  };
  put("H", s.heads);
  put("Hkv", s.kv_heads);
  put("D", s.D);
  put("F", s.F);
  put("W", s.config.window);
  put("S", s.config.sinks);
  put("terraced", s.config.window_kind == WindowKind::kTerraced);
  put("affine", s.config.affine);
  put("terms", s.terms.size() == 1 ? s.terms[0] : -1);
  return text;
}

}  // namespace caracal::kernels::testing

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_TEST_PROBLEM_H_
