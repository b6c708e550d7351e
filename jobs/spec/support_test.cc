#include "jobs/spec/support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "jobs/spec/expand.h"
#include "jobs/spec/presets.h"

namespace caracal {
namespace {

using ::testing::ElementsAre;

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

TEST(SupportTest, RunsTheseTwoPresets) {
  EXPECT_THAT(Lines(WithPreset("lolcats")), ElementsAre());
  EXPECT_THAT(Lines(WithPreset("swa_control")), ElementsAre());
}

TEST(SupportTest, RefusesAPresetByWhatItNeeds) {
  EXPECT_THAT(Lines(WithPreset("ssd")),
              ElementsAre("preset: 'ssd' needs a curriculum, which this "
                          "version does not run"));
  EXPECT_THAT(Lines(WithPreset("hedgehog")),
              ElementsAre("preset: 'hedgehog' needs attention transfer in a "
                          "mode other than hybrid and the xent transfer loss, "
                          "which this version does not run"));
}

TEST(SupportTest, RefusesFieldsByName) {
  proto::Job job = WithPreset("lolcats");
  job.set_device("cuda");
  job.mutable_parallel()->set_tensor(2);
  job.mutable_attention()->set_window_kind("terraced");
  job.mutable_attention()->set_reset_at_document(true);
  job.mutable_curriculum()->mutable_drop()->set_constant(0.5);
  EXPECT_THAT(
      Lines(job),
      ElementsAre("stages[1].finetune.curriculum: a curriculum is not run by "
                  "this version",
                  "attention.window_kind: a terraced window is not run by this "
                  "version",
                  "attention.reset_at_document: a reset at document borders is "
                  "not run by this version",
                  "parallel.tensor: tensor parallelism is not run by this "
                  "version",
                  "device: training on a GPU is not run by this version"));
}

TEST(SupportTest, AddsTheJobsOwnToThePresets) {
  proto::Job job = WithPreset("ssd");
  job.mutable_parallel()->set_data(2);
  EXPECT_THAT(Lines(job), ElementsAre(::testing::StartsWith("preset: 'ssd'"),
                                      ::testing::StartsWith("parallel.data")));
}

}  // namespace
}  // namespace caracal
