// The attention-weight loss on the GPU against the scalar reference in fp64, on
// inputs that bf16 holds exactly.
//
// What is rounded to bf16, u = 2^-9 at most of itself: features, where they are
// multiplied by each other and summed, and g, the gradient of a weight, where
// it meets features. A loss is a mean of logarithms of sums of such products:
// off by 2 u a row, of either sign. A gradient is sums of g phi with g = kept /
// den - a / u_j, two terms that nearly cancel on the whole: each is off by 4 u
// of itself at most, so that of the norm of either term's sum as much is left.
#include "kernels/hybrid_attention/weight_loss_cuda.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <tuple>
#include <vector>

#include "kernels/hybrid_attention/hybrid_attention_cuda_test_problem.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_test_shapes.h"
#include "kernels/hybrid_attention/test_shapes.h"
#include "kernels/hybrid_attention/weight_loss_test_reference.h"

namespace caracal::kernels::testing {
namespace {

constexpr float kScale = 0.75f;

size_t BlockBytes() {
  int bytes = 0;
  CARACAL_CUDA_CHECK(cudaDeviceGetAttribute(
      &bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, /*device=*/0));
  return static_cast<size_t>(bytes);
}

// What the call takes. MOST_ROWS in the environment leaves the longer ones out:
// compute-sanitizer is slow.
std::vector<Shape> Shapes() {
  const char* most = std::getenv("MOST_ROWS");
  std::vector<Shape> all = CudaShapes(), shapes;
  // As many outputs as there may be, in parts; heads without linear terms have
  // none.
  for (const int64_t D : {128, 256}) {
    Shape s;
    s.lengths = {90, 70};
    s.heads = 2;
    s.kv_heads = 1;
    s.D = D;
    s.F =
        std::min<int64_t>(WeightLossCudaMostFeatures(D, BlockBytes()) / 2, 256);
    if (s.F == 0) continue;
    s.config.window = 16;
    s.config.sinks = 4;
    s.terms = {kHybridTerms, kSwaOnlyTerms};
    s.seed = D;
    all.push_back(s);
  }
  // Outputs that are no multiple of 16, odd ones, a last part of a few.
  for (const auto& [D, F, map] : {std::tuple(80, 34, FeatureMapKind::kHedgehog),
                                  {16, 33, FeatureMapKind::kHedgehogHalf},
                                  {112, 130, FeatureMapKind::kHedgehog}}) {
    Shape s;
    s.lengths = {65, 1, 20};
    s.heads = 2;
    s.kv_heads = 1;
    s.D = D;
    s.F = F;
    s.config.feature_map = map;
    s.config.window = 16;
    s.config.sinks = 2;
    s.seed = D;
    all.push_back(s);
  }
  for (Shape& s : all) {
    int64_t rows = 0;
    for (const int64_t n : s.lengths) rows += n;
    if (most != nullptr && rows > std::atoll(most)) continue;
    if (s.D % 16 == 0 && FeatureMapOutputs(s.config.feature_map, s.F) <=
                             WeightLossCudaMostFeatures(s.D, BlockBytes()))
      shapes.push_back(s);
  }
  return shapes;
}

struct Solved {
  explicit Solved(const Problem& p) : Solved(p, [](DeviceProblem&) {}) {}
  // change(at) may change the operands.
  template <typename Change>
  Solved(const Problem& p, const Change& change) : at(p) {
    change(at);
    const int64_t maps = p.maps(), D = p.shape.D, F = p.shape.F;
    grads.dweight_q = TensorView(dweight_q.data(), {maps, D, F});
    grads.dweight_k = TensorView(dweight_k.data(), {maps, D, F});
    if (p.shape.bias) {
      grads.dbias_q = TensorView(dbias_q.data(), {maps, F});
      grads.dbias_k = TensorView(dbias_k.data(), {maps, F});
    }
    grads.dwindow_factor = TensorView(dfactor.data(), {p.shape.heads});
    const size_t bytes =
        AttentionWeightLossCudaWorkspaceBytes(p.shape.config, at.in);
    const DeviceArray<char> memory(bytes);
    AttentionWeightLossBackwardCuda(DeviceContext(), p.shape.config, at.in,
                                    kScale, grads, sums.data(), sums.data() + 1,
                                    {memory.data(), memory.size()});
  }
  DeviceProblem at;
  // They are added to.
  DeviceArray<float> dweight_q = Ones(at.weight_q.size());
  DeviceArray<float> dweight_k = Ones(at.weight_k.size());
  DeviceArray<float> dbias_q = Ones(at.bias_q.size());
  DeviceArray<float> dbias_k = Ones(at.bias_k.size());
  DeviceArray<float> dfactor = Ones(at.factor.size());
  DeviceArray<double> sums{std::vector<double>{100, 200}};
  HybridAttentionGradients grads;

