// Every stage's bench on a GPU: what it measures is there and fits together.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>

#include "absl/strings/match.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "jobs/bench/bench.h"
#include "tests/gpu/random_model.h"

namespace caracal {
namespace {

constexpr int64_t kLayers = 3;

class BenchCudaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    RandomModelShape shape;
    shape.layers = kLayers;
    ASSERT_OK(WriteRandomModel(folder_.File("model"), shape, 5));
    options_.model = folder_.File("model");
    options_.device = "cuda";
    options_.batch = 2;
    options_.seq_len = 256;
    options_.new_tokens = 16;
  }

  // `tokens`: those of a step.
  void ExpectMeasured(const BenchResult& result, int64_t tokens) {
    EXPECT_GT(result.low, 0);
    EXPECT_LE(result.low, result.tokens_per_s);
    EXPECT_LE(result.tokens_per_s, result.high);
    EXPECT_GT(result.flops.total(), 0);
    EXPECT_GT(result.matrix_rate, 0);
    EXPECT_GT(result.mfu, 0);
    EXPECT_GT(result.peak_bytes, 0u);
    EXPECT_THAT(result.device, ::testing::HasSubstr("NVIDIA"));
    ExpectKernels(result, static_cast<double>(tokens) / result.low);
  }

  void ExpectKernels(const BenchResult& result, double slowest_step) {
    // Under a tool that measures kernels itself.
    if (absl::StrContains(result.no_kernels, "another profiler")) return;
    EXPECT_EQ(result.no_kernels, "");
    ASSERT_FALSE(result.kernels.empty());
    int64_t attention = 0;
    for (const KernelTime& kernel : result.kernels) {
      std::printf("  %8.3f ms  %s, %d launches\n", kernel.seconds * 1e3,
                  kernel.name.c_str(), static_cast<int>(kernel.launches));
      EXPECT_GT(kernel.launches, 0) << kernel.name;
      EXPECT_GT(kernel.seconds, 0) << kernel.name;
      // No launch takes as long as the slowest step, nor twice that while it is
      // measured. (All together may: of two streams some run at once, and those
      // launched early wait for the ones before them.)
      EXPECT_LT(kernel.seconds / static_cast<double>(kernel.launches),
                2 * slowest_step)
          << kernel.name;
      if (absl::StartsWith(kernel.name, "hybrid_attention")) {
        attention += kernel.launches;
      }
    }
    EXPECT_GE(attention, kLayers);
    EXPECT_TRUE(std::is_sorted(
        result.kernels.begin(), result.kernels.end(),
        [](const auto& a, const auto& b) { return a.seconds > b.seconds; }));
  }

  TemporaryFolder folder_;
  BenchOptions options_;
};

// The first step's loss is the host's, the same rows having been drawn there,
// but for bf16's noise after so many layers (model_cuda_test.cc), of which a
// mean over 512 tokens has less.
TEST_F(BenchCudaTest, TrainingIsMeasured) {
  for (const char* stage : {"transfer", "finetune"}) {
    SCOPED_TRACE(stage);
    options_.stage = stage;
    BenchOptions on_host = options_;
    on_host.device = "cpu";
    on_host.steps = 1;
    ASSERT_OK_AND_ASSIGN(const BenchResult host, RunBench(on_host));
    ASSERT_OK_AND_ASSIGN(const BenchResult gpu, RunBench(options_));
    ExpectMeasured(gpu, options_.batch * options_.seq_len);
    std::printf("  loss %.6f, %.6f on the host\n", gpu.loss, host.loss);
    EXPECT_GT(host.loss, 0);
    const double noise = 0x1p-8 * std::sqrt(12 * kLayers / 3.0);
    EXPECT_NEAR(gpu.loss / host.loss, 1, noise);
    // For the losses, which the gradient's norm comes with.
    EXPECT_EQ(gpu.waits_per_step, 1);
    EXPECT_EQ(gpu.not_recorded, "");
    options_.launches = true;
    ASSERT_OK_AND_ASSIGN(const BenchResult launched, RunBench(options_));
    ExpectMeasured(launched, options_.batch * options_.seq_len);
    EXPECT_EQ(launched.loss, gpu.loss);
    options_.launches = false;
    options_.micro_batch = 1;
    ASSERT_OK_AND_ASSIGN(const BenchResult halves, RunBench(options_));
    EXPECT_EQ(halves.waits_per_step, 2);
    EXPECT_NEAR(halves.loss / host.loss, 1, noise);
    options_.micro_batch = 0;
  }
}

// Of one and of several sequences: other kernels. No token lies beyond the
// model's context.
TEST_F(BenchCudaTest, DecodingIsMeasured) {
  options_.stage = "decode";
  options_.seq_len = RandomModelShape().positions - options_.new_tokens;
  for (const int64_t batch : {1, 8}) {
    SCOPED_TRACE(batch);
    options_.batch = batch;
    ASSERT_OK_AND_ASSIGN(const BenchResult result, RunBench(options_));
    ExpectMeasured(result, batch);
    EXPECT_GT(result.prefill_tokens_per_s, 0);
    EXPECT_GT(result.cache_bytes, 0u);
    EXPECT_GT(result.step_bytes, 0);
    EXPECT_GT(result.bytes_per_s, 0);
    EXPECT_GT(result.copy_rate, result.bytes_per_s);
  }
}

// A single step is measured by kernel, too.
TEST_F(BenchCudaTest, OneTokenIsDecoded) {
  options_.stage = "decode";
  options_.new_tokens = 1;
  options_.steps = 1;
  ASSERT_OK_AND_ASSIGN(const BenchResult result, RunBench(options_));
  ExpectMeasured(result, options_.batch);
}

}  // namespace
}  // namespace caracal
