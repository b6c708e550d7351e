// Hybrid attention on the GPU: every version against the scalar reference in
// fp64, on inputs that bf16 holds exactly.
#include "kernels/hybrid_attention/hybrid_attention_cuda.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "kernels/common/cuda_testing.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_test_problem.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_test_shapes.h"
#include "kernels/hybrid_attention/test_problem.h"
#include "kernels/hybrid_attention/test_shapes.h"

namespace caracal::kernels::testing {
namespace {

// A problem with what the reference makes of it.
struct Case {
  explicit Case(const Shape& shape) : problem(MakeProblem(shape)) {}

  void Solve() {
    forward = std::make_unique<ReferenceProblem<double>>(problem);
    forward->Forward();
    const std::vector<float> dy = problem.dy.Dense(kSkip);
    const std::vector<double> given(dy.begin(), dy.end());
    gradients =
        std::make_unique<ReferenceGradients<double>>(forward->args, given);
    regression = std::make_unique<ReferenceGradients<double>>(
        forward->args, given, /*regress=*/true, /*scale=*/0.75);
  }

  Problem problem;
  std::unique_ptr<ReferenceProblem<double>> forward;
  std::unique_ptr<ReferenceGradients<double>> gradients, regression;
};

// Solved once, on all processors. MOST_ROWS in the environment leaves the
// longer cases out, but for the shortest that are cut: compute-sanitizer is
// slow.
const std::vector<std::unique_ptr<Case>>& Cases() {
  static const auto* const cases = [] {
    auto* all = new std::vector<std::unique_ptr<Case>>;
    const char* most = std::getenv("MOST_ROWS");
    for (const Shape& s : CudaShapes()) {
      int64_t rows = 0;
      for (int64_t n : s.lengths) rows += n;
      if (most != nullptr && rows > std::atoll(most) && rows != kShortestCut) {
        continue;
      }
      all->push_back(std::make_unique<Case>(s));
    }
    // The longest first.
    std::vector<Case*> order;
    for (auto it = all->rbegin(); it != all->rend(); ++it) {
      order.push_back(it->get());
    }
    std::atomic<size_t> next{0};
    std::vector<std::thread> threads;
    const unsigned processors =
        std::max(1u, std::thread::hardware_concurrency());
    for (unsigned i = 0; i < processors; ++i) {
      threads.emplace_back([&] {
        for (size_t i; (i = next++) < order.size();) order[i]->Solve();
      });
    }
    for (std::thread& t : threads) t.join();
    return all;
  }();
  return *cases;
}

struct Versions {
  CudaVersion version;
  const char* name;
};
constexpr Versions kVersions[] = {{CudaVersion::kPlain, "plain"},
                                  {CudaVersion::kBest, "best"}};

void Synchronize() { CARACAL_CUDA_CHECK(cudaDeviceSynchronize()); }

TEST(HybridAttentionCuda, ForwardMatchesTheReference) {
  for (const auto& c : Cases()) {
    const Problem& p = c->problem;
    const Shape& s = p.shape;
    DeviceProblem device(p);
    for (const Versions& v : kVersions) {
      SCOPED_TRACE(Describe(s) + " " + v.name);
      Bf16Rows y(p.rows, s.heads, s.D);
      const int64_t n = s.heads * p.rows;
      DeviceArray<float> row_max(n), softmax_den(n), linear_den(n);
      HybridAttentionOutputs out;
      out.y = y.View();
      out.row_max = TensorView(row_max.data(), {s.heads, p.rows});
      out.softmax_den = TensorView(softmax_den.data(), {s.heads, p.rows});
      out.linear_den = TensorView(linear_den.data(), {s.heads, p.rows});
      DeviceArray<char> workspace(HybridAttentionForwardCudaWorkspaceBytes(
          s.config, device.in, v.version));
      HybridAttentionForwardCuda(DeviceContext(), s.config, device.in, nullptr,
                                 out, {workspace.data(), workspace.size()},
                                 v.version);
      Synchronize();
      // Rounded: features of query and key, state, weights, y; one more for
      // what the fp32 bound leaves out (fast exponentials).
      const double fp32 = 2 * p.ErrorBound();
      ExpectClose("y", y.Dense(), c->forward->y, 6, fp32, 0);
      EXPECT_TRUE(y.GapsIntact());
      ExpectClose("row_max", row_max.Host(), c->forward->row_max, 0, fp32, 0);
      ExpectClose("softmax_den", softmax_den.Host(), c->forward->softmax_den, 1,
                  fp32, 0);
      ExpectClose("linear_den", linear_den.Host(), c->forward->linear_den, 3,
                  fp32, 0);
    }
  }
}

// What to ask of a backward call, and what it left.
struct Backward {
  bool rows = true, weights = true;  // dq, dk, dv; the parameters
  bool regress = false;              // dy is a target
  float scale = 0;
  float initial = 0;   // parameters' gradients before the call
  bool saved = false;  // with what a forward left
  // And its states at the borders of segments; zeros in their place.
  bool borders = false, wipe_borders = false;

