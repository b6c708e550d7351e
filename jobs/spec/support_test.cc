#include "jobs/spec/support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "jobs/spec/expand.h"
#include "jobs/spec/presets.h"

namespace caracal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr size_t kHopper = 227 << 10, kAmpere = 163 << 10, kAda = 99 << 10;

std::vector<std::string> Lines(const proto::Job& job, int64_t head_dim = 128,
                               size_t block_bytes = kHopper) {
  std::vector<std::string> lines;
  for (const Problem& problem :
       CudaProblems(ExpandJob(job), head_dim, block_bytes)) {
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

// Beside tiles of long heads fewer features fit, and on chips with less shared
// memory.
TEST(SupportTest, SaysWhatIsNotRun) {
  proto::Job job = WithPreset("hedgehog");
  job.mutable_attention()->set_features(256);
  EXPECT_THAT(Lines(job, 256), ElementsAre());
  EXPECT_THAT(
      Lines(job, 256, kAmpere),
      ElementsAre("stages[0].transfer.loss: a loss on attention weights whose "
                  "feature map has 512 outputs, more than the 368 that fit a "
                  "block's shared memory, is not run on a GPU"));
  EXPECT_THAT(Lines(job, 128, kAmpere), ElementsAre(HasSubstr("the 496 that")));
  EXPECT_THAT(Lines(job, 128, kAda), ElementsAre(HasSubstr("the 240 that")));
  // Of half a map outputs are half as many.
  job.mutable_attention()->set_half_space(true);
  EXPECT_THAT(Lines(job, 256, kAmpere), ElementsAre());
  job.mutable_attention()->set_half_space(false);
  job.mutable_attention()->set_features(64);
  EXPECT_THAT(Lines(job, 128, kAmpere), ElementsAre());
  // The outputs' loss does not form them.
  job = WithPreset("lolcats");
  job.mutable_attention()->set_features(256);
  EXPECT_THAT(Lines(job, 256), ElementsAre());
}

}  // namespace
}  // namespace caracal
