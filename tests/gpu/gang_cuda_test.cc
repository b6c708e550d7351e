// Whole conversions by two ranks, which are threads, with a GPU each and NCCL,
// or sharing one: the curves are those of one rank within bf16's noise, and a
// run moves between layouts and devices by its checkpoints.
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
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "dist/mesh/thread_mesh.h"
#include "jobs/convert/conversion.h"
#include "jobs/spec/expand.h"
#include "tests/gpu/busy_gpu.h"
#include "tests/gpu/random_model.h"
#include "tests/gpu/through_host.h"

namespace caracal {
namespace {

constexpr MeshShape kData = {.data = 2}, kTensor = {.tensor = 2},
                    kChain = {.layer = 2};

// Whether the ranks share a GPU.
class GangCudaTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    int gpus = 0;
    ASSERT_EQ(cudaGetDeviceCount(&gpus), cudaSuccess);
    if (gpus < 2 && !GetParam()) GTEST_SKIP() << "for two GPUs; here: " << gpus;
    // An odd number of key/value heads is not shared out evenly.
    ASSERT_OK(WriteRandomModel(
        folder_.File("model"),
        {.inner = 480, .heads = 6, .kv_heads = 3, .vocabulary = 515}, 5));
    ASSERT_OK(WriteRandomData(folder_.File("train.h5"), 16, 200, 515, 1));
    ASSERT_OK(WriteRandomData(folder_.File("heldout.h5"), 4, 200, 515, 2));
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
        R"(preset: "lolcats"
           attention { window: 64 sinks: 2 features: 64 }
           budget { transfer_steps: 6 finetune_steps: 6 batch: 4 micro_batch: 1 }
           validation { every_steps: 3 rows: 4 }
           checkpoint { every_steps: 1 keep_last: 99 }
           evaluation { rows: 0 })",
        &job_));
    job_.mutable_model()->set_path(folder_.File("model"));
    job_.mutable_data()->set_path(folder_.File("train.h5"));
    job_.mutable_data()->set_validation(folder_.File("heldout.h5"));
  }

  // Stops after so many steps; 0: never.
  absl::Status Run(const std::string& name, const char* device,
                   const MeshShape& shape, int steps = 0, bool resume = false) {
    std::atomic<bool> stop{false};
    int done = 0;
    job_.set_device(device);
    job_.mutable_parallel()->set_data(shape.data);
    job_.mutable_parallel()->set_tensor(shape.tensor);
    job_.mutable_parallel()->set_layer(shape.layer);
    ConversionOptions options;
    options.job = ExpandJob(job_);
    options.run_folder = folder_.File(name);
    options.resume = resume;
    options.stop = &stop;
    if (GetParam()) options.on_shared_gpu = OnSharedDevice;
    std::vector<absl::Status> ended(shape.ranks());
    RunAsMesh(shape, [&](MeshGroups& groups) {
      const int rank = groups.world->rank();
      groups.stall = stall_;
      Gang gang(std::move(groups));
      gang.set_lost(lost_);
      ConversionOptions mine = options;
      if (shape.ranks() > 1) mine.gang = &gang;
      if (rank == 0) {
        mine.events.step = [&](const StepRecord& record) {
          losses_[name].push_back(record.loss);
          norms_[name].push_back(record.grad_norm);
          if (++done == steps) stop = true;
          if (after_step_) after_step_(done);
        };
      }
      ended[rank] = RunConversion(mine).status();
    });
    for (const absl::Status& status : ended) {
      if (steps > 0 && absl::IsCancelled(status)) continue;
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  void ExpectNear(const std::string& a, const std::string& b, double bound,
                  double norm_bound) {
    ASSERT_EQ(losses_[a].size(), losses_[b].size());
    for (size_t i = 0; i < losses_[a].size(); ++i) {
      std::printf("  step %zu: %s %.6f, norm %.6f; %s %.6f, %.6f\n", i + 1,
                  a.c_str(), losses_[a][i], norms_[a][i], b.c_str(),
                  losses_[b][i], norms_[b][i]);
      EXPECT_NEAR(losses_[a][i] / losses_[b][i], 1, bound) << "step " << i + 1;
      EXPECT_NEAR(norms_[a][i] / norms_[b][i], 1, norm_bound)
          << "step " << i + 1;
    }
  }

  TemporaryFolder folder_;
  proto::Job job_;
  absl::Duration stall_ = absl::InfiniteDuration();
  std::function<void(const absl::Status&)> lost_;
  std::function<void(int)> after_step_;  // of rank 0, counted from 1
  std::map<std::string, std::vector<double>> losses_, norms_;
};

// A mean over 800 tokens: what is left of the noise of one is its bias. Norms
// are sums of squares, in which noise adds up instead.
constexpr double kCurveNoise = 0x1p-8, kNormNoise = 0x1p-8;
// Data ranks compute what one does, in fewer rows at a time; sums of gradients
// are of the same numbers in another order.
constexpr double kDataNoise = 0x1p-12;

TEST_P(GangCudaTest, DataRanksTrainAsOneDoes) {
  ASSERT_OK(Run("one", "cuda", {}));
  ASSERT_OK(Run("data", "cuda", kData));
  ExpectNear("data", "one", kDataNoise, kNormNoise);
}

TEST_P(GangCudaTest, TensorRanksTrainAsOneDoes) {
  ASSERT_OK(Run("one", "cuda", {}));
  ASSERT_OK(Run("tensor", "cuda", kTensor));
  ExpectNear("tensor", "one", kCurveNoise, kNormNoise);
}

// Data ranks in the fine-tune. A rank computes its layers' gradients as one
// does.
TEST_P(GangCudaTest, ALayerChainTrainsAsOneDoes) {
  ASSERT_OK(Run("one", "cuda", {}));
  ASSERT_OK(Run("chain", "cuda", kChain));
  ExpectNear("chain", "one", kDataNoise, kNormNoise);
}

// Adapters on every projection, of so high a rank that their gradients take two
// buckets; distillation, dropped parts.
TEST_P(GangCudaTest, EveryPartOfAFinetune) {
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
      R"(model { path: "" } data { path: "" }
         attention { window: 64 sinks: 2 features: 64 }
         lora { rank: 128
                projections: ["q", "k", "v", "o", "gate", "up", "down"] }
         budget { batch: 4 micro_batch: 1 }
         stages { finetune { steps: 6 train_feature_maps: true
                             loss { lm: 1 logit_kl: 0.5 }
                             curriculum { drop { constant: 0.5 } } } }
         evaluation { rows: 0 })",
      &job_));
  job_.mutable_model()->set_path(folder_.File("model"));
  job_.mutable_data()->set_path(folder_.File("train.h5"));
  ASSERT_OK(Run("one", "cuda", {}));
  ASSERT_OK(Run("data", "cuda", kData));
  ASSERT_OK(Run("tensor", "cuda", kTensor));
  ExpectNear("data", "one", kDataNoise, kNormNoise);
  ExpectNear("tensor", "one", kCurveNoise, kNormNoise);
}

