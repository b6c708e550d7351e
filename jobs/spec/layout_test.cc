#include "jobs/spec/layout.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

namespace caracal {
namespace {

proto::Job Job(const std::string& parallel) {
  proto::Job job;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      "stages { transfer {} } stages { finetune {} } parallel { " + parallel +
          "}",
      &job));
  return job;
}

MeshShape Shape(int data, int tensor, int layer) {
  return {.data = data, .tensor = tensor, .layer = layer};
}

TEST(LayoutTest, StagesHaveTheSameWithoutALayerChain) {
  const proto::Job job = Job("data: 2 tensor: 3");
  EXPECT_EQ(LayoutOf(job, job.stages(0)), Shape(2, 3, 1));
  EXPECT_EQ(LayoutOf(job, job.stages(1)), Shape(2, 3, 1));
  EXPECT_EQ(TransferLayout(Job("")), Shape(1, 1, 1));
}

TEST(LayoutTest, TheRanksOfALayerChainBecomeDataRanks) {
  const proto::Job job = Job("data: 2 tensor: 3 layer: 4");
  EXPECT_EQ(LayoutOf(job, job.stages(0)), Shape(2, 3, 4));
  EXPECT_EQ(LayoutOf(job, job.stages(1)), Shape(8, 3, 1));
}

TEST(LayoutTest, FineTuningMayHaveItsOwn) {
  EXPECT_EQ(FinetuneLayout(Job("layer: 4 finetune { data: 2 tensor: 2 }")),
            Shape(2, 2, 1));
  EXPECT_EQ(FinetuneLayout(Job("layer: 4 finetune { tensor: 2 }")),
            Shape(2, 2, 1));
  EXPECT_EQ(FinetuneLayout(Job("data: 4 finetune { data: 1 }")),
            Shape(1, 4, 1));
  // Not of as many ranks: as it was written.
  EXPECT_EQ(FinetuneLayout(Job("data: 4 finetune { data: 3 tensor: 1 }")),
            Shape(3, 1, 1));
}

}  // namespace
}  // namespace caracal
