// Whole conversions on a GPU: the curves are the host's within bf16's noise,
// and a run moves between the two by its checkpoints.
#include <cuda_runtime_api.h>
#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "core/device/open_cuda.h"
#include "jobs/convert/conversion.h"
#include "jobs/spec/expand.h"
#include "kernels/common/context.h"
#include "kernels/common/tensor_view.h"
#include "kernels/swiglu/swiglu_cuda.h"
#include "tests/gpu/random_model.h"

namespace caracal {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;

class ConversionCudaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK(WriteRandomModel(folder_.File("model"), {}, 5));
    ASSERT_OK(WriteRandomData(folder_.File("train.h5"), 16, 200, 512, 1));
    ASSERT_OK(WriteRandomData(folder_.File("heldout.h5"), 4, 200, 512, 2));
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
        R"(preset: "lolcats"
           attention { window: 64 sinks: 2 features: 64 }
           budget { transfer_steps: 6 finetune_steps: 6 batch: 4 micro_batch: 2 }
           validation { every_steps: 3 rows: 4 }
           checkpoint { every_steps: 1 keep_last: 99 }
           evaluation { rows: 2 })",
        &job_));
    job_.mutable_model()->set_path(folder_.File("model"));
    job_.mutable_data()->set_path(folder_.File("train.h5"));
    job_.mutable_data()->set_validation(folder_.File("heldout.h5"));
  }

  // Stops after so many steps; 0: never.
  absl::Status Run(const std::string& name, const char* device, int steps,
                   bool resume) {
    std::atomic<bool> stop{false};
    int done = 0;
    job_.set_device(device);
    ConversionOptions options;
    options.job = ExpandJob(job_);
    options.run_folder = folder_.File(name);
    options.resume = resume;
    options.stop = &stop;
    notes_.clear();
    options.events.note = [this](const std::string& n) { notes_.push_back(n); };
    options.events.step = [&](const StepRecord& record) {
      losses_[name].push_back(record.loss);
      if (++done == steps) stop = true;
      if (after_step_) after_step_(done);
    };
    absl::StatusOr<ReportInput> report = RunConversion(options);
    if (report.ok()) reports_[name] = *std::move(report);
    if (steps > 0 && absl::IsCancelled(report.status())) {
      return absl::OkStatus();
    }
    return report.status();
  }

  void ExpectNear(const std::string& a, const std::string& b, double bound) {
    ASSERT_EQ(losses_[a].size(), losses_[b].size());
    for (size_t i = 0; i < losses_[a].size(); ++i) {
      std::printf("  step %zu: %s %.6f, %s %.6f\n", i + 1, a.c_str(),
                  losses_[a][i], b.c_str(), losses_[b][i]);
      EXPECT_NEAR(losses_[a][i] / losses_[b][i], 1, bound) << "step " << i + 1;
    }
  }

  TemporaryFolder folder_;
  proto::Job job_;
  std::vector<std::string> notes_;
  std::function<void(int)> after_step_;  // of this run's, counted from 1
  std::map<std::string, std::vector<double>> losses_;
  std::map<std::string, ReportInput> reports_;
};

// A mean over 800 tokens: what is left of the noise of one is its bias.
constexpr double kCurveNoise = 0x1p-8;

TEST_F(ConversionCudaTest, CurvesAndReportsAgreeWithTheHosts) {
  ASSERT_OK(Run("cpu", "cpu", 0, false));
  ASSERT_OK(Run("gpu", "cuda", 0, false));
  EXPECT_THAT(notes_, Contains(HasSubstr("on NVIDIA")));
  ExpectNear("gpu", "cpu", kCurveNoise);
  const AttributionResult& cpu = reports_["cpu"].attribution;
  const AttributionResult& gpu = reports_["gpu"].attribution;
  ASSERT_EQ(cpu.modes.size(), gpu.modes.size());
  for (size_t i = 0; i < cpu.modes.size(); ++i) {
    EXPECT_NEAR(gpu.modes[i].loss / cpu.modes[i].loss, 1, kCurveNoise)
        << cpu.modes[i].mode;
  }
}

// Transfer by attention weights, of linear attention alone.
TEST_F(ConversionCudaTest, TheHedgehogPresetAgrees) {
  job_.set_preset("hedgehog");
  ASSERT_OK(Run("cpu", "cpu", 0, false));
  ASSERT_OK(Run("gpu", "cuda", 0, false));
  ExpectNear("gpu", "cpu", kCurveNoise);
}

