#include "jobs/spec/slots.h"

#include <gtest/gtest.h>

namespace caracal {
namespace {

proto::Job JobOf(int ranks, int threads) {
  proto::Job job;
  job.mutable_parallel()->set_data(ranks);
  job.set_threads(threads);
  return job;
}

TEST(Slots, AreThreadsOfRanks) {
  EXPECT_EQ(SlotsOf(JobOf(2, 3), 16), 6);
  EXPECT_EQ(ThreadsOf(JobOf(2, 3), 16), 3);
}

TEST(Slots, WithoutThreadsAJobTakesAll) {
  EXPECT_EQ(SlotsOf(JobOf(1, 0), 16), 16);
  EXPECT_EQ(ThreadsOf(JobOf(1, 0), 16), 16);
  EXPECT_EQ(SlotsOf(JobOf(3, 0), 16), 16);
  EXPECT_EQ(ThreadsOf(JobOf(3, 0), 16), 5);
  // More ranks than there is room for.
  EXPECT_EQ(SlotsOf(JobOf(4, 0), 2), 4);
  EXPECT_EQ(ThreadsOf(JobOf(4, 0), 2), 1);
}

}  // namespace
}  // namespace caracal
