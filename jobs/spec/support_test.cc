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

TEST(SupportTest, RunsThesePresets) {
  for (const char* name :
       {"lolcats", "hedgehog", "hedgecats", "ssd", "swa_control"}) {
    EXPECT_THAT(Lines(WithPreset(name)), ElementsAre()) << name;
  }
}

TEST(SupportTest, RefusesAPresetByWhatItNeeds) {
  EXPECT_THAT(Lines(WithPreset("inference_hybrid")),
              ElementsAre("preset: 'inference_hybrid' needs evaluation in a "
                          "mode other than the last stage's and gamma set at "
                          "inference, which this version does not run"));
}

TEST(SupportTest, RefusesFieldsByName) {
  proto::Job job = WithPreset("lolcats");
  job.set_device("cuda");
  job.mutable_parallel()->set_tensor(2);
  job.mutable_attention()->set_compat(proto::Attention::LOLCATS_REFERENCE);
  job.mutable_evaluation()->add_gamma_override(0.5);
  EXPECT_THAT(
      Lines(job),
      ElementsAre("attention.compat: compatibility with LoLCATs' code is not "
                  "run by this version",
                  "parallel.tensor: tensor parallelism is not run by this "
                  "version",
                  "evaluation.gamma_override: gamma set at inference is not "
                  "run by this version",
                  "device: training on a GPU is not run by this version"));
}

TEST(SupportTest, AddsTheJobsOwnToThePresets) {
  proto::Job job = WithPreset("inference_hybrid");
  job.mutable_parallel()->set_data(2);
  EXPECT_THAT(Lines(job), ElementsAre(::testing::StartsWith("preset: 'infer"),
                                      ::testing::StartsWith("parallel.data")));
}

}  // namespace
}  // namespace caracal
