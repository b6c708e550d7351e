#include "kernels/adamw/adamw.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/adamw/adamw_ref.h"
#include "kernels/common/kernel_testing.h"

namespace caracal::kernels {
namespace {

using testing::AvailableIsas;
using testing::kUnitRoundoff;
using testing::PoolContext;
using testing::ScopedIsa;
using testing::TestMatrix;
using testing::Uniform;

// Parameters, first and second moments after steps 1, 2 and 3, printed by
// torch 2.15.0:
//     import torch
//     p = torch.tensor([.5, -1.25, 3, 1e-3, 0, -.75, 2, -4,
//     .125]).requires_grad_() o = torch.optim.AdamW([p], lr=1e-2,
//     weight_decay=.1, foreach=False) for t in range(1, 4):
//         p.grad = ((torch.arange(9) * 7 + t * 5) % 11 - 5) / 8
//         o.step()
//         s = o.state[p]
//         for x in (p, s["exp_avg"], s["exp_avg_sq"]):
//             print(", ".join(v.hex() for v in x.detach().double().tolist()))
constexpr float kTorch[3][3][9] = {
    {
        {0x1.ff7ceep-2f, -0x1.3d1eb8p+0f, 0x1.7e5604p+1f, 0x1.686a48p-7f,
         0x1.47ae14p-7f, -0x1.84bc6ap-1f, 0x1.010626p+1f, -0x1.00624ep+2f,
         0x1.d6872cp-4f},
        {0x0.0p+0f, -0x1.99999ap-5f, 0x1.333334p-5f, -0x1.99999ap-7f,
         -0x1.000000p-4f, 0x1.99999ap-6f, -0x1.99999ap-6f, 0x1.000000p-4f,
         0x1.99999ap-7f},
        {0x0.0p+0f, 0x1.0624dep-12f, 0x1.26e978p-13f, 0x1.0624dep-16f,
         0x1.99999cp-12f, 0x1.0624dep-14f, 0x1.0624dep-14f, 0x1.99999cp-12f,
         0x1.0624dep-16f},
    },
    {
        {0x1.f75b48p-2f, -0x1.3b99dep+0f, 0x1.7e0564p+1f, 0x1.616eecp-8f,
         0x1.117560p-6f, -0x1.82790ap-1f, 0x1.007330p+1f, -0x1.007466p+2f,
         0x1.ee90eap-4f},
        {0x1.000000p-4f, -0x1.0a3d72p-5f, -0x1.eb8512p-9f, 0x1.3d70a4p-5f,
         -0x1.ccccccp-5f, -0x1.c28f5ap-6f, 0x1.eb8520p-7f, 0x1.666666p-5f,
         -0x1.a3d70ap-5f},
        {0x1.99999cp-12f, 0x1.164410p-12f, 0x1.26c3b8p-12f, 0x1.1682fap-12f,
         0x1.9930c0p-12f, 0x1.479d4ep-12f, 0x1.a9da5ap-13f, 0x1.a9930ep-12f,
         0x1.a9f7b8p-12f},
    },
    {
        {0x1.f25c68p-2f, -0x1.396ebcp+0f, 0x1.7d5656p+1f, 0x1.18e060p-8f,
         0x1.031dd0p-6f, -0x1.8162f0p-1f, 0x1.008742p+1f, -0x1.00a64ap+2f,
         0x1.008224p-3f},
        {0x1.666666p-5f, -0x1.77cedap-4f, 0x1.624dd4p-6f, 0x1.439582p-7f,
         0x1.851eb8p-7f, -0x1.91686ep-7f, -0x1.89374ap-6f, 0x1.6e147cp-4f,
         -0x1.79db22p-5f},
        {0x1.a9930ep-12f, 0x1.57cb38p-11f, 0x1.68017ap-12f, 0x1.57c4e6p-12f,
         0x1.9930cep-11f, 0x1.57abbep-12f, 0x1.682b68p-12f, 0x1.57a57cp-11f,
         0x1.a98aacp-12f},
    },
};

// The moments bit for bit. torch's square root (MKL's) may be off by an ulp,
// which moves an update of at most about lr by two roundoffs.
TEST(AdamW, MatchesTorch) {
  for (Isa isa : AvailableIsas()) {
    ScopedIsa scoped(isa);
    PoolContext pool(2);
    TestMatrix p(1, 9), g(1, 9), m(1, 9), v(1, 9);
    const float start[9] = {.5f, -1.25f, 3, 1e-3f, 0, -.75f, 2, -4, .125f};
    for (int i = 0; i < 9; ++i) p.at(0, i) = start[i];
    AdamWConfig config;
    config.lr = 1e-2;
    config.weight_decay = 0.1;
    for (int t = 1; t <= 3; ++t) {
      // The clip halves what was doubled.
      for (int i = 0; i < 9; ++i) {
        g.at(0, i) = static_cast<float>((i * 7 + t * 5) % 11 - 5) / 4;
      }
      config.step = t;
      config.grad_scale = 0.5;
      AdamWStep(pool.ctx, config, p.vector(), g.vector(), m.vector(),
                v.vector());
      for (int i = 0; i < 9; ++i) {
        const float expected = kTorch[t - 1][0][i];
        EXPECT_NEAR(p.at(0, i), expected,
                    2 * t * kUnitRoundoff * (std::abs(expected) + config.lr))
            << NameOf(isa) << " step " << t;
        EXPECT_EQ(m.at(0, i), kTorch[t - 1][1][i]) << NameOf(isa) << " " << t;
        EXPECT_EQ(v.at(0, i), kTorch[t - 1][2][i]) << NameOf(isa) << " " << t;
      }
    }
  }
}

// All versions round alike, so any size and any number of threads gives the
// scalar reference's bits.
TEST(AdamW, SameBitsAsReferenceForAnyThreads) {
  AdamWConfig config;
  config.lr = 3e-4;
  config.beta2 = 0.95;
  config.weight_decay = 0.01;
  config.step = 7;
  for (int64_t n : {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 1023, 5000}) {
    TestMatrix g(1, n, 0, Uniform(1));
    const TestMatrix p0(1, n, 0, Uniform(2)), m0(1, n, 0, Uniform(3));
    const TestMatrix v0(1, n, 0, Uniform(4, 0, 1));
    const auto run = [&](Isa isa, int threads) {
      ScopedIsa scoped(isa);
      PoolContext pool(threads);
      std::vector<TestMatrix> out = {p0, m0, v0};
      AdamWStep(pool.ctx, config, out[0].vector(), g.vector(), out[1].vector(),
                out[2].vector());
      return out;
    };
    const auto expected = run(Isa::kScalar, 1);
    for (Isa isa : AvailableIsas()) {
      for (int threads : {1, 2, 5}) {
        const auto out = run(isa, threads);
        for (int i = 0; i < 3; ++i) {
          ASSERT_TRUE(out[i].SameBits(expected[i]))
              << NameOf(isa) << " n " << n << " output " << i;
        }
      }
    }
  }
}

TEST(SumOfSquares, MatchesLongDoubleAndAnyThreads) {
  for (Isa isa : AvailableIsas()) {
    ScopedIsa scoped(isa);
    for (int64_t n : {1, 2, 7, 17, 33, 1000, 1025, 70000}) {
      TestMatrix x(1, n, 0, Uniform(n, -1e3, 1e3));
      long double expected = 0;
      for (int64_t i = 0; i < n; ++i) {
        expected += static_cast<long double>(x.at(0, i)) * x.at(0, i);
      }
      PoolContext one(1);
      const double sum = SumOfSquares(one.ctx, x.vector());
      EXPECT_NEAR(sum, static_cast<double>(expected),
                  (n + 1) * 0x1p-53 * static_cast<double>(expected));
      for (int threads : {2, 5}) {
        PoolContext many(threads);
        EXPECT_EQ(sum, SumOfSquares(many.ctx, x.vector()));
      }
    }
  }
}

TEST(AllFinite, FindsOneAnywhere) {
  PoolContext pool(2);
  for (Isa isa : AvailableIsas()) {
    ScopedIsa scoped(isa);
    for (int64_t n : {1, 8, 16, 33, 100, 3000}) {
      TestMatrix x(1, n, 0, Uniform(n));
      // Large values are finite, and so is what they would add up to.
      x.at(0, 0) = std::numeric_limits<float>::max();
      if (n > 16) x.at(0, 16) = std::numeric_limits<float>::max();
      EXPECT_TRUE(AllFinite(pool.ctx, x.vector()));
      for (int64_t at = 0; at<n; at += n> 100 ? 257 : 1) {
        for (float bad : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
          const float before = x.at(0, at);
          x.at(0, at) = bad;
          ASSERT_FALSE(AllFinite(pool.ctx, x.vector())) << NameOf(isa) << at;
          x.at(0, at) = before;
        }
      }
    }
  }
}

TEST(Accumulate, AddsEveryElementOnce) {
  for (Isa isa : AvailableIsas()) {
    ScopedIsa scoped(isa);
    PoolContext pool(3);
    for (int64_t n : {1, 2, 7, 8, 9, 15, 17, 33, 4000}) {
      TestMatrix x(1, n, 0, Uniform(1)), y(1, n, 0, Uniform(2));
      const TestMatrix before = y;
      Accumulate(pool.ctx, x.vector(), y.vector());
      for (int64_t i = 0; i < n; ++i) {
        ASSERT_EQ(y.at(0, i), before.at(0, i) + x.at(0, i));
      }
      EXPECT_TRUE(y.PaddingIntact());
    }
  }
}

}  // namespace
}  // namespace caracal::kernels
