// Decoding full attention on the GPU against the scalar reference in fp64, on
// inputs that bf16 holds exactly.
#include "kernels/causal_attention/causal_attention_decode_cuda.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "kernels/causal_attention/causal_attention_cuda_test_problem.h"
#include "kernels/common/cuda_testing.h"
#include "kernels/rope/rope_cuda.h"

namespace caracal::kernels::testing {
namespace {

using ::caracal::testing::DeviceArray;
using ::caracal::testing::RandomVector;

using Bits = std::vector<uint16_t>;

constexpr int64_t kSpare = 3;  // rows of the cache behind the longest text

// Keys or values as the cache has them: of each sequence those before
// `length[i]`, NaN behind them.
Bits Cached(const Problem& p, const std::vector<double>& rows,
            const std::vector<int32_t>& length, int64_t capacity) {
  const int64_t width = p.shape.kv_heads * p.shape.D;
  Bits out(length.size() * capacity * width, 0xffff);
  for (size_t i = 0; i < length.size(); ++i) {
    for (int64_t e = 0; e < length[i] * width; ++e) {
      out[i * capacity * width + e] =
          Bf16FromFloat(static_cast<float>(rows[p.key_offsets[i] * width + e]));
    }
  }
  return out;
}

// The problem's sequences of one query each, whose other keys are the past.
struct Decoding {
  explicit Decoding(const Problem& problem) : p(problem) {
    for (int64_t n : p.shape.earlier) {
      lengths.push_back(static_cast<int32_t>(n));
      capacity = std::max(capacity, n + kSpare);
    }
    length = DeviceArray<int32_t>(lengths);
    keys = DeviceArray<uint16_t>(Cached(p, p.k.Host(), lengths, capacity));
    values = DeviceArray<uint16_t>(Cached(p, p.v.Host(), lengths, capacity));
  }

  // A row of each sequence: the keys' last.
  Matrix Newest(const Matrix& all) const {
    const int64_t width = p.shape.kv_heads * p.shape.D;
    const std::vector<double> rows = all.Host();
    std::vector<double> last;
    for (size_t i = 0; i < lengths.size(); ++i) {
      const auto at = rows.begin() + (p.key_offsets[i + 1] - 1) * width;
      last.insert(last.end(), at, at + width);
    }
    Matrix out(static_cast<int64_t>(lengths.size()), width);
    out.Set(last);
    return out;
  }

  Matrix Run(const Matrix& q, const Matrix& k, const Matrix& v,
             ConstTensorView cos = {}, ConstTensorView sin = {}) {
    const Shape& s = p.shape;
    Matrix y(p.rows, s.heads * s.D);
    CausalAttentionDecodeInputs in;
    in.q = p.Heads(q, s.heads);
    in.k = p.Heads(k, s.kv_heads);
    in.v = p.Heads(v, s.kv_heads);
    in.cos = cos;
    in.sin = sin;
    CausalAttentionDecodeCache cache;
    cache.length = length.data();
    const auto rows = [&](const DeviceArray<uint16_t>& of) {
      return TensorView(of.data(), DType::kBF16,
                        {p.rows, capacity, s.kv_heads, s.D});
    };
    cache.keys = rows(keys);
    cache.values = rows(values);
    const DeviceArray<char> memory(CausalAttentionDecodeCudaWorkspaceBytes(in));
    CausalAttentionDecodeCuda({}, in, cache, p.Heads(y, s.heads),
                              {memory.data(), memory.size()});
    return y;
  }

