// Attention on inputs that bf16 holds exactly, and what the scalar reference
// makes of it in fp64. Included only by tests.
#ifndef CARACAL_KERNELS_CAUSAL_ATTENTION_CAUSAL_ATTENTION_CUDA_TEST_PROBLEM_H_
#define CARACAL_KERNELS_CAUSAL_ATTENTION_CAUSAL_ATTENTION_CUDA_TEST_PROBLEM_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/causal_attention/causal_attention.h"
#include "kernels/causal_attention/causal_attention_ref.h"
#include "kernels/common/cuda_testing.h"

namespace caracal::kernels::testing {

using ::caracal::testing::kBf16Rounding;
using ::caracal::testing::kUnitRoundoff;
using ::caracal::testing::Uniform;

using Matrix = ::caracal::testing::DeviceMatrix<uint16_t>;

struct Shape {
  std::vector<int64_t> queries;
  std::vector<int64_t> earlier;  // keys before them; empty: none
  int64_t heads, kv_heads, D;
  double size = 1.7;  // of q's and k's elements
};

struct Problem {
  explicit Problem(const Shape& s)
      : shape(s),
        rows(Sum(s.queries)),
        key_rows(rows + Sum(s.earlier)),
        q(rows, s.heads * s.D, Uniform(1, -s.size, s.size)),
        k(key_rows, s.kv_heads * s.D, Uniform(2, -s.size, s.size)),
        v(key_rows, s.kv_heads * s.D, Uniform(3)) {
    for (size_t i = 0; i < s.queries.size(); ++i) {
      const int64_t past = s.earlier.empty() ? 0 : s.earlier[i];
      offsets.push_back(offsets.back() + s.queries[i]);
      key_offsets.push_back(key_offsets.back() + s.queries[i] + past);
    }
  }
  static int64_t Sum(const std::vector<int64_t>& x) {
    int64_t sum = 0;
    for (int64_t n : x) sum += n;
    return sum;
  }
  TensorView Heads(const Matrix& m, int64_t heads) const {
    const TensorView all = m.View();
    TensorView view(all.data, all.dtype, {all.shape[0], heads, shape.D});
    view.stride[0] = all.stride[0];
    return view;
  }
  CausalAttentionInputs Inputs() const {
    CausalAttentionInputs in;
    in.q = Heads(q, shape.heads);
    in.k = Heads(k, shape.kv_heads);
    in.v = Heads(v, shape.kv_heads);
    in.offsets = offsets.data();
    in.key_offsets = shape.earlier.empty() ? nullptr : key_offsets.data();
    in.sequences = static_cast<int64_t>(shape.queries.size());
    return in;
  }

  // Of a weight, at most, relative to itself. A score's error: a sum of D
  // products below size^2, then the scale. Of an exponential's argument it
  // becomes relative, as do the rounding of maxima (times log2(e)) and the sums
  // over keys, in turn and by tiles.
  double WeightError() const {
    const double D = static_cast<double>(shape.D);
    const double score = shape.size * shape.size * std::sqrt(D);
    int64_t longest = 0;
    for (size_t i = 0; i + 1 < key_offsets.size(); ++i) {
      longest = std::max(longest, key_offsets[i + 1] - key_offsets[i]);
    }
    return (2 * (2 * D + 6) * score + longest / 2.0 + 16) * kUnitRoundoff;
  }

  Shape shape;
  int64_t rows, key_rows;
  Matrix q, k, v;
  std::vector<int64_t> offsets{0}, key_offsets{0};
};

struct Reference {
  // With `absolute`, of the values' absolute values.
  Reference(const Problem& p, bool absolute)
      : y(p.rows * p.shape.heads * p.shape.D), lse(p.shape.heads * p.rows) {
    const std::vector<double> q = p.q.Host(), k = p.k.Host();
    std::vector<double> v = p.v.Host();
    if (absolute) {
      for (double& x : v) x = std::abs(x);
    }
    CausalAttentionArgs<double> args;
    args.heads = p.shape.heads;
    args.kv_heads = p.shape.kv_heads;
    args.D = p.shape.D;
    args.rows = p.rows;
    args.sequences = static_cast<int64_t>(p.shape.queries.size());
    args.offsets = p.offsets.data();
    args.key_offsets = p.key_offsets.data();
    const int64_t D = p.shape.D;
    args.q = {q.data(), p.shape.heads * D, D};
    args.k = {k.data(), p.shape.kv_heads * D, D};
    args.v = {v.data(), p.shape.kv_heads * D, D};
    args.y = {y.data(), p.shape.heads * D, D};
    args.lse = lse.data();
    for (int64_t i = 0; i < args.sequences * args.heads; ++i) {
      CausalAttentionForwardReference(args, i / args.heads, i % args.heads);
    }
  }
  std::vector<double> y, lse;
};

}  // namespace caracal::kernels::testing

#endif  // CARACAL_KERNELS_CAUSAL_ATTENTION_CAUSAL_ATTENTION_CUDA_TEST_PROBLEM_H_
