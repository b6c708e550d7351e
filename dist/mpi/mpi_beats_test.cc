#include "dist/mpi/mpi_beats.h"

#include <gtest/gtest.h>

#include "core/base/status_matchers.h"
#include "dist/mpi/testing/mpi_test_main.h"

namespace caracal {
namespace {

TEST(MpiBeats, GoToTheRankBefore) {
  ASSERT_OK_AND_ASSIGN(const auto beats, MpiBeats::Make(TestRuntime()));
  ASSERT_OK_AND_ASSIGN(const auto world, TestRuntime().World("test's group"));
  const int rank = world->rank(), size = world->size();
  // One rank after the other: who has it tells that its beat came from the rank
  // after it, for no other has sent one yet.
  for (int sender = size - 1; sender >= 0; --sender) {
    if (rank == sender) beats->Send();
    if (rank == (sender + size - 1) % size) {
      while (!beats->Receive()) {
      }
    }
    ASSERT_OK(world->Barrier());
    EXPECT_FALSE(beats->Receive());
    // Nobody sends the next one before all have looked.
    ASSERT_OK(world->Barrier());
  }
}

TEST(MpiBeats, DoNotWaitForThoseWhoTakeNone) {
  ASSERT_OK_AND_ASSIGN(const auto beats, MpiBeats::Make(TestRuntime()));
  for (int i = 0; i < 1000; ++i) beats->Send();
  while (!beats->Receive()) {
  }
}

}  // namespace
}  // namespace caracal
