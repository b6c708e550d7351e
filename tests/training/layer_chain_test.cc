// A layer chain trains the model that one process trains, and hands it on to
// the next stage's layout.
#include <gtest/gtest.h>

#include <atomic>
#include <string>

#include "core/base/status_matchers.h"
#include "tests/model/tall_model.h"
#include "tests/training/gang_runs.h"

namespace caracal {
namespace {

constexpr char kSsd[] =
    "preset: 'ssd' curriculum { drop { step: [ 0.9, 0.5 ] } }";
// A layer that learns nothing, all three losses.
constexpr char kKept[] =
    "stages { transfer { steps: 3 loss { mse: 1000 xent: 0.5 kl: 0.1 } } } "
    "stages { finetune { steps: 4 train_feature_maps: true } } "
    "attention { softmax_layers: 1 feature_map: 'hedgehog_fla' }";
// A stage that ends before its steps do: nobody is left waiting for rows that
// others have under way.
constexpr char kStopped[] =
    "stages { transfer { steps: 9 lr: 1e-9 early_stop { patience: 1 } } } "
    "stages { finetune { steps: 2 } } checkpoint { keep_best: true } "
    "validation { every_steps: 1 }";

class LayerChainTest : public GangRuns {
 protected:
  void SetUp() override {
    GangRuns::SetUp();
    model_ = folder_.File("tall");
    ASSERT_OK(golden::WriteTallModel(model_, 5));
  }
};

// Where products are split over tensor ranks. The five layers of this model
// make more of a rounding than three do: AdamW's first step is as long where a
// gradient is next to 0 as elsewhere. One process with OpenBLAS's kernels for
// AVX2 instead of those for AVX-512 is 2.3e-6 off.
constexpr double kSplitProducts = 1e-5;

const MeshShape kChains[] = {{.layer = 2},
                             {.layer = 4},
                             {.data = 2, .layer = 2},
                             {.tensor = 2, .layer = 2}};

TEST_F(LayerChainTest, TrainsTheSameModel) {
  for (const char* own : {kSsd, kKept}) {
    SCOPED_TRACE(own);
    const std::string one = folder_.File(own == kSsd ? "one" : "one_kept");
    ASSERT_OK(Run(own, {}, one));
    const RunMetrics expected = Metrics(one);
    ASSERT_EQ(expected.size(), 7);
    for (const MeshShape& shape : kChains) {
      // Micro-batches of one row and of all.
      for (const int micro : {1, 2}) {
        if (shape.layer == 4 && micro > 1) continue;
        SCOPED_TRACE(FormatMesh(shape) +
                     ", rows at a time: " + std::to_string(micro));
        const std::string path =
            one + FormatMesh(shape) + std::to_string(micro);
        proto::Job job = Job(own, shape);
        job.mutable_budget()->set_micro_batch(micro);
        ASSERT_OK(RunJob(job, shape, path));
        const bool split = shape.tensor > 1;
        ExpectClose(AsOfChain(expected), Metrics(path),
                    split ? kSplitProducts : 1e-6);
        ExpectNear(Read(one, 1), Read(path, 1), "optimizer/m", 1e-5);
        ExpectNear(Read(one, 2), Read(path, 2), "optimizer/m",
                   split ? 1e-3 : 1e-4);
        ExpectNear(Read(one, 4), Read(path, 4), "optimizer/m", 1e-3);
        ExpectNear(Read(one, 6), Read(path, 6), "", 1e-2);
      }
    }
  }
}

TEST_F(LayerChainTest, FromOneStateEveryGradientIsTheSame) {
  const std::string one = folder_.File("one"), cut = folder_.File("cut");
  ASSERT_OK(Run(kKept, {}, one));
  for (const uint64_t step : {2, 6}) {
    const RunState expected = Gradients(one, step);
    for (const MeshShape& shape : kChains) {
      SCOPED_TRACE(FormatMesh(shape) + ", step " + std::to_string(step));
      CopyUntil(step - 1, one, cut);
      ASSERT_OK(Run(kKept, shape, cut, /*resume=*/true));
      ExpectNear(expected, Gradients(cut, step), "", 1e-5);
    }
  }
}

// Transfer alone has no sums over rows in another order: the split changes
// nothing at all.
TEST_F(LayerChainTest, TransferIsTheSameBits) {
  constexpr char kTransfer[] = "stages { transfer { steps: 5 } }";
  ASSERT_OK(Run(kTransfer, {}, folder_.File("one")));
  for (const int layer : {2, 3, 5}) {
    const std::string path = folder_.File("chain" + std::to_string(layer));
    ASSERT_OK(Run(kTransfer, {.layer = layer}, path));
    EXPECT_EQ(Metrics(path), AsOfChain(Metrics(folder_.File("one"))));
    EXPECT_EQ(Read(path, 4), Read(folder_.File("one"), 4));
    EXPECT_EQ(Read(path, 5), Read(folder_.File("one"), 5));
  }
}

TEST_F(LayerChainTest, AStageThatStopsEarlyLeavesNobodyWaiting) {
  ASSERT_OK(Run(kStopped, {}, folder_.File("one")));
  const RunMetrics expected = Metrics(folder_.File("one"));
  ASSERT_LT(expected.size(), 9);
  ASSERT_OK(Run(kStopped, {.layer = 4}, folder_.File("chain")));
  ExpectClose(AsOfChain(expected), Metrics(folder_.File("chain")));
}

// A chain of 4, cut off in transfer, goes on as a chain of 2, then as one
// process: the state read back is what was saved, and so is what follows.
TEST_F(LayerChainTest, GoesOnOnAnotherLayout) {
  const std::string whole = folder_.File("whole"), cut = folder_.File("cut");
  ASSERT_OK(Run(kSsd, {.layer = 4}, whole));
  for (const MeshShape& shape :
       {MeshShape{.layer = 4}, MeshShape{.layer = 2}, MeshShape{},
        MeshShape{.data = 2, .tensor = 2}}) {
    SCOPED_TRACE(FormatMesh(shape));
    CopyUntil(2, whole, cut);
    ASSERT_OK(Run(kSsd, shape, cut, /*resume=*/true));
    if (shape.layer == 4) {
      EXPECT_EQ(Metrics(cut), Metrics(whole));
      EXPECT_EQ(Read(cut, 6), Read(whole, 6));
    } else {
      ExpectClose(Metrics(whole), AsOfChain(Metrics(cut)));
    }
  }
}

TEST_F(LayerChainTest, StopsAtAStepAndGoesOn) {
  const std::string whole = folder_.File("whole"), path = folder_.File("run");
  const MeshShape shape = {.layer = 4};
  ASSERT_OK(Run(kSsd, shape, whole));
  std::atomic<bool> stop = false;
  const auto options = [&](int rank) {
    ConversionOptions out;
    out.job = Job(kSsd, shape);
    out.run_folder = path;
    out.stop = &stop;
    if (rank == 0) {
      out.events.step = [&](const StepRecord& record) {
        if (record.global_step == 2) stop = true;
      };
    }
    return out;
  };
  for (const absl::Status& status : RunRanks(shape, options)) {
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kCancelled,
                                 testing::HasSubstr("stopped after step 2")));
  }
  ASSERT_OK(Run(kSsd, shape, path, /*resume=*/true));
  EXPECT_EQ(Metrics(path), Metrics(whole));
}

// Fine-tuning on a layout of its own.
TEST_F(LayerChainTest, FineTuningHasItsOwnLayout) {
  ASSERT_OK(Run(kSsd, {}, folder_.File("one")));
  const std::string own =
      std::string(kSsd) + " parallel { finetune { tensor: 2 } }";
  ASSERT_OK(Run(own, {.data = 2, .layer = 2}, folder_.File("gang")));
  ExpectClose(AsOfChain(Metrics(folder_.File("one"))),
              Metrics(folder_.File("gang")));
}

}  // namespace
}  // namespace caracal
