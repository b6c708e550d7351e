#include "dist/liveness/liveness.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "core/base/status_matchers.h"
#include "dist/mpi/mpi_beats.h"
#include "dist/mpi/testing/mpi_test_main.h"

namespace caracal {
namespace {

class LivenessTest : public testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<Liveness>> Start() {
    ASSIGN_OR_RETURN(std::unique_ptr<Collective> world,
                     TestRuntime().World("liveness's group"));
    ASSIGN_OR_RETURN(std::unique_ptr<MpiBeats> beats,
                     MpiBeats::Make(TestRuntime()));
    return Liveness::Start(
        std::move(world), TestRuntime().host(), std::move(beats),
        {.tell = [this](const std::string& line) { lines_.push_back(line); },
         .abort = [this](int status) { status_ = status; },
         .quit = [this](int status) { status_ = status; }});
  }

  std::vector<std::string> lines_;
  int status_ = 0;
};

TEST_F(LivenessTest, ACleanEndIsNoLoss) {
  ASSERT_OK_AND_ASSIGN(const auto liveness, Start());
  EXPECT_OK(liveness->Agree(absl::OkStatus()));
  EXPECT_OK(liveness->Leave());
  EXPECT_TRUE(lines_.empty());
  EXPECT_EQ(status_, 0);
}

TEST_F(LivenessTest, SaysWhereTheRankIs) {
  ASSERT_OK_AND_ASSIGN(const auto liveness, Start());
  EXPECT_EQ(liveness->Where(), "while loading");
  liveness->SetStep("finetune", 17);
  EXPECT_EQ(liveness->Where(), "after step 17 of finetune");
  EXPECT_OK(liveness->Leave());
}

// All have an error at once: one tells it, and all end with its status.
TEST_F(LivenessTest, OneRankOfAMachineTells) {
  ASSERT_OK_AND_ASSIGN(const auto liveness, Start());
  ASSERT_OK_AND_ASSIGN(const auto world, TestRuntime().World("test's group"));
  liveness->Fail(world->rank() + 1, "mine", false);
  struct Outcome {
    int lines, status;
  };
  const Outcome mine = {static_cast<int>(lines_.size()), status_};
  std::vector<Outcome> all(world->size());
  ASSERT_OK(world->AllGatherBytes(&mine, sizeof(mine), all.data()));
  int lines = 0;
  for (int r = 0; r < world->size(); ++r) {
    lines += all[r].lines;
    EXPECT_EQ(all[r].status, status_) << "rank " << r;
    // The teller's own.
    if (all[r].lines == 1) {
      EXPECT_EQ(status_, r + 1);
    }
  }
  EXPECT_EQ(lines, 1);
  EXPECT_OK(liveness->Leave());
}

}  // namespace
}  // namespace caracal
