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

TEST(SupportTest, RunsEveryPreset) {
  for (const std::string& name : PresetNames()) {
    EXPECT_THAT(Lines(WithPreset(name.c_str())), ElementsAre()) << name;
  }
}

TEST(SupportTest, RefusesFieldsByName) {
  proto::Job job = WithPreset("lolcats");
  job.set_device("cuda");
  EXPECT_THAT(
      Lines(job),
      ElementsAre("device: training on a GPU is not run by this version"));
}

}  // namespace
}  // namespace caracal