  static DeviceArray<float> Ones(size_t n) {
    return DeviceArray<float>(std::vector<float>(n, 1.0f));
  }
};

std::vector<float> LessOne(const DeviceArray<float>& a) {
  std::vector<float> values = a.Host();
  for (float& v : values) v -= 1;
  return values;
}

TEST(WeightLossCuda, MatchesTheReference) {
  for (const Shape& s : Shapes()) {
    SCOPED_TRACE(Describe(s));
    const Problem p = MakeProblem(s);
    const ReferenceProblem<double> exact(p);
    const WeightLossSolution want(exact.args, kScale);
    const Solved got(p);
    const std::vector<double> sums = got.sums.Host();
    const double rows = static_cast<double>(p.rows * s.heads);
    EXPECT_NEAR(sums[0] - 100, want.sums.cross_entropy,
                2 * kBf16Roundoff * rows);
    EXPECT_NEAR(sums[1] - 200, want.sums.teacher_entropy, 1e-5 * rows);
    const auto near = [&](const char* name, const DeviceArray<float>& have,
                          const std::vector<double>& exact_values,
                          double floor) {
      ExpectClose(name, LessOne(have), exact_values, 8, 1e-4, floor);
    };
    // Sums of as many numbers of either sign, each off by u of itself.
    const double floor = kScale * kBf16Roundoff * std::sqrt(rows);
    near("dweight_q", got.dweight_q, want.dweight_q, floor);
    near("dweight_k", got.dweight_k, want.dweight_k, floor);
    if (s.bias) {
      near("dbias_q", got.dbias_q, want.dbias_q, floor);
      near("dbias_k", got.dbias_k, want.dbias_k, floor);
    }
    near("dwindow_factor", got.dfactor, want.dfactor, floor);
  }
}

// Whatever floors and maxima a weight that is not finite meets: the loss and
// the gradients tell.
TEST(WeightLossCuda, WhatIsNotFiniteShows) {
  const auto any_bad = [](const DeviceArray<float>& values) {
    const std::vector<float> host = values.Host();
    return std::any_of(host.begin(), host.end(),
                       [](float x) { return !std::isfinite(x); });
  };
  for (const int terms : {kLaOnlyTerms, kHybridTerms}) {
    for (const int64_t rows : {40, 128}) {
      Shape s;
      s.lengths = {rows};
      s.heads = 2;
      s.kv_heads = 1;
      s.D = 64;
      s.F = 64;
      s.config.window = 16;
      s.terms = {terms, terms};
      const Problem p = MakeProblem(s);
      for (const float bad : {INFINITY, -INFINITY, NAN}) {
        for (const bool keys : {false, true}) {
          SCOPED_TRACE(Describe(s) + ", " + std::to_string(bad) +
                       (keys ? " of keys" : " of queries"));
          DeviceArray<float> weights(0);
          const Solved got(p, [&](DeviceProblem& at) {
            std::vector<float> values =
                (keys ? at.weight_k : at.weight_q).Host();
            values[17] = bad;
            weights = DeviceArray<float>(values);
            (keys ? at.in.weight_k : at.in.weight_q) =
                TensorView(weights.data(), {p.maps(), s.D, s.F});
          });
          EXPECT_FALSE(std::isfinite(got.sums.Host()[0]));
          EXPECT_TRUE(any_bad(got.dweight_q));
          EXPECT_TRUE(any_bad(got.dweight_k));
        }
      }
    }
  }
}

TEST(WeightLossCuda, SameInputsSameBits) {
  const Problem p = MakeProblem(Shapes().back());
  const Solved one(p), other(p);
  EXPECT_EQ(one.sums.Host(), other.sums.Host());
  EXPECT_EQ(one.dweight_q.Host(), other.dweight_q.Host());
  EXPECT_EQ(one.dweight_k.Host(), other.dweight_k.Host());
  EXPECT_EQ(one.dfactor.Host(), other.dfactor.Host());
}

}  // namespace
}  // namespace caracal::kernels::testing
