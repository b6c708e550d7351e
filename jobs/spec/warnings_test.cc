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
  job.mutable_attention()->set_window(60);
  job.mutable_attention()->set_sinks(4);
  job.mutable_budget()->set_batch(8);
  job.set_threads(4);
  return job;
}

TEST(JobWarningsTest, NoneOnTheEdge) {
  // With 65 targets the last query has one key outside the window and sinks.
  EXPECT_THAT(JobWarnings(Job(), {.rows = 8, .seq_len = 65, .cores = 2}),
              IsEmpty());
  proto::Job job = Job();
  job.set_threads(0);  // one a core
  EXPECT_THAT(JobWarnings(job, {.rows = 8, .seq_len = 65, .cores = 1}),
              IsEmpty());
}

TEST(JobWarningsTest, OneForEachSlip) {
  EXPECT_THAT(JobWarnings(Job(), {.rows = 8, .seq_len = 64, .cores = 2}),
              ElementsAre(HasSubstr("attention.window: is 60, which with 4 "
                                    "sinks covers whole rows of 64 tokens")));
  EXPECT_THAT(
      JobWarnings(Job(), {.rows = 7, .seq_len = 65, .cores = 2}),
      ElementsAre(HasSubstr("budget.batch: is 8, but the data has 7 rows")));
  EXPECT_THAT(JobWarnings(Job(), {.rows = 8, .seq_len = 65, .cores = 1}),
              ElementsAre(HasSubstr("threads: is 4, but there is 1 core")));
  EXPECT_EQ(JobWarnings(Job(), {.rows = 1, .seq_len = 16, .cores = 1}).size(),
            3u);
}

}  // namespace
}  // namespace caracal