  std::vector<float> dq, dk, dv;
  std::vector<float> dweight_q, dweight_k, dbias_q, dbias_k, dfactor;
  double squared_error = 0;
  bool gaps_intact = true;
  std::vector<float> left;  // at the borders

  void Call(const Problem& p, DeviceProblem& device, CudaVersion version) {
    const Shape& s = p.shape;
    HybridAttentionGradients grads;
    Bf16Rows q_rows, k_rows, v_rows;
    if (rows) {
      q_rows = Bf16Rows(p.rows, s.heads, s.D);
      k_rows = Bf16Rows(p.rows, s.kv_heads, s.D);
      v_rows = Bf16Rows(p.rows, s.kv_heads, s.D);
      grads.dq = q_rows.View();
      grads.dk = k_rows.View();
      grads.dv = v_rows.View();
    }
    const int64_t H = s.heads, maps = p.maps(), size = maps * s.D * s.F;
    const auto filled = [&](int64_t n) {
      return DeviceArray<float>(std::vector<float>(n, initial));
    };
    DeviceArray<float> wq = filled(size), wk = filled(size);
    DeviceArray<float> bq = filled(maps * s.F), bk = filled(maps * s.F);
    DeviceArray<float> factor = filled(H);
    DeviceArray<double> error(std::vector<double>{squared_error});
    if (weights) {
      grads.dweight_q = TensorView(wq.data(), {maps, s.D, s.F});
      grads.dweight_k = TensorView(wk.data(), {maps, s.D, s.F});
      if (s.bias) {
        grads.dbias_q = TensorView(bq.data(), {maps, s.F});
        grads.dbias_k = TensorView(bk.data(), {maps, s.F});
      }
      grads.dwindow_factor = TensorView(factor.data(), {H});
    }
    HybridAttentionCotangent cotangent;
    (regress ? cotangent.target : cotangent.dy) = device.dy.View();
    cotangent.scale = scale;
    cotangent.squared_error = regress ? error.data() : nullptr;
    Bf16Rows y;
    DeviceArray<float> dens[2], states;
    HybridAttentionSaved kept;
    if (saved) {
      kept.borders = HybridAttentionBordersCuda(s.config, device.in, version);
      states = DeviceArray<float>(kept.borders.bytes / sizeof(float));
      if (borders && states.size() > 0) kept.borders.memory = states.data();
      y = Bf16Rows(p.rows, s.heads, s.D);
      HybridAttentionOutputs out;
      for (DeviceArray<float>& den : dens) den = DeviceArray<float>(H * p.rows);
      out.y = y.View();
      out.softmax_den = TensorView(dens[0].data(), {H, p.rows});
      out.linear_den = TensorView(dens[1].data(), {H, p.rows});
      DeviceArray<char> memory(HybridAttentionForwardCudaWorkspaceBytes(
          s.config, device.in, version));
      HybridAttentionForwardCuda(DeviceContext(), s.config, device.in, nullptr,
                                 out, {memory.data(), memory.size()}, version,
                                 kept.borders);
      Synchronize();
      kept.y = out.y;
      kept.softmax_den = out.softmax_den;
      kept.linear_den = out.linear_den;
      left = states.Host();
      if (wipe_borders) {
        states = DeviceArray<float>(std::vector<float>(states.size()));
        if (borders && states.size() > 0) kept.borders.memory = states.data();
      }
    }
    DeviceArray<char> workspace(HybridAttentionBackwardCudaWorkspaceBytes(
        s.config, device.in, cotangent, grads, version));
    HybridAttentionBackwardCuda(DeviceContext(), s.config, device.in, cotangent,
                                grads, {workspace.data(), workspace.size()},
                                version, saved ? &kept : nullptr);
    Synchronize();
    if (rows) {
      dq = q_rows.Dense();
      dk = k_rows.Dense();
      dv = v_rows.Dense();
      gaps_intact =
          q_rows.GapsIntact() && k_rows.GapsIntact() && v_rows.GapsIntact();
    }
    if (weights) {
      dweight_q = wq.Host();
      dweight_k = wk.Host();
      dbias_q = bq.Host();
      dbias_k = bk.Host();
      dfactor = factor.Host();
    }
    squared_error = error.Host()[0];
  }
};

// Roundings on the way to a gradient: features of query and key, both states,
// dy made from a target or y saved by a forward, weights or their gradients,
// dz, the result. Twice each: what moves y moves g as well, by as much; the
// others leave room for the heads' parts of dk and dv where they share keys.
constexpr double kGradientRoundings = 2 * 8;

// The floor stays when g = (dy.v - dy.y) / den cancels: a rounding of numbers
// of the size of dy.v (D / 3 for uniform numbers, as its square root), times q
// or k, at each element.
void ExpectGradients(const Problem& p, const Backward& got,
                     const ReferenceGradients<double>& want) {
  const Shape& s = p.shape;
  const double floor =
      kBf16Roundoff * std::sqrt(s.score_size * p.rows * s.heads);
  const double fp32 = p.ErrorBound();
  const auto expect = [&](const char* name, const std::vector<float>& values,
                          const std::vector<double>& expected) {
    ExpectClose(name, values, expected, kGradientRoundings, fp32, floor);
  };
  if (got.rows) {
    expect("dq", got.dq, want.dq);
    expect("dk", got.dk, want.dk);
    expect("dv", got.dv, want.dv);
    EXPECT_TRUE(got.gaps_intact);
  }
  if (got.weights) {
    expect("dweight_q", got.dweight_q, want.dweight_q);
    expect("dweight_k", got.dweight_k, want.dweight_k);
    expect("dwindow_factor", got.dfactor, want.dfactor);
    if (s.bias) {
      expect("dbias_q", got.dbias_q, want.dbias_q);
      expect("dbias_k", got.dbias_k, want.dbias_k);
    }
  }
}

TEST(HybridAttentionCuda, BackwardMatchesTheReference) {
  for (const auto& c : Cases()) {
    DeviceProblem device(c->problem);
    for (const Versions& v : kVersions) {
      for (bool saved : {false, true}) {
        SCOPED_TRACE(Describe(c->problem.shape) + " " + v.name +
                     (saved ? ", saved" : ""));
        Backward got;
        got.saved = got.borders = saved;
        got.Call(c->problem, device, v.version);
        ExpectGradients(c->problem, got, *c->gradients);
      }
    }
  }
}

void ExpectSameBits(const Backward& a, const Backward& b) {
  EXPECT_EQ(a.dq, b.dq);
  EXPECT_EQ(a.dk, b.dk);
  EXPECT_EQ(a.dv, b.dv);
  EXPECT_EQ(a.dweight_q, b.dweight_q);
  EXPECT_EQ(a.dweight_k, b.dweight_k);
  EXPECT_EQ(a.dfactor, b.dfactor);
}

// A forward's states at the borders of segments are those that a backward would
// form; and it reads them.
TEST(HybridAttentionCuda, BackwardTakesWhatAForwardLeftAtBorders) {
  int cut = 0;
  for (const auto& c : Cases()) {
    DeviceProblem device(c->problem);
    SCOPED_TRACE(Describe(c->problem.shape));
    Backward kept, formed, wiped;
    kept.saved = formed.saved = wiped.saved = true;
    kept.borders = wiped.borders = wiped.wipe_borders = true;
    kept.Call(c->problem, device, CudaVersion::kBest);
    if (kept.left.empty()) continue;
    formed.Call(c->problem, device, CudaVersion::kBest);
    ExpectSameBits(kept, formed);
    // Heads without linear terms leave nothing, and windows that reach back to
    // the beginning zeros.
    const bool matter =
        std::any_of(kept.left.begin(), kept.left.end(),
                    [](float x) { return std::isfinite(x) && x != 0; });
    if (!matter) continue;
    ++cut;
    wiped.Call(c->problem, device, CudaVersion::kBest);
    EXPECT_NE(kept.dq, wiped.dq);
    EXPECT_NE(kept.dweight_q, wiped.dweight_q);
  }
  int major = 0;
  CARACAL_CUDA_CHECK(cudaDeviceGetAttribute(
      &major, cudaDevAttrComputeCapabilityMajor, /*device=*/0));
  if (major == 9) {
    EXPECT_GT(cut, 0);
  }
}

// Too long for the reference: segments of many tiles. The plain version
// computes in fp32 and rounds nothing but the result: one rounding more. No
// floor: y, an average over many keys, is small beside v, so that g does not
// cancel.
TEST(HybridAttentionCuda, LongSegmentsAgreeWithThePlainVersion) {
  if (std::getenv("MOST_ROWS") != nullptr) GTEST_SKIP() << "too slow";
  Shape few, many;
  few.lengths = {2100};
  few.heads = 32;
  few.kv_heads = 8;
  few.D = 128;
  many.lengths = {12500};
  many.heads = 8;
  many.kv_heads = 8;
  many.D = 64;
  for (Shape* s : {&few, &many}) {
    s->F = 64;
    s->config.window = 64;
    SCOPED_TRACE(Describe(*s));
    const Problem p = MakeProblem(*s);
    DeviceProblem device(p);
    Backward plain, best;
    plain.Call(p, device, CudaVersion::kPlain);
    best.saved = best.borders = true;
    best.Call(p, device, CudaVersion::kBest);
    const double fp32 = 2 * p.ErrorBound();  // of both versions
    const auto expect = [&](const char* name, const std::vector<float>& got,
                            const std::vector<float>& want) {
      const std::vector<double> wide(want.begin(), want.end());
      ExpectClose(name, got, wide, kGradientRoundings + 1, fp32, /*floor=*/0);
    };
    expect("dq", best.dq, plain.dq);
    expect("dk", best.dk, plain.dk);
    expect("dv", best.dv, plain.dv);
    expect("dweight_q", best.dweight_q, plain.dweight_q);
    expect("dweight_k", best.dweight_k, plain.dweight_k);
  }
}

// Transfer: a target instead of dy, and no dq, dk, dv.
TEST(HybridAttentionCuda, TargetIsForwardPlusItsGradient) {
  for (const auto& c : Cases()) {
    DeviceProblem device(c->problem);
    for (const Versions& v : kVersions) {
      for (bool rows : {false, true}) {
        SCOPED_TRACE(Describe(c->problem.shape) + " " + v.name);
        Backward got;
        got.rows = rows;
        got.regress = true;
        got.scale = 0.75;
        got.squared_error = 1000;  // is added to
        got.Call(c->problem, device, v.version);
        ExpectGradients(c->problem, got, *c->regression);
        const double want = c->regression->squared_error;
        EXPECT_NEAR(got.squared_error - 1000, want,
                    8 * kBf16Roundoff * (1 + want));
      }
    }
  }
}

TEST(HybridAttentionCuda, ParametersAccumulateAndRowsAreOptional) {
  for (const auto& c : Cases()) {
    if (c->problem.rows > 300) continue;
    DeviceProblem device(c->problem);
    for (const Versions& v : kVersions) {
      SCOPED_TRACE(Describe(c->problem.shape) + " " + v.name);
      Backward all, weights, rows;
      all.Call(c->problem, device, v.version);
      weights.rows = false;
      weights.initial = 3;
      weights.Call(c->problem, device, v.version);
      rows.weights = false;
      rows.Call(c->problem, device, v.version);
      EXPECT_EQ(all.dq, rows.dq);
      EXPECT_EQ(all.dk, rows.dk);
      EXPECT_EQ(all.dv, rows.dv);
      const auto expect = [](std::vector<float> a,
                             const std::vector<float>& b) {
        const double norm = Norm(std::vector<double>(a.begin(), a.end()));
        for (float& v : a) v += 3;
        // Sums of a few parts, in another order.
        EXPECT_LE(Distance(a, b),
                  8 * kUnitRoundoff * (3 * std::sqrt(a.size()) + norm + 1));
      };
      expect(all.dweight_q, weights.dweight_q);
      expect(all.dweight_k, weights.dweight_k);
      expect(all.dfactor, weights.dfactor);
    }
  }
}

// Terms that are on the device already: the same bits; and where heads might
// have more kinds of terms than they have, the same numbers.
TEST(HybridAttentionCuda, TakesTermsThatAreThere) {
  for (const auto& c : Cases()) {
    const Problem& p = c->problem;
    DeviceProblem device(p);
    const DeviceArray<uint8_t> there(p.terms);
    // Of no account.
    const std::vector<uint8_t> others(p.terms.size(), kNoTerms);
    for (const Versions& v : kVersions) {
      SCOPED_TRACE(Describe(p.shape) + " " + v.name);
      Backward uploaded, placed, wide;
      uploaded.saved = placed.saved = wide.saved = true;
      device.in.terms = p.terms.data();
      device.in.device_terms = nullptr;
      uploaded.Call(p, device, v.version);
      device.in.terms = others.data();
      device.in.device_terms = there.data();
      device.in.term_kinds = 0;
      for (const uint8_t terms : p.terms) {
        device.in.term_kinds |= uint32_t{1} << terms;
      }
      placed.Call(p, device, v.version);
      ExpectSameBits(uploaded, placed);
      for (const uint8_t terms : TermSets()) {
        device.in.term_kinds |= uint32_t{1} << terms;
      }
      wide.Call(p, device, v.version);
      ExpectGradients(p, wide, *c->gradients);
      wide = Backward();
      wide.regress = true;
      wide.scale = 0.75;
      wide.Call(p, device, v.version);
      ExpectGradients(p, wide, *c->regression);
    }
  }
}

// An infinite or undefined weight makes features that are not numbers, whatever
// floors and maxima they meet: the error and the gradients tell, of sequences
// that fill their tiles, too.
TEST(HybridAttentionCuda, WhatIsNotFiniteShows) {
  const auto any_bad = [](const std::vector<float>& values) {
    return std::any_of(values.begin(), values.end(),
                       [](float x) { return !std::isfinite(x); });
  };
  for (const auto& [D, F] : {std::pair(64, 64), {128, 64}, {64, 48}}) {
    for (const int64_t rows : {128, 200}) {
      Shape s;
      s.lengths = {rows};
      s.heads = 2;
      s.kv_heads = 1;
      s.D = D;
      s.F = F;
      s.config.window = 64;
      const Problem p = MakeProblem(s);
      for (const float bad : {INFINITY, -INFINITY, NAN}) {
        for (const bool keys : {false, true}) {
          DeviceProblem device(p);
          std::vector<float> values =
              (keys ? device.weight_k : device.weight_q).Host();
          values[17] = bad;
          const DeviceArray<float> weights(values);
          (keys ? device.in.weight_k : device.in.weight_q) =
              TensorView(weights.data(), {p.maps(), s.D, s.F});
          for (const Versions& v : kVersions) {
            SCOPED_TRACE(Describe(s) + " " + v.name + ", " +
                         std::to_string(bad) +
                         (keys ? " of keys" : " of queries"));
            Backward given, regression;
            given.Call(p, device, v.version);
            EXPECT_TRUE(any_bad(given.dq));
            EXPECT_TRUE(any_bad(given.dk));
            EXPECT_TRUE(any_bad(given.dweight_q));
            EXPECT_TRUE(any_bad(given.dweight_k));
            regression.rows = false;
            regression.regress = true;
            regression.scale = 0.75;
            regression.Call(p, device, v.version);
            EXPECT_FALSE(std::isfinite(regression.squared_error));
            EXPECT_TRUE(any_bad(regression.dweight_q));
            EXPECT_TRUE(any_bad(regression.dweight_k));
          }
        }
      }
    }
  }
}

// The same call twice: the same bits.
TEST(HybridAttentionCuda, IsRepeatable) {
  for (const auto& c : Cases()) {
    DeviceProblem device(c->problem);
    for (const Versions& v : kVersions) {
      SCOPED_TRACE(Describe(c->problem.shape) + " " + v.name);
      Backward first, second;
      first.Call(c->problem, device, v.version);
      second.Call(c->problem, device, v.version);
      ExpectSameBits(first, second);
    }
  }
}

}  // namespace
}  // namespace caracal::kernels::testing