TEST_F(ConversionCudaTest, AResumedRunGivesTheSameBits) {
  ASSERT_OK(Run("whole", "cuda", 0, false));
  ASSERT_OK(Run("parts", "cuda", 2, false));
  ASSERT_OK(Run("parts", "cuda", 6, true));
  ASSERT_OK(Run("parts", "cuda", 0, true));
  EXPECT_EQ(losses_["parts"], losses_["whole"]);
}

TEST_F(ConversionCudaTest, ARunMovesBetweenHostAndGpu) {
  ASSERT_OK(Run("cpu", "cpu", 0, false));
  ASSERT_OK(Run("mixed", "cuda", 2, false));
  ASSERT_OK(Run("mixed", "cpu", 3, true));
  ASSERT_OK(Run("mixed", "cuda", 4, true));
  ASSERT_OK(Run("mixed", "cpu", 0, true));
  ExpectNear("mixed", "cpu", kCurveNoise);
}

// The fine-tune does not fit beside what took the memory by then; what transfer
// left is whole.
TEST_F(ConversionCudaTest, MemoryThatRunsOutEndsTheRunWithALine) {
  if (std::getenv("MOST_ROWS") != nullptr) {
    GTEST_SKIP() << "the tool that watches needs memory, too";
  }
  constexpr int64_t kRows = 128, kLeft = int64_t{192} << 20;
  ASSERT_OK(WriteRandomData(folder_.File("train.h5"), kRows, 200, 512, 1));
  job_.mutable_data()->clear_validation();
  job_.mutable_budget()->set_batch(kRows);
  job_.mutable_budget()->set_micro_batch(kRows);
  job_.mutable_budget()->set_transfer_steps(1);
  job_.mutable_budget()->set_finetune_steps(1);
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Device> other, OpenCuda());
  Tensor hog;
  after_step_ = [&](int) {
    size_t free = 0, total = 0;
    ASSERT_EQ(cudaMemGetInfo(&free, &total), cudaSuccess);
    ASSERT_OK_AND_ASSIGN(
        hog, other->Allocate(DType::kU8, {static_cast<int64_t>(free) - kLeft}));
  };
  EXPECT_THAT(Run("long", "cuda", 0, false),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("stage finetune, step 1"),
                             HasSubstr("out of GPU memory"))));
  EXPECT_EQ(losses_["long"].size(), 1u);
  hog = Tensor();
  after_step_ = nullptr;
  ASSERT_OK(Run("long", "cuda", 0, true));
  EXPECT_THAT(notes_, Contains(HasSubstr("going on after step 1")));
  EXPECT_EQ(losses_["long"].size(), 2u);
}

// What follows a kernel that died fails, launch by launch, until a step is
// waited for; in a process of its own, whose GPU is gone for good then.
TEST_F(ConversionCudaTest, ALostGpuEndsTheRunWithALine) {
  if (std::getenv("MOST_ROWS") != nullptr) {
    GTEST_SKIP() << "a tool that watches would tell of what is done on purpose";
  }
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  job_.mutable_checkpoint()->set_every_steps(4);
  const auto run = [&] {
    after_step_ = [](int done) {
      if (done != 7) return;
      Context ctx;
      ctx.device = DeviceType::kCuda;
      const TensorView nowhere(reinterpret_cast<void*>(0x100), DType::kBF16,
                               {256, 256});
      kernels::SwigluForwardCuda(ctx, nowhere, nowhere, nowhere);
      EXPECT_NE(cudaDeviceSynchronize(), cudaSuccess);
    };
    EXPECT_THAT(Run("lost", "cuda", 0, false),
                StatusIs(absl::StatusCode::kUnavailable,
                         AllOf(HasSubstr("stage finetune, step 2"),
                               HasSubstr("NVIDIA"))));
    EXPECT_EQ(losses_["lost"].size(), 7u);
    // From the last checkpoint, without a GPU.
    after_step_ = nullptr;
    EXPECT_OK(Run("lost", "cpu", 0, true));
    EXPECT_THAT(notes_, Contains(HasSubstr("going on after step 6")));
    EXPECT_EQ(losses_["lost"].size(), 13u);
    std::fprintf(stderr, "%s\n",
                 HasFailure() ? "not as expected" : "as expected");
    std::filesystem::remove_all(folder_.path());
    std::_Exit(HasFailure() ? 1 : 0);
  };
  EXPECT_EXIT(run(), ::testing::ExitedWithCode(0), "as expected");
}

}  // namespace
}  // namespace caracal
