#include "jobs/plan/layouts.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "core/base/status_matchers.h"
#include "jobs/spec/expand.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;

ModelConfig Shape70b() {
  ModelConfig model;
  model.hidden_size = 8192;
  model.intermediate_size = 28672;
  model.layers = 80;
  model.heads = 64;
  model.kv_heads = 8;
  model.head_dim = 128;
  model.vocab_size = 128256;
  return model;
}

proto::Job Job(int batch) {
  proto::Job job;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      "preset: 'lolcats' attention { features: 64 } "
      "budget { transfer_steps: 1 finetune_steps: 1 }",
      &job));
  job.mutable_budget()->set_batch(batch);
  return ExpandJob(job);
}

PlanRequest Request(int gpus) {
  PlanRequest request;
  request.machine = *MachineOf("h100");
  request.gpus = gpus;
  request.seq_len = 1024;
  return request;
}

TEST(LayoutsTest, TheQuickestThatFitsComesFirst) {
  for (const int stage : {0, 1}) {
    ASSERT_OK_AND_ASSIGN(const std::vector<PlannedStage> plans,
                         PlanStage(Job(64), stage, Shape70b(), Request(16)));
    ASSERT_GT(plans.size(), 1u);
    for (size_t i = 0; i < plans.size(); ++i) {
      const PlannedStage& plan = plans[i];
      EXPECT_EQ(plan.layout.mesh.ranks(), 16);
      EXPECT_LE(plan.memory.total(), Request(16).machine.usable_bytes());
      EXPECT_EQ(64 / plan.layout.mesh.data % plan.layout.micro_rows, 0);
      EXPECT_TRUE(stage == 0 || plan.layout.mesh.layer == 1);
      if (i == 0) continue;
      EXPECT_GE(plan.time.total(), plans[i - 1].time.total());
    }
  }
}

TEST(LayoutsTest, FixedSizesAreKept) {
  PlanRequest request = Request(16);
  request.tensor = 4;
  request.layer = 2;
  request.micro_rows = 1;
  ASSERT_OK_AND_ASSIGN(std::vector<PlannedStage> plans,
                       PlanStage(Job(64), 0, Shape70b(), request));
  ASSERT_EQ(plans.size(), 1u);
  EXPECT_EQ(plans[0].layout.mesh,
            (MeshShape{.data = 2, .tensor = 4, .layer = 2}));
  EXPECT_EQ(plans[0].layout.micro_rows, 1);
  // A fine-tune has no chain.
  ASSERT_OK_AND_ASSIGN(plans, PlanStage(Job(64), 1, Shape70b(), request));
  EXPECT_EQ(plans[0].layout.mesh, (MeshShape{.data = 4, .tensor = 4}));
}

TEST(LayoutsTest, WhatDoesNotFitIsBrokenDown) {
  EXPECT_THAT(
      PlanStage(Job(8), 1, Shape70b(), Request(1)).status(),
      StatusIs(
          absl::StatusCode::kResourceExhausted,
          testing::AllOf(
              HasSubstr("finetune: no layout of 1 GPU fits in "
                        "74.1 GiB (95% of 78.0 GiB); the smallest, data 1 x "
                        "layer 1 x tensor 1 with 1 row at a "
                        "time, takes "),
              HasSubstr("layer weights 128 GiB, vocabulary "
                        "weights 3.9 GiB"))));
}

TEST(LayoutsTest, ABatchTooSmallIsNamed) {
  PlanRequest request = Request(64);
  request.tensor = 1;
  EXPECT_THAT(PlanStage(Job(8), 1, Shape70b(), request).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("no layout of 64 GPUs with tensor 1: a batch "
                                 "of 8 rows (budget.batch) cannot be shared "
                                 "out to 64 data ranks")));
  request.tensor = 128;
  request.gpus = 128;
  EXPECT_THAT(
      PlanStage(Job(8), 1, Shape70b(), request).status(),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("query heads")));
}

}  // namespace
}  // namespace caracal
