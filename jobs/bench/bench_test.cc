#include "jobs/bench/bench.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "dist/mesh/thread_mesh.h"
#include "jobs/client/testing/tiny_model.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;

class BenchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK(WriteTinyModel(folder_.File("model")));
    options_.model = folder_.File("model");
    options_.batch = 2;
    options_.seq_len = 48;
    options_.window = 16;
    options_.threads = 1;
    options_.device = "cpu";
    options_.new_tokens = 4;
  }

  // By the ranks of a mesh: what the leading one finds, of the others whether
  // they failed.
  absl::StatusOr<BenchResult> RunOn(const MeshShape& shape) {
    absl::StatusOr<BenchResult> found = absl::UnknownError("no rank leads");
    RunAsMesh(shape, [&](MeshGroups& groups) {
      Gang gang(std::move(groups));
      BenchOptions mine = options_;
      mine.gang = &gang;
      absl::StatusOr<BenchResult> result = RunBench(mine);
      if (gang.leads()) {
        found = std::move(result);
      } else if (result.status().code() != absl::StatusCode::kInvalidArgument) {
        EXPECT_OK(result.status());
      }
    });
    return found;
  }

  TemporaryFolder folder_;
  BenchOptions options_;
};

void ExpectMeasured(const absl::StatusOr<BenchResult>& result) {
  ASSERT_OK(result.status());
  EXPECT_GT(result->low, 0);
  EXPECT_LE(result->low, result->tokens_per_s);
  EXPECT_LE(result->tokens_per_s, result->high);
  EXPECT_GT(result->flops.total(), 0);
  EXPECT_GT(result->mfu, 0);
  EXPECT_GT(result->peak_bytes, 0u);
  EXPECT_EQ(result->device, "CPU");
  // Only a GPU's time is told by kernel, or why it is not.
  EXPECT_TRUE(result->kernels.empty());
  EXPECT_EQ(result->no_kernels, "");
}

TEST_F(BenchTest, EveryStage) {
  for (const char* stage : {"transfer", "finetune", "decode"}) {
    options_.stage = stage;
    options_.batch = options_.stage == "decode" ? 1 : 2;
    SCOPED_TRACE(stage);
    const absl::StatusOr<BenchResult> result = RunBench(options_);
    ExpectMeasured(result);
    ASSERT_OK(result.status());
    // All weights are zero: outputs are alike, and so are 32 tokens.
    EXPECT_FLOAT_EQ(static_cast<float>(result->loss),
                    options_.stage == "finetune" ? std::log(32.0f) : 0);
  }
}

TEST_F(BenchTest, WhatAJobMayAskFor) {
  const auto attention_flops = [this] {
    const absl::StatusOr<BenchResult> result = RunBench(options_);
    ExpectMeasured(result);
    return result.ok() ? result->flops.attention : 0;
  };
  const double plain = attention_flops();
  options_.micro_batch = 1;
  EXPECT_EQ(attention_flops(), plain);
  options_.sinks = 2;
  const double with_sinks = attention_flops();
  EXPECT_GT(with_sinks, plain);
  options_.loss = "xent";
  options_.mode = "la_only";
  EXPECT_NE(attention_flops(), with_sinks);
  options_.stage = "finetune";
  options_.loss = "mse";
  options_.mode = "hybrid";
  options_.drop = 0.5;
  EXPECT_GT(attention_flops(), 0);
}

TEST_F(BenchTest, WhatAStageHasNoUseFor) {
  const auto expect_refused = [](const BenchOptions& options,
                                 const char* words) {
    EXPECT_THAT(RunBench(options).status(),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         testing::StartsWith(words)));
  };
  BenchOptions o = options_;
  o.drop = 0.5;
  expect_refused(o, "--drop: only a fine-tune");
  o = options_;
  o.launches = true;
  expect_refused(o, "--launches: only training on a GPU");
  o = options_;
  o.stage = "finetune";
  o.loss = "xent";
  expect_refused(o, "--loss: only transfer");
  o.loss = "mse";
  o.device = "tpu";
  expect_refused(o, "--device: there is no 'tpu'");
}

TEST_F(BenchTest, RanksOfEveryLayout) {
  for (const MeshShape& shape :
       {MeshShape{.data = 2}, MeshShape{.layer = 2}, MeshShape{.tensor = 2}}) {
    SCOPED_TRACE(FormatMesh(shape));
    const absl::StatusOr<BenchResult> result = RunOn(shape);
    ExpectMeasured(result);
    ASSERT_OK(result.status());
    EXPECT_EQ(result->ranks, 2);
  }
}

TEST_F(BenchTest, WhatAChainCannotDo) {
  options_.batch = 3;
  options_.micro_batch = 2;
  EXPECT_THAT(RunOn({.layer = 2}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("--micro-batch: in a layer chain it must "
                                 "divide --batch, 3")));
  options_.stage = "finetune";
  EXPECT_THAT(RunOn({.layer = 2}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("--layer: a fine-tune has no layer chain")));
}

}  // namespace
}  // namespace caracal
