#include "jobs/spec/warnings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace caracal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

proto::Job Job() {
  proto::Job job;
  job.mutable_data()->set_path("train.h5");
  job.mutable_attention()->set_window(60);
  job.mutable_attention()->set_sinks(4);
  job.mutable_budget()->set_batch(8);
  job.set_threads(4);
  return job;
}

JobSurroundings Around(int64_t rows, int64_t tokens, int cores) {
  JobSurroundings around;
  around.train = {.rows = rows, .tokens = tokens};
  around.cores = cores;
  return around;
}

TEST(JobWarningsTest, NoneOnTheEdge) {
  // With 65 targets the last query has one key outside the window and sinks.
  EXPECT_THAT(JobWarnings(Job(), Around(8, 65, 2)), IsEmpty());
  proto::Job job = Job();
  job.set_threads(0);  // one a core
  EXPECT_THAT(JobWarnings(job, Around(8, 65, 1)), IsEmpty());
}

TEST(JobWarningsTest, OneForEachSlip) {
  EXPECT_THAT(JobWarnings(Job(), Around(8, 64, 2)),
              ElementsAre(HasSubstr("attention.window: is 60, which with 4 "
                                    "sinks covers whole rows of 64 tokens")));
  EXPECT_THAT(
      JobWarnings(Job(), Around(7, 65, 2)),
      ElementsAre(HasSubstr("budget.batch: is 8, but the data has 7 rows")));
  EXPECT_THAT(JobWarnings(Job(), Around(8, 65, 1)),
              ElementsAre(HasSubstr("threads: is 4, but there is 1 core")));
  EXPECT_EQ(JobWarnings(Job(), Around(1, 16, 1)).size(), 3u);
  proto::Job job = Job();
  job.mutable_data()->set_validation("train.h5");
  EXPECT_THAT(JobWarnings(job, Around(8, 65, 2)),
              ElementsAre(HasSubstr("data.validation: is data.path again")));
  job = Job();
  job.add_stages()->mutable_finetune()->set_steps(0);
  EXPECT_THAT(JobWarnings(job, Around(8, 65, 2)),
              ElementsAre(HasSubstr("nothing is trained")));
  job.add_stages()->mutable_transfer()->set_steps(1);
  EXPECT_THAT(JobWarnings(job, Around(8, 65, 2)), IsEmpty());
}

// A terraced window sees the whole block before its own.
TEST(JobWarningsTest, KnowsTheWindowKind) {
  proto::Job job = Job();
  job.mutable_attention()->set_window(20);
  EXPECT_THAT(JobWarnings(job, Around(8, 40, 2)), IsEmpty());
  job.mutable_attention()->set_window_kind("terraced");
  EXPECT_THAT(JobWarnings(job, Around(8, 40, 2)),
              ElementsAre(HasSubstr("attention.window: is 20")));
  EXPECT_THAT(JobWarnings(job, Around(8, 41, 2)), IsEmpty());
  job.mutable_data()->set_seq_len(40);
  EXPECT_THAT(JobWarnings(job, Around(8, 64, 2)),
              ElementsAre(HasSubstr("rows of 40 tokens")));
}

}  // namespace
}  // namespace caracal
