#include "jobs/convert/phases.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

#include "jobs/spec/expand.h"

namespace caracal {
namespace {

proto::Job Job(const std::string& parallel) {
  proto::Job job;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      "stages { transfer { steps: 1 } } stages { transfer { steps: 2 } } "
      "stages { finetune { steps: 3 } } parallel {" +
          parallel + "}",
      &job));
  return ExpandJob(job);
}

TEST(PhasesTest, OneForAllStagesOfALayout) {
  const std::vector<Phase> phases = PhasesOf(Job("data: 2"), 0, false);
  ASSERT_EQ(phases.size(), 1);
  EXPECT_EQ(phases[0].begin, 0);
  EXPECT_EQ(phases[0].end, 3);
  EXPECT_EQ(phases[0].shape, (MeshShape{.data = 2}));
}

TEST(PhasesTest, ALayerChainEndsWithTransfer) {
  const proto::Job job = Job("layer: 2");
  const std::vector<Phase> phases = PhasesOf(job, 0, false);
  ASSERT_EQ(phases.size(), 2);
  EXPECT_EQ(phases[0].shape, (MeshShape{.layer = 2}));
  EXPECT_EQ(phases[0].end, 2);
  EXPECT_EQ(phases[1].shape, (MeshShape{.data = 2}));
  EXPECT_EQ(phases[1].begin, 2);
  EXPECT_EQ(phases[1].end, 3);
  // Of a run that goes on.
  EXPECT_EQ(PhasesOf(job, 2, false).size(), 1);
  EXPECT_TRUE(PhasesOf(job, 3, false).empty());
  ASSERT_EQ(PhasesOf(job, 1, true).size(), 1);
  EXPECT_EQ(PhasesOf(job, 1, true)[0].shape, MeshShape());
}

TEST(PhasesTest, StagesWithoutStepsGoWithTheOneBefore) {
  proto::Job job = Job("layer: 2");
  job.mutable_stages(2)->mutable_finetune()->set_steps(0);
  const std::vector<Phase> phases = PhasesOf(job, 0, false);
  ASSERT_EQ(phases.size(), 1);
  EXPECT_EQ(phases[0].shape, (MeshShape{.layer = 2}));
  EXPECT_EQ(phases[0].end, 3);
}

}  // namespace
}  // namespace caracal
