#include "jobs/spec/support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "jobs/spec/expand.h"
#include "jobs/spec/presets.h"

namespace caracal {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> Lines(const proto::Job& job, int64_t head_dim = 128) {
  std::vector<std::string> lines;
  for (const Problem& problem : CudaProblems(ExpandJob(job), head_dim)) {
    lines.push_back(problem.ToString());
  }
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

TEST(SupportTest, RunsEveryFeatureMap) {
  for (const char* map : {"hedgehog", "exp", "t2r", "elu1", "hedgehog_fla"}) {
    proto::Job job = WithPreset("hedgehog");
    job.mutable_attention()->set_feature_map(map);
    job.mutable_attention()->set_features(256);
    EXPECT_THAT(Lines(job), ElementsAre()) << map;
  }
}

// Beside tiles of long heads fewer features fit.
TEST(SupportTest, SaysWhatIsNotRun) {
  proto::Job job = WithPreset("hedgehog");
  job.mutable_attention()->set_features(128);
  EXPECT_THAT(Lines(job, 256), ElementsAre());
  job.mutable_attention()->set_features(160);
  EXPECT_THAT(
      Lines(job, 256),
      ElementsAre("stages[0].transfer.loss: a loss on attention weights whose "
                  "feature map has 320 outputs, more than 256, is not run on "
                  "the device cuda; choose the device cpu"));
  // Of half a map outputs are half as many.
  job.mutable_attention()->set_half_space(true);
  EXPECT_THAT(Lines(job, 256), ElementsAre());
  // The outputs' loss does not form them.
  job = WithPreset("lolcats");
  job.mutable_attention()->set_features(160);
  EXPECT_THAT(Lines(job, 256), ElementsAre());
}

}  // namespace
}  // namespace caracal
