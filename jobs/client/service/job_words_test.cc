#include "jobs/client/service/job_words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace caracal {
namespace {

TEST(RemovalWords, SayWhatWentAndWhatStays) {
  proto::RemoveJobResponse removed;
  EXPECT_EQ(RemovalWords(3, removed), "job 3 is removed");
  removed.set_gangs(1);
  removed.set_bytes(1536);
  EXPECT_EQ(RemovalWords(3, removed),
            "job 3 is removed, with the folder of its gang (1.5 KiB)");
  removed.set_gangs(2);
  removed.set_run_folder("/runs/3");
  EXPECT_EQ(RemovalWords(3, removed),
            "job 3 is removed, with the folders of 2 gangs (1.5 KiB); its run "
            "folder stays: /runs/3");
  removed.set_gone(true);
  EXPECT_EQ(RemovalWords(3, removed), "job 3 was removed before");
}

TEST(StateWord, IsOfPeople) {
  EXPECT_EQ(StateWord(proto::SUCCEEDED), "succeeded");
  EXPECT_EQ(StateWord(static_cast<proto::JobState>(99)), "unknown");
}

}  // namespace
}  // namespace caracal