TEST_P(GangCudaTest, AResumedRunGivesTheSameBits) {
  for (const MeshShape& shape : {kData, kTensor, kChain}) {
    const std::string name = FormatMesh(shape);
    ASSERT_OK(Run(name + " whole", "cuda", shape));
    ASSERT_OK(Run(name, "cuda", shape, 2));
    ASSERT_OK(Run(name, "cuda", shape, 6, true));
    ASSERT_OK(Run(name, "cuda", shape, 0, true));
    EXPECT_EQ(losses_[name], losses_[name + " whole"]);
  }
}

TEST_P(GangCudaTest, ARunMovesBetweenLayoutsAndDevices) {
  ASSERT_OK(Run("one", "cpu", {}));
  ASSERT_OK(Run("mixed", "cuda", kData, 1));
  ASSERT_OK(Run("mixed", "cpu", {}, 1, true));
  ASSERT_OK(Run("mixed", "cuda", kChain, 2, true));
  ASSERT_OK(Run("mixed", "cuda", kTensor, 3, true));
  ASSERT_OK(Run("mixed", "cuda", {}, 2, true));
  ASSERT_OK(Run("mixed", "cuda", kData, 0, true));
  ExpectNear("mixed", "one", kCurveNoise, kNormNoise);
}

// One of the GPUs does nothing any more: who ends the gang is told, in a line.
// In a process of its own, which ends then.
TEST_P(GangCudaTest, AGpuThatStandsStillEndsTheGang) {
  if (std::getenv("MOST_ROWS") != nullptr) {
    GTEST_SKIP() << "under a tool that watches passes take longer";
  }
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  stall_ = absl::Seconds(3);
  const auto run = [&] {
    after_step_ = [](int done) {
      if (done == 2) new BusyGpu;
    };
    lost_ = [&](const absl::Status& error) {
      std::fprintf(stderr, "after %zu steps: %s\n", losses_["stuck"].size(),
                   std::string(error.message()).c_str());
      std::error_code ignored;
      std::filesystem::remove_all(folder_.path(), ignored);
      std::_Exit(3);
    };
    const absl::Status ended = Run("stuck", "cuda", kData);
    ADD_FAILURE() << "nobody was told of " << ended;
  };
  EXPECT_EXIT(run(), ::testing::ExitedWithCode(3),
              "after 2 steps: stage transfer, step 3: NVIDIA.*is not done "
              "after 3s");
}

INSTANTIATE_TEST_SUITE_P(, GangCudaTest, ::testing::Bool(),
                         [](const auto& info) {
                           return info.param ? "OneGpu" : "TwoGpus";
                         });

}  // namespace
}  // namespace caracal
