// The model on paper against what was measured (docs/benchmarks.md).
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <fstream>

#include "core/base/status_matchers.h"
#include "jobs/plan/communication.h"
#include "jobs/plan/machine.h"
#include "jobs/plan/memory.h"
#include "jobs/plan/time.h"
#include "jobs/spec/expand.h"
#include "nlohmann/json.hpp"

namespace caracal {
namespace {

constexpr double kGibibyte = 1 << 30;

ModelConfig Shape8b() {
  ModelConfig model;
  model.hidden_size = 4096;
  model.intermediate_size = 14336;
  model.layers = 32;
  model.heads = 32;
  model.kv_heads = 8;
  model.head_dim = 128;
  model.vocab_size = 128256;
  return model;
}

ModelConfig Shape135m() {
  ModelConfig model;
  model.hidden_size = 576;
  model.intermediate_size = 1536;
  model.layers = 30;
  model.heads = 9;
  model.kv_heads = 3;
  model.head_dim = 64;
  model.vocab_size = 49152;
  model.tie_word_embeddings = true;
  return model;
}

proto::Job Job(int batch) {
  proto::Job job;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      "preset: 'lolcats' attention { window: 64 features: 64 } "
      "budget { transfer_steps: 1 finetune_steps: 1 }",
      &job));
  job.mutable_budget()->set_batch(batch);
  return ExpandJob(job);
}

struct Estimate {
  double seconds = 0;
  double gibibytes = 0;
};

// As `caracal bench` runs it.
Estimate OneGpu(const ModelConfig& model, int batch, int stage) {
  Estimate out;
  const auto machine = MachineOf("h200");
  const auto layout = LayOut(Job(batch), stage, model, 1024, {});
  EXPECT_OK(machine.status());
  EXPECT_OK(layout.status());
  const auto part = PartOf(*layout, {});
  EXPECT_OK(part.status());
  StageLayout bf16 = *layout;
  bf16.value_bytes = 2;
  out.seconds =
      EstimateTime(*machine, bf16, *part, {}, StepTraffic(bf16, *part, {}))
          .total();
  const MemoryEstimate memory = EstimateMemory(bf16, *part, {});
  // What the driver has for itself is not the process's.
  out.gibibytes =
      static_cast<double>(memory.total() - memory.runtime) / kGibibyte;
  return out;
}

void ExpectWithin(double estimate, double measured, double tolerance) {
  EXPECT_NEAR(estimate / measured, 1, tolerance)
      << estimate << " estimated, " << measured << " measured";
}

// measured_steps.json, which docs/scaling.md's table is made of, too.
TEST(EstimatesTest, StepsAsTheyWereMeasured) {
  std::ifstream file("jobs/plan/measured_steps.json");
  const auto steps = nlohmann::json::parse(file);
  ASSERT_EQ(steps.size(), 4);
  for (const auto& step : steps) {
    const bool large = step["model"] == "8B";
    SCOPED_TRACE(step.dump());
    const Estimate estimate =
        OneGpu(large ? Shape8b() : Shape135m(), step["rows"],
               step["stage"] == "finetune" ? 1 : 0);
    const double tolerance = large ? 0.10 : 0.15;
    ExpectWithin(1000 * estimate.seconds, step["milliseconds"], tolerance);
    ExpectWithin(estimate.gibibytes, step["gibibytes"], tolerance);
  }
}

// matmul_cuda_bench, y = x W^T: products alone, for which the chip keeps its
// clock up, so that large ones are 10% quicker than in a step.
TEST(EstimatesTest, MatrixProducts) {
  ASSERT_OK_AND_ASSIGN(const Machine machine, MachineOf("h200"));
  struct Measured {
    double m, n, k, tflops;
  };
  for (const Measured& p : {Measured{16384, 6144, 4096, 797},
                            {16384, 4096, 4096, 777},
                            {16384, 28672, 4096, 690},
                            {16384, 4096, 14336, 790},
                            {2048, 128256, 4096, 784},
                            {16384, 960, 576, 457},
                            {16384, 576, 576, 467},
                            {16384, 3072, 576, 631},
                            {16384, 576, 1536, 667},
                            {4096, 49152, 576, 674}}) {
    ExpectWithin(ProductSeconds(machine, p.m, p.n, p.k),
                 2 * p.m * p.n * p.k / (p.tflops * 1e12), 0.21);
  }
}

TEST(EstimatesTest, ShardsAndReplicasShareOutWhatTheyCan) {
  ASSERT_OK_AND_ASSIGN(const Machine machine, MachineOf("h100"));
  const auto on = [&](const MeshShape& mesh, int stage) {
    auto layout = LayOut(Job(8), stage, Shape8b(), 1024, mesh);
    EXPECT_OK(layout.status());
    layout->micro_rows = 8 / mesh.data;
    const auto part = PartOf(*layout, {});
    EXPECT_OK(part.status());
    return std::pair(EstimateMemory(*layout, *part, {}),
                     EstimateTime(machine, *layout, *part, {},
                                  StepTraffic(*layout, *part, {})));
  };
  const auto [memory, time] = on({}, 1);
  const auto [data_memory, data_time] = on({.data = 2}, 1);
  EXPECT_EQ(data_memory.layer_weights, memory.layer_weights);
  EXPECT_EQ(data_memory.activations, memory.activations / 2);
  EXPECT_LT(data_memory.trained, memory.trained);  // moments
  EXPECT_NEAR(data_time.total() / time.total(), 0.5, 0.04);
  const auto [tensor_memory, tensor_time] = on({.data = 1, .tensor = 2}, 1);
  EXPECT_NEAR(static_cast<double>(tensor_memory.layer_weights) /
                  static_cast<double>(memory.layer_weights),
              0.5, 0.001);
  EXPECT_GT(tensor_time.tensor, 0);
  EXPECT_GT(tensor_time.total(), data_time.total());
  const auto [chain_memory, chain_time] = on({.data = 1, .layer = 2}, 0);
  const auto [alone_memory, alone_time] = on({}, 0);
  EXPECT_LT(chain_memory.layer_weights, alone_memory.layer_weights * 0.51);
  EXPECT_GT(chain_memory.ahead, 0u);
  EXPECT_NEAR(chain_time.total() / alone_time.total(), 0.5, 0.02);
  EXPECT_GT(chain_time.start, 0);
}

TEST(MachineTest, OnlyKnownGpus) {
  EXPECT_THAT(MachineOf("a100"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       testing::HasSubstr("use h100 or h200")));
}

}  // namespace
}  // namespace caracal
