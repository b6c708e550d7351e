// Optimiser steps on a GPU: what they wait for, and what becomes of a number
// that is not finite.
#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "core/io/dataset/packed_dataset.h"
#include "core/model/batch_buffer.h"
#include "dist/gang/gang.h"
#include "jobs/spec/expand.h"
#include "jobs/train/make_stage_runner.h"
#include "tests/gpu/busy_gpu.h"
#include "tests/gpu/model_pair.h"
#include "tests/gpu/random_model.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kRows = 4, kTokens = 200;

struct Case {
  const char* name;
  const char* stage;  // proto::Stage
  double drop = 0;
};

constexpr Case kCases[] = {
    {"Transfer", "transfer { steps: 1 loss { mse: 1 } }"},
    {"TransferOfWeights", "transfer { steps: 1 loss { xent: 1 } }"},
    {"Finetune", "finetune { steps: 1 loss { lm: 1 } }"},
    {"FinetuneWithDrops", "finetune { steps: 1 loss { lm: 1 } }", 0.5},
    {"Distill", "finetune { steps: 1 loss { lm: 1 logit_kl: 0.5 } }"}};

class StageRunnerCudaTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    ASSERT_OK(WriteRandomModel(folder_.File("model"), {}, 5));
    ASSERT_OK(WriteRandomData(folder_.File("rows.h5"), kRows, kTokens, 512, 1));
    ASSERT_OK_AND_ASSIGN(data_, PackedDataset::Open(folder_.File("rows.h5")));
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
        GetParam().stage, job_.add_stages()));
    job_ = ExpandJob(job_);
    LoadModel();
  }
  void LoadModel() {
    StudentConfig student;
    student.attention.sinks = 2;
    ASSERT_OK_AND_ASSIGN(pair_,
                         ModelPair::Load(folder_.File("model"), student));
  }

  std::unique_ptr<StageRunner> Runner(ModelSide& side, int64_t micro_batch) {
    return MakeStageRunner(job_.stages(0), job_, side.llama.get(),
                           side.compute.execution(), &gang_, micro_batch);
  }
  absl::StatusOr<StepResult> Step(StageRunner& runner) {
    BatchBuffer batch(kRows, kTokens);
    RETURN_IF_ERROR(batch.Fill(*data_, kRows, [](int64_t i) { return i; }));
    return runner.Step(
        batch, {.learning_rate = 1e-3, .drop_probability = GetParam().drop});
  }
  std::vector<float> Values() {
    ParameterStore& store = pair_->gpu.adapters->parameters();
    EXPECT_OK(store.UseOnHost());
    std::vector<float> values;
    for (const Parameter& p : store.parameters()) {
      values.insert(values.end(), p.value.f32(),
                    p.value.f32() + p.value.size());
    }
    return values;
  }
  // An element of the second layer's projection of q, k, v.
  void SetWeight(uint16_t value) {
    const LlamaWeights& w = pair_->gpu.weights;
    pair_->gpu.compute.device()->Upload(
        &value, sizeof(value), const_cast<void*>(w.layers[1].qkv.dense().data));
  }

  TemporaryFolder folder_;
  std::unique_ptr<PackedDataset> data_;
  std::unique_ptr<ModelPair> pair_;
  proto::Job job_;
  Gang gang_;
};

// A micro-batch's losses are all that is waited for: the gradient's norm comes
// with the last one's.
TEST_P(StageRunnerCudaTest, WaitsOnceAMicroBatch) {
  for (const int64_t micro_batch : {kRows, int64_t{1}}) {
    const std::unique_ptr<StageRunner> runner = Runner(pair_->gpu, micro_batch);
    for (int step = 0; step < 4; ++step) {
      SCOPED_TRACE(step);
      const int64_t before = pair_->gpu.compute.device()->waits();
      ASSERT_OK(Step(*runner).status());
      EXPECT_EQ(pair_->gpu.compute.device()->waits() - before,
                kRows / micro_batch);
    }
  }
}

