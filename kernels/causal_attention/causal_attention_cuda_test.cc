// Causal attention on the GPU: every version against the scalar reference in
// fp64, on inputs that bf16 holds exactly.
#include "kernels/causal_attention/causal_attention_cuda.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "kernels/causal_attention/causal_attention_ref.h"
#include "kernels/common/cuda_testing.h"

namespace caracal::kernels {
namespace {

using testing::DeviceArray;
using testing::DeviceMatrix;
using testing::kBf16Rounding;
using testing::kUnitRoundoff;
using testing::Uniform;

using Matrix = DeviceMatrix<uint16_t>;

struct Shape {
  std::vector<int64_t> queries;
  std::vector<int64_t> earlier;  // keys before them; empty: none
  int64_t heads, kv_heads, D;
  double size = 1.7;  // of q's and k's elements
};

// Odd lengths around the borders of tiles and blocks, caches of earlier keys
// that shift the diagonal, GQA, head dimensions with and without padding, one
// row, empty sequences, and scores so large that few keys count.
const std::vector<Shape>& Shapes() {
  static const auto* const shapes = new std::vector<Shape>{
      {{1}, {}, 1, 1, 64},
      {{2, 63, 64, 65}, {}, 3, 1, 64},
      {{127, 128, 129}, {}, 2, 2, 128},
      {{200, 0, 31}, {}, 9, 3, 64},
      {{300}, {}, 4, 1, 128},
      {{300}, {}, 2, 1, 96},
      {{150}, {}, 2, 2, 8},
      {{140}, {}, 2, 1, 72},
      {{130}, {}, 2, 1, 256},
      {{90}, {}, 2, 1, 136},
      {{1, 1}, {500, 127}, 8, 2, 128},
      {{100, 200, 64}, {60, 100, 128}, 4, 2, 128},
      {{129, 5}, {1, 300}, 2, 1, 64},
      {{400}, {}, 2, 1, 128, 12.0},
      {{640, 1, 513}, {}, 40, 8, 64},
      {{1500}, {}, 2, 1, 128},
      {{2049}, {}, 1, 1, 64},
  };
  return *shapes;
}

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

void Check(const Problem& p, CudaVersion version) {
  const Reference expected(p, false), absolute(p, true);
  const Matrix y(p.rows, p.shape.heads * p.shape.D);
  const DeviceArray<float> lse(p.shape.heads * p.rows);
  const DeviceArray<char> memory(
      CausalAttentionForwardCudaWorkspaceBytes(p.Inputs()));
  CausalAttentionForwardCuda({}, p.Inputs(), p.Heads(y, p.shape.heads),
                             TensorView(lse.data(), {p.shape.heads, p.rows}),
                             {memory.data(), memory.size()}, version);
  // A score's error: a sum of D products below size^2, then the scale. Of an
  // exponential's argument it becomes relative, as do the rounding of maxima
  // (times log2(e)) and the sums over keys, in turn and by tiles.
  const double D = static_cast<double>(p.shape.D);
  const double score = p.shape.size * p.shape.size * std::sqrt(D);
  int64_t longest = 0;
  for (size_t i = 0; i + 1 < p.key_offsets.size(); ++i) {
    longest = std::max(longest, p.key_offsets[i + 1] - p.key_offsets[i]);
  }
  const double relative =
      (2 * (2 * D + 6) * score + longest / 2.0 + 16) * kUnitRoundoff;
  const std::vector<double> got = y.Host();
  for (size_t i = 0; i < got.size(); ++i) {
    // Weights are rounded to bf16, and y is.
    ASSERT_NEAR(got[i], expected.y[i],
                kBf16Rounding * (std::abs(expected.y[i]) + absolute.y[i]) +
                    2 * relative * absolute.y[i])
        << "at " << i;
  }
  const std::vector<float> got_lse = lse.Host();
  for (size_t i = 0; i < got_lse.size(); ++i) {
    ASSERT_NEAR(got_lse[i], expected.lse[i],
                relative + 4 * kUnitRoundoff * std::abs(expected.lse[i]))
        << "row " << i;
  }
  EXPECT_TRUE(y.GapsIntact());
}

// MOST_ROWS in the environment leaves the longer cases out: compute-sanitizer
// is slow.
void CheckAll(CudaVersion version) {
  const char* most = std::getenv("MOST_ROWS");
  for (size_t i = 0; i < Shapes().size(); ++i) {
    const Problem p(Shapes()[i]);
    if (most != nullptr && p.key_rows > std::atoll(most)) continue;
    SCOPED_TRACE("shape " + std::to_string(i));
    Check(p, version);
  }
}

TEST(CausalAttentionCuda, BestMatchesDouble) { CheckAll(CudaVersion::kBest); }

TEST(CausalAttentionCuda, PlainMatchesDouble) { CheckAll(CudaVersion::kPlain); }

TEST(CausalAttentionCuda, SameBitsWithoutStatistics) {
  const Problem p({{700, 3, 130}, {}, 40, 8, 128});
  std::vector<uint16_t> bits[3];
  for (int i = 0; i < 3; ++i) {
    const Matrix y(p.rows, p.shape.heads * p.shape.D);
    const DeviceArray<char> memory(
        CausalAttentionForwardCudaWorkspaceBytes(p.Inputs()));
    CausalAttentionForwardCuda({}, p.Inputs(), p.Heads(y, p.shape.heads), {},
                               {memory.data(), memory.size()});
    bits[i] = y.Bits();
  }
  EXPECT_EQ(bits[1], bits[0]);
  EXPECT_EQ(bits[2], bits[0]);
}

}  // namespace
}  // namespace caracal::kernels
