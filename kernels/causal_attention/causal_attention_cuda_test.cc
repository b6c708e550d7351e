// Causal attention on the GPU: every version against the scalar reference in
// fp64, on inputs that bf16 holds exactly.
#include "kernels/causal_attention/causal_attention_cuda.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "kernels/causal_attention/causal_attention_cuda_test_problem.h"
#include "kernels/common/cuda_testing.h"

namespace caracal::kernels::testing {
namespace {

using ::caracal::testing::DeviceArray;

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

void Check(const Problem& p, CudaVersion version) {
  const Reference expected(p, false), absolute(p, true);
  const Matrix y(p.rows, p.shape.heads * p.shape.D);
  const DeviceArray<float> lse(p.shape.heads * p.rows);
  const DeviceArray<char> memory(
      CausalAttentionForwardCudaWorkspaceBytes(p.Inputs()));
  CausalAttentionForwardCuda({}, p.Inputs(), p.Heads(y, p.shape.heads),
                             TensorView(lse.data(), {p.shape.heads, p.rows}),
                             {memory.data(), memory.size()}, version);
  const double relative = p.WeightError();
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
}  // namespace caracal::kernels::testing
