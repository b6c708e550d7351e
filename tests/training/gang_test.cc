// A job on any layout of ranks trains the model that one process trains: the
// losses of every step, and the state a checkpoint holds. The ranks are threads
// here; tests/end_to_end starts real ones.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/status_matchers.h"
#include "dist/checkpoint/catalogue.h"
#include "tests/training/gang_runs.h"

namespace caracal {
namespace {

using GangTest = GangRuns;

constexpr char kSsd[] =
    "preset: 'ssd' curriculum { drop { step: [ 0.9, 0.5 ] } granularity: HEAD "
    "closed_loop { every: 2 p_max: 0.8 } }";
constexpr char kMixed[] =
    "stages { transfer { steps: 3 loss { mse: 1000 xent: 0.5 kl: 0.1 } } } "
    "stages { finetune { steps: 4 loss { lm: 1 logit_kl: 0.5 } "
    "train_feature_maps: true } } "
    "attention { feature_map: 'hedgehog_fla' window_kind: 'terraced' "
    "affine: true } lora { projections: 'q' projections: 'v' "
    "projections: 'gate' projections: 'down' }";

const MeshShape kShapes[] = {
    {.data = 2}, {.data = 1, .tensor = 2}, {.data = 2, .tensor = 2},
    {.data = 4}, {.data = 1, .tensor = 3}, {.data = 1, .tensor = 4}};

TEST_F(GangTest, EveryLayoutTrainsTheSameModel) {
  for (const char* own : {kSsd, kMixed}) {
    SCOPED_TRACE(own);
    const std::string one = folder_.File(own == kSsd ? "one" : "one_mixed");
    ASSERT_OK(Run(own, {}, one));
    const RunMetrics expected = Metrics(one);
    ASSERT_EQ(expected.size(), 7);
    const RunState state = Read(one, 6);
    ASSERT_GT(state.size(), 10);
    for (const MeshShape& shape : kShapes) {
      SCOPED_TRACE(FormatMesh(shape));
      const std::string path = one + FormatMesh(shape);
      ASSERT_OK(Run(own, shape, path));
      ExpectClose(expected, Metrics(path));
      // After a stage's first step m is a tenth of the gradient. In the second
      // stage it is that of parameters which three steps have moved apart.
      ExpectNear(Read(one, 1), Read(path, 1), "optimizer/m", 1e-5);
      ExpectNear(Read(one, 4), Read(path, 4), "optimizer/m", 1e-3);
      // AdamW divides by the gradient's own size: of an element that is nearly
      // 0 the sign may turn, and with it a step of the learning rate.
      ExpectNear(state, Read(path, 6), "", 1e-2);
    }
  }
}

// One step from a state in the middle of either stage, dropout on.
TEST_F(GangTest, FromOneStateEveryGradientIsTheSame) {
  for (const char* own : {kSsd, kMixed}) {
    SCOPED_TRACE(own);
    const std::string one = folder_.File("one"), cut = folder_.File("cut");
    std::filesystem::remove_all(one);
    ASSERT_OK(Run(own, {}, one));
    for (const uint64_t step : {2, 6}) {
      const RunState expected = Gradients(one, step);
      for (const MeshShape& shape : kShapes) {
        SCOPED_TRACE(FormatMesh(shape) + ", step " + std::to_string(step));
        CopyUntil(step - 1, one, cut);
        ASSERT_OK(Run(own, shape, cut, /*resume=*/true));
        ExpectNear(expected, Gradients(cut, step), "", 1e-5);
        const double loss = Metrics(one)[step - 1]["loss"];
        EXPECT_NEAR(Metrics(cut)[step - 1]["loss"], loss, 1e-6 * loss);
      }
    }
  }
}

TEST_F(GangTest, TheSameLayoutTwiceIsTheSameBits) {
  const MeshShape shape = {.data = 2, .tensor = 2};
  ASSERT_OK(Run(kSsd, shape, folder_.File("a")));
  ASSERT_OK(Run(kSsd, shape, folder_.File("b")));
  EXPECT_EQ(Metrics(folder_.File("a")), Metrics(folder_.File("b")));
  EXPECT_EQ(Read(folder_.File("a"), 6), Read(folder_.File("b"), 6));
}

TEST_F(GangTest, GoesOnFromACheckpointBitForBit) {
  const MeshShape shape = {.data = 2, .tensor = 2};
  const std::string whole = folder_.File("whole"), cut = folder_.File("cut");
  ASSERT_OK(Run(kSsd, shape, whole));
  for (const uint64_t step : {2, 3, 5}) {
    SCOPED_TRACE(step);
    CopyUntil(step, whole, cut);
    ASSERT_OK(Run(kSsd, shape, cut, /*resume=*/true));
    EXPECT_EQ(Metrics(cut), Metrics(whole));
    EXPECT_EQ(Read(cut, 6), Read(whole, 6));
  }
}

// 2 x 2, then others (state_moves_test compares the state that they read).
TEST_F(GangTest, AnotherLayoutGoesOn) {
  const std::string path = folder_.File("run");
  ASSERT_OK(Run(kSsd, {.data = 2, .tensor = 2}, path));
  const RunMetrics metrics = Metrics(path);
  for (const MeshShape& shape :
       {MeshShape{}, MeshShape{.data = 4}, MeshShape{.data = 1, .tensor = 3}}) {
    SCOPED_TRACE(FormatMesh(shape));
    for (uint64_t later : {6, 7}) {
      std::filesystem::remove_all(CheckpointFolder(path, later));
    }
    ASSERT_OK(Run(kSsd, shape, path, /*resume=*/true));
    ExpectClose(metrics, Metrics(path));
  }
}

TEST_F(GangTest, RanksWithOtherJobsAreRefused) {
  const MeshShape shape = {.data = 2};
  const std::vector<absl::Status> results = RunRanks(shape, [&](int rank) {
    ConversionOptions options;
    options.job = Job(kSsd, shape);
    if (rank == 1) options.job.set_seed(4);
    options.run_folder = folder_.File("run");
    return options;
  });
  for (const absl::Status& status : results) {
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition,
                                 testing::HasSubstr("job fingerprint")));
  }
}

}  // namespace
}  // namespace caracal
