#include "jobs/spec/support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "jobs/spec/expand.h"
#include "jobs/spec/presets.h"

namespace caracal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> Lines(const proto::Job& job) {
  std::vector<Problem> problems;
  CheckSupport(ExpandJob(job), &problems);
  std::vector<std::string> lines;
  for (const Problem& problem : problems) lines.push_back(problem.ToString());
  return lines;
}

proto::Job WithPreset(const char* name) {
  proto::Job job;
  job.set_preset(name);
  return job;
}

TEST(SupportTest, RunsEveryPreset) {
  for (const std::string& name : PresetNames()) {
    EXPECT_THAT(Lines(WithPreset(name.c_str())), ElementsAre()) << name;
  }
}

TEST(SupportTest, RunsAttentionTransferOnAGpu) {
  proto::Job job = WithPreset("lolcats");
  job.set_device("cuda");
  EXPECT_THAT(Lines(job), ElementsAre());
}

TEST(SupportTest, RunsEveryFeatureMapOnAGpu) {
  for (const char* map : {"hedgehog", "exp", "t2r", "elu1", "hedgehog_fla"}) {
    proto::Job job = WithPreset("hedgehog");
    job.set_device("cuda");
    job.mutable_attention()->set_feature_map(map);
    job.mutable_attention()->set_features(64);
    EXPECT_THAT(Lines(job), ElementsAre()) << map;
  }
  // Of half a map outputs are half as many.
  proto::Job job = WithPreset("hedgehog");
  job.set_device("cuda");
  job.mutable_attention()->set_half_space(true);
  job.mutable_attention()->set_features(288);
  EXPECT_THAT(Lines(job), ElementsAre());
}

TEST(SupportTest, SaysWhatIsNotRunOnAGpu) {
  proto::Job job = WithPreset("hedgehog");
  job.set_device("cuda");
  job.mutable_attention()->set_feature_map("exp");
  job.mutable_attention()->set_features(256);
  EXPECT_THAT(Lines(job), ElementsAre());
  job.mutable_attention()->set_features(288);
  EXPECT_THAT(
      Lines(job),
      ElementsAre("stages[0].transfer.loss: a loss on attention weights whose "
                  "feature map has 576 outputs, more than 512, is not run on "
                  "the device cuda; choose the device cpu"));
}

TEST(SupportTest, LongHeadsLeaveRoomForFewerFeatures) {
  proto::Job job = WithPreset("hedgehog");
  job.set_device("cuda");
  job.mutable_attention()->set_features(160);
  const proto::Job expanded = ExpandJob(job);
  EXPECT_THAT(CudaProblems(expanded, 128), ElementsAre());
  ASSERT_EQ(CudaProblems(expanded, 256).size(), 1u);
  EXPECT_THAT(CudaProblems(expanded, 256)[0].ToString(),
              HasSubstr("320 outputs, more than 256"));
}

TEST(SupportTest, LeftToUsNothingIsRefused) {
  proto::Job job = WithPreset("hedgehog");
  EXPECT_THAT(Lines(job), ElementsAre());
}

}  // namespace
}  // namespace caracal
