// Random hybrid attention problems for the tests: the same numbers as views
// for the public functions and, converted to another scalar type, as arguments
// of the reference.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_TEST_PROBLEM_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_TEST_PROBLEM_H_

#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/common/kernel_testing.h"
#include "kernels/hybrid_attention/hybrid_attention.h"
#include "kernels/hybrid_attention/hybrid_attention_args.h"
#include "kernels/hybrid_attention/hybrid_attention_ref.h"

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
  bool shared_map = false;  // one feature map for all heads
  double score_size = 2;    // about the largest |s|
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
  // Without the last `skip` columns.
  std::vector<float> Dense(int64_t skip) const {
    std::vector<float> out;
    for (int64_t r = 0; r < rows; ++r) {
      const auto row = values.begin() + r * columns;
      out.insert(out.end(), row, row + columns - skip);
    }
    return out;
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
    weight_q = Table(maps(), D * shape.F, weight, random_);
    weight_k = Table(maps(), D * shape.F, weight, random_);
    bias_q = Table(maps(), shape.F, 0.5, random_);
    bias_k = Table(maps(), shape.F, 0.5, random_);
    factor = Table(1, H, 2, random_);
    for (size_t i = 0; i < shape.lengths.size() * H; ++i) {
      terms.push_back(shape.terms[i % shape.terms.size()]);
    }
  }

  int64_t sequences() const { return shape.lengths.size(); }
  int64_t maps() const { return shape.shared_map ? 1 : shape.heads; }
  int64_t Fout() const {
    return FeatureMapOutputs(shape.config.feature_map, shape.F);
  }

  HybridAttentionInputs Inputs() {
    const int64_t H = shape.heads, D = shape.D, F = shape.F;
    HybridAttentionInputs in;
    in.q = q.View(H, kSkip);
    in.k = k.View(shape.kv_heads, kSkip);
    in.v = v.View(shape.kv_heads, kSkip);
    in.weight_q = TensorView(weight_q.values.data(), {maps(), D, F});
    in.weight_k = TensorView(weight_k.values.data(), {maps(), D, F});
    if (shape.bias) {
      in.bias_q = TensorView(bias_q.values.data(), {maps(), F});
      in.bias_k = TensorView(bias_k.values.data(), {maps(), F});
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
      for (int64_t h = 0; h < maps(); ++h) {
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
    args.maps = p.maps();
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

  void Forward() {
    for (int64_t i = 0; i < args.sequences * args.heads; ++i) {
      HybridAttentionForwardReference(args, i / args.heads, i % args.heads);
    }
  }

  std::vector<T> q, k, v, weight_q, weight_k, bias_q, bias_k, factor;
  std::vector<T> y, row_max, softmax_den, linear_den;
  HybridAttentionArgs<T> args;
};

// The reference's gradients, each [as its input] without padding columns.
template <typename T>
struct ReferenceGradients {
  // dy [rows, H, D], contiguous; or with `regress` a target, dy =
  // scale (y - target).
  ReferenceGradients(const HybridAttentionArgs<T>& args,
                     const std::vector<T>& given, bool regress = false,
                     T scale = T(0))
      : dq(args.rows * args.heads * args.D),
        dk(args.rows * args.kv_heads * args.D),
        dv(dk.size()),
        dweight_q(args.maps * args.D * args.F),
        dweight_k(dweight_q.size()),
        dbias_q(args.maps * args.F),
        dbias_k(dbias_q.size()),
        dfactor(args.heads) {
    const int64_t H = args.heads, D = args.D, F = args.F;
    std::vector<T> weight(D * F), weight2(D * F), bias(F), bias2(F);
    for (int64_t i = 0; i < args.sequences * H; ++i) {
      HybridAttentionBackwardTask<T> task;
      task.sequence = i / H;
      task.head = i % H;
      (regress ? task.target : task.dy) =
          HeadRows<const T>{given.data(), H * D, D};
      task.scale = scale;
      double error = 0;
      task.squared_error = &error;
      task.dq = {dq.data(), H * D, D};
      task.dk_row = task.dv_row = args.kv_heads * D;
      const int64_t at = args.offsets[task.sequence] * task.dk_row +
                         args.kv_head(task.head) * D;
      task.dk = dk.data() + at;
      task.dv = dv.data() + at;
      task.add_kv = task.head % (H / args.kv_heads) != 0;
      T factor = T(0);
      task.dweight_q = weight.data();
      task.dweight_k = weight2.data();
      task.dbias_q = bias.data();
      task.dbias_k = bias2.data();
      task.dwindow_factor = &factor;
      HybridAttentionBackwardReference(args, task);
      squared_error += error;
      dfactor[task.head] += factor;
      const auto add = [&](const std::vector<T>& part, std::vector<T>& total) {
        for (size_t j = 0; j < part.size(); ++j) {
          total[args.map_of(task.head) * part.size() + j] += part[j];
        }
      };
      add(weight, dweight_q);
      add(weight2, dweight_k);
      add(bias, dbias_q);
      add(bias2, dbias_k);
    }
  }

  std::vector<T> dq, dk, dv, dweight_q, dweight_k, dbias_q, dbias_k, dfactor;
  double squared_error = 0;
};

// 64-byte aligned memory for a kernel's workspace, filled with NaN.
class AlignedMemory {
 public:
  explicit AlignedMemory(size_t bytes)
      : storage_(bytes + 64, '\xff'), bytes_(bytes) {}
  Workspace workspace() {
    const uintptr_t start = reinterpret_cast<uintptr_t>(storage_.data());
    return {reinterpret_cast<void*>((start + 63) / 64 * 64), bytes_};
  }

 private:
  std::vector<char> storage_;
  size_t bytes_;
};

inline double Norm(const std::vector<double>& values) {
  double sum = 0;
  for (double v : values) sum += v * v;
  return std::sqrt(sum);
}

// Euclidean norm of the difference; infinite if it is not a number.
template <typename Got, typename Want>
double Distance(const Got& got, const Want& want) {
  if (got.size() != want.size()) return HUGE_VAL;
  double sum = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double d = static_cast<double>(got[i]) - static_cast<double>(want[i]);
    sum += d * d;
  }
  return std::isnan(sum) ? HUGE_VAL : std::sqrt(sum);
}

}  // namespace caracal::kernels::testing

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_TEST_PROBLEM_H_
