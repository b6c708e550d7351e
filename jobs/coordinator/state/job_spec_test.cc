#include "jobs/coordinator/state/job_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/status_matchers.h"
#include "jobs/spec/expand.h"
#include "jobs/spec/job_file.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

proto::Job AnyJob() {
  proto::Job job;
  job.set_preset("ssd");
  job.set_name("one");
  job.mutable_model()->set_path("/m\xc3\xbcller");
  return ExpandJob(job);
}

TEST(JobSpecTest, ComesBack) {
  const proto::Job job = AnyJob();
  const std::string spec = MakeSpec(job);
  ASSERT_OK_AND_ASSIGN(const proto::Job read, ReadSpec(spec));
  EXPECT_EQ(JobText(read), JobText(job));
  EXPECT_EQ(SpecText(spec), JobText(job));
}

TEST(JobSpecTest, TextsOfOlderProgramsAreRead) {
  const std::string text = JobText(AnyJob());
  ASSERT_OK_AND_ASSIGN(const proto::Job read, ReadSpec(text));
  EXPECT_EQ(MakeSpec(read), MakeSpec(AnyJob()));
  EXPECT_EQ(SpecText(text), text);
}

TEST(JobSpecTest, WhatIsNoJobIsTold) {
  EXPECT_THAT(
      ReadSpec("# a job\nnonsense: 3").status(),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("nonsense")));
  EXPECT_THAT(
      ReadSpec("\x0a\x7f").status(),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no job")));
  EXPECT_THAT(SpecText("\x0a\x7f"), StartsWith("# job: "));
}

}  // namespace
}  // namespace caracal