  const Problem& p;
  std::vector<int32_t> lengths;
  int64_t capacity = 0;
  DeviceArray<int32_t> length;
  DeviceArray<uint16_t> keys, values;
};

Shape Past(std::vector<int64_t> earlier, int64_t heads, int64_t kv_heads,
           int64_t D, double size = 1.7) {
  return {std::vector<int64_t>(earlier.size(), 1),
          earlier,
          heads,
          kv_heads,
          D,
          size};
}

// First tokens, borders of parts, groups of up to nine query heads, head
// dimensions with and without padding, lengths apart, more sequences than fill
// the chip, and scores so large that few keys count.
std::vector<Shape> Shapes() {
  return {Past({0}, 1, 1, 64),
          Past({0, 1, 63, 64, 65}, 3, 1, 64),
          Past({127, 4000, 0}, 4, 1, 128),
          Past({300, 299}, 9, 3, 64),
          Past({513}, 32, 8, 128),
          Past({500, 127}, 9, 1, 64),
          Past({200}, 5, 1, 96),
          Past({150}, 2, 2, 8),
          Past({140}, 6, 3, 72),
          Past({130, 9000}, 2, 1, 256),
          Past({400}, 2, 1, 128, 12.0),
          Past(std::vector<int64_t>(300, 70), 4, 2, 64)};
}

TEST(CausalAttentionDecodeCuda, MatchesDouble) {
  const char* most = std::getenv("MOST_ROWS");
  for (const Shape& shape : Shapes()) {
    const Problem p(shape);
    if (most != nullptr && p.key_rows > std::atoll(most)) continue;
    SCOPED_TRACE(::testing::Message()
                 << shape.earlier.size() << " sequences, " << shape.earlier[0]
                 << " keys, H " << shape.heads << "/" << shape.kv_heads << " D "
                 << shape.D);
    const Reference expected(p, false), absolute(p, true);
    Decoding decoding(p);
    const Matrix k = decoding.Newest(p.k), v = decoding.Newest(p.v);
    const Matrix y = decoding.Run(p.q, k, v);
    const std::vector<double> got = y.Host();
    for (size_t i = 0; i < got.size(); ++i) {
      // Only y is rounded.
      ASSERT_NEAR(got[i], expected.y[i],
                  kBf16Rounding * std::abs(expected.y[i]) +
                      2 * p.WeightError() * absolute.y[i])
          << "at " << i;
    }
    EXPECT_TRUE(y.GapsIntact());
    // The tokens are in the cache, and nothing else has changed.
    std::vector<int32_t> after = decoding.lengths;
    for (int32_t& n : after) ++n;
    EXPECT_EQ(decoding.keys.Host(),
              Cached(p, p.k.Host(), after, decoding.capacity));
    EXPECT_EQ(decoding.values.Host(),
              Cached(p, p.v.Host(), after, decoding.capacity));
    if (::testing::Test::HasFatalFailure()) return;
  }
}

// The same bits as rotating first, and in the cache the rotated key.
TEST(CausalAttentionDecodeCuda, RotatesQueriesAndKeys) {
  const Problem p(Past({37, 140}, 4, 2, 64));
  const int64_t positions = 141, half = p.shape.D / 2;
  const DeviceArray<float> cos(
      RandomVector(positions * half, Uniform(7, -1, 1)));
  const DeviceArray<float> sin(
      RandomVector(positions * half, Uniform(8, -1, 1)));
  const ConstTensorView c = TensorView(cos.data(), {positions, half});
  const ConstTensorView s = TensorView(sin.data(), {positions, half});
  Decoding here(p), before(p);
  const Matrix k = here.Newest(p.k), v = here.Newest(p.v);
  const Matrix y = here.Run(p.q, k, v, c, s);
  const TensorView at(before.length.data(), {p.rows});
  RopeCuda({}, p.Heads(p.q, p.shape.heads), at, c, s, false);
  RopeCuda({}, p.Heads(k, p.shape.kv_heads), at, c, s, false);
  const Matrix want = before.Run(p.q, k, v);
  EXPECT_EQ(y.Bits(), want.Bits());
  EXPECT_EQ(here.keys.Host(), before.keys.Host());
}

TEST(CausalAttentionDecodeCuda, SameBitsTwice) {
  const Problem p(Past({3000, 17}, 8, 2, 128));
  Decoding a(p), b(p);
  const Matrix k = a.Newest(p.k), v = a.Newest(p.v);
  EXPECT_EQ(a.Run(p.q, k, v).Bits(), b.Run(p.q, k, v).Bits());
}

}  // namespace
}  // namespace caracal::kernels::testing