// Of a mean over 800 tokens bf16's noise leaves its bias; the norm is a sum of
// squares, in which it adds up instead: each is a rounding.
TEST_P(StageRunnerCudaTest, LossAndNormAreTheHosts) {
  for (const int64_t micro_batch : {kRows, int64_t{1}}) {
    const std::unique_ptr<StageRunner> on_host =
        Runner(pair_->host, micro_batch);
    ASSERT_OK_AND_ASSIGN(const StepResult host, Step(*on_host));
    const std::unique_ptr<StageRunner> on_gpu = Runner(pair_->gpu, micro_batch);
    ASSERT_OK_AND_ASSIGN(const StepResult gpu, Step(*on_gpu));
    std::printf("  loss %.6f, norm %.6f; on the host %.6f, %.6f\n", gpu.loss,
                gpu.grad_norm, host.loss, host.grad_norm);
    EXPECT_NEAR(gpu.loss / host.loss, 1, 0x1p-8);
    EXPECT_NEAR(gpu.grad_norm / host.grad_norm, 1, 0x1p-8);
    EXPECT_EQ(gpu.dropped_share > 0, GetParam().drop > 0);
    EXPECT_EQ(gpu.dropped_share, host.dropped_share);
  }
}

// Nothing is updated, and the step can be taken once the cause is gone: the
// bits are those of a run that never met it.
TEST_P(StageRunnerCudaTest, ANumberThatIsNotFiniteStopsTheStep) {
  std::unique_ptr<StageRunner> runner = Runner(pair_->gpu, 2);
  const uint16_t* const from = static_cast<const uint16_t*>(
      pair_->host.weights.layers[1].qkv.dense().data);
  const uint16_t good =
      pair_->host.weights.layers[1].qkv.dense().dtype == DType::kBF16
          ? *from
          : Bf16FromFloat(*reinterpret_cast<const float*>(from));
  const std::vector<float> before = Values();
  SetWeight(Bf16FromFloat(NAN));
  EXPECT_THAT(Step(*runner).status(),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("layer 1, q, k, v: element")));
  EXPECT_EQ(Values(), before);
  SetWeight(good);
  ASSERT_OK_AND_ASSIGN(const StepResult after, Step(*runner));
  const std::vector<float> updated = Values();
  EXPECT_NE(updated, before);

  runner = nullptr;
  LoadModel();
  const std::unique_ptr<StageRunner> other = Runner(pair_->gpu, 2);
  ASSERT_OK_AND_ASSIGN(const StepResult never, Step(*other));
  EXPECT_EQ(after.loss, never.loss);
  EXPECT_EQ(after.grad_norm, never.grad_norm);
  EXPECT_EQ(updated, Values());
}

TEST_P(StageRunnerCudaTest, AParameterThatIsNotFiniteIsNamed) {
  const std::unique_ptr<StageRunner> runner = Runner(pair_->gpu, kRows);
  ASSERT_OK(Step(*runner).status());
  ParameterStore& store = pair_->gpu.adapters->parameters();
  ASSERT_OK(store.UseOnHost());
  store.Find("layers.1.feature_map_k")->value.f32()[3] = INFINITY;
  EXPECT_THAT(Step(*runner).status(),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("layers.1.feature_map_k is not finite")));
}

// The step ends after the limit, and nothing that goes afterwards waits.
TEST_P(StageRunnerCudaTest, AGpuThatStandsStillEndsTheStep) {
  if (std::getenv("MOST_ROWS") != nullptr) {
    GTEST_SKIP() << "a tool that watches would miss what is left on purpose";
  }
  std::unique_ptr<StageRunner> runner = Runner(pair_->gpu, kRows);
  // Two passes until one is recorded, whose launch does not block.
  for (int step = 0; step < 3; ++step) ASSERT_OK(Step(*runner).status());
  pair_->gpu.compute.device()->set_stall(absl::Milliseconds(200), nullptr);
  const BusyGpu busy;
  EXPECT_THAT(Step(*runner).status(),
              StatusIs(absl::StatusCode::kDeadlineExceeded,
                       HasSubstr("is not done after 200ms")));
  EXPECT_FALSE(Step(*runner).ok());
  runner = nullptr;
  pair_ = nullptr;
}

INSTANTIATE_TEST_SUITE_P(, StageRunnerCudaTest, ::testing::ValuesIn(kCases),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace caracal
