// The model on paper against what was measured (docs/benchmarks.md).
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

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

// Whose transfer learns from `loss`.
proto::Job Job(int batch, const std::string& loss = "mse: 1") {
  using google::protobuf::TextFormat;
  proto::Job job;
  EXPECT_TRUE(TextFormat::ParseFromString(
      "preset: 'lolcats' attention { window: 64 features: 64 } "
      "budget { transfer_steps: 1 finetune_steps: 1 }",
      &job));
  job.mutable_budget()->set_batch(batch);
  proto::Job expanded = ExpandJob(job);
  EXPECT_TRUE(TextFormat::ParseFromString(
      loss, expanded.mutable_stages(0)->mutable_transfer()->mutable_loss()));
  return expanded;
}

struct Estimate {
  double seconds = 0;
  double gibibytes = 0;
};

TimeEstimate TimeOf(const Machine& machine, const StageLayout& layout) {
  const auto part = PartOf(layout, {});
  EXPECT_OK(part.status());
  return EstimateTime(machine, layout, *part, {},
                      StepTraffic(layout, *part, {}));
}

// With all rows of a rank at a time.
StageLayout OnGpus(const ModelConfig& model, const proto::Job& job, int stage,
                   const MeshShape& mesh = {}) {
  auto layout = LayOut(job, stage, model, 1024, mesh);
  EXPECT_OK(layout.status());
  layout->on_gpus = true;
  layout->value_bytes = 2;
  layout->micro_rows = layout->rows / mesh.data;
  return *layout;
}

// As `caracal bench` runs it.
Estimate Estimated(const nlohmann::json& step) {
  Estimate out;
  const auto machine = MachineOf("h200");
  EXPECT_OK(machine.status());
  StageLayout layout =
      OnGpus(step["model"] == "8B" ? Shape8b() : Shape135m(),
             Job(step["batch"], step.value("loss", "mse") + ": 1"),
             step["stage"] == "finetune" ? 1 : 0,
             {.data = step.value("data", 1),
              .tensor = step.value("tensor", 1),
              .layer = step.value("layer", 1)});
  layout.micro_rows = step["rows"];
  out.seconds = TimeOf(*machine, layout).total();
  const auto part = PartOf(layout, {});
  EXPECT_OK(part.status());
  const MemoryEstimate memory = EstimateMemory(layout, *part, {});
  // What the driver has for itself is not the process's.
  out.gibibytes =
      static_cast<double>(memory.total() - memory.runtime) / kGibibyte;
  return out;
}

void ExpectWithin(double estimate, double measured, double tolerance) {
  EXPECT_NEAR(estimate / measured, 1, tolerance)
      << estimate << " estimated, " << measured << " measured";
}

// measured_steps.json, which docs/scaling.md's table is made of, too: `batch`
// rows of a step, `rows` that a rank runs at a time.
TEST(EstimatesTest, StepsAsTheyWereMeasured) {
  std::ifstream file("jobs/plan/measured_steps.json");
  const auto steps = nlohmann::json::parse(file);
  ASSERT_EQ(steps.size(), 13);
  for (const auto& step : steps) {
    SCOPED_TRACE(step.dump());
    const Estimate estimate = Estimated(step);
    const double tolerance = step["model"] == "8B" ? 0.10 : 0.15;
    const bool closer = step.contains("tensor") || step.contains("loss");
    ExpectWithin(1000 * estimate.seconds, step["milliseconds"],
                 closer ? 0.05 : tolerance);
    ExpectWithin(estimate.gibibytes, step["gibibytes"], tolerance);
  }
}

// Measured on other GPUs than measured_steps.json's.
TEST(EstimatesTest, TensorRanksOfAnotherPair) {
  ASSERT_OK_AND_ASSIGN(const Machine machine, MachineOf("h200"));
  for (const auto& [stage, tokens_per_s] :
       {std::pair(0, 84838.0), {1, 37353.0}}) {
    const StageLayout layout =
        OnGpus(Shape8b(), Job(8), stage, {.data = 1, .tensor = 2});
    ExpectWithin(TimeOf(machine, layout).total(), 8192 / tokens_per_s, 0.04);
  }
}

// Within a node products hide most of what goes between them, the less of it
// the more ranks share them out; between nodes nothing does.
TEST(EstimatesTest, ProductsHideExchangesOfANode) {
  ASSERT_OK_AND_ASSIGN(Machine machine, MachineOf("h200"));
  for (const int stage : {0, 1}) {
    double last = 0;
    for (const int ranks : {2, 4, 8}) {
      SCOPED_TRACE(ranks);
      const StageLayout layout =
          OnGpus(Shape8b(), Job(8), stage, {.data = 1, .tensor = ranks});
      machine.gpus_per_node = 8;
      const TimeEstimate node = TimeOf(machine, layout);
      EXPECT_GT(node.tensor / node.total(), last);
      last = node.tensor / node.total();
      ASSERT_OK_AND_ASSIGN(const RankPart part, PartOf(layout, {}));
      const double link =
          static_cast<double>(StepTraffic(layout, part, {}).tensor) /
          machine.node_bytes_per_s;
      if (ranks == 2) {
        EXPECT_LT(node.tensor, 0.5 * link);
      }
      machine.gpus_per_node = 1;
      const TimeEstimate network = TimeOf(machine, layout);
      EXPECT_GT(network.tensor,
                link * machine.node_bytes_per_s / machine.network_bytes_per_s);
      EXPECT_EQ(network.products, node.products);
    }
  }
}

// What it learns from costs what it costs, whatever else it learns from.
TEST(EstimatesTest, LossesOfATransferAddUp) {
  ASSERT_OK_AND_ASSIGN(const Machine machine, MachineOf("h200"));
  const auto seconds = [&](const std::string& loss) {
    return TimeOf(machine, OnGpus(Shape8b(), Job(8, loss), 0)).total();
  };
  const double outputs = seconds("mse: 1"), weights = seconds("xent: 1");
  EXPECT_GT(weights, 1.2 * outputs);
  EXPECT_EQ(seconds("kl: 1"), weights);
  EXPECT_EQ(seconds("xent: 1 kl: 1"), weights);
  const double both = seconds("mse: 1000 xent: 1");
  EXPECT_GT(both, weights);
  EXPECT_LT(both, weights + outputs);
}

TEST(EstimatesTest, WeightLossesGrowWithTheSquareOfTheRows) {
  ASSERT_OK_AND_ASSIGN(const Machine machine, MachineOf("h200"));
  const auto seconds = [&](int rows, int64_t tokens) {
    StageLayout layout = OnGpus(Shape8b(), Job(rows, "xent: 1"), 0);
    layout.seq_len = tokens;
    return TimeOf(machine, layout).attention;
  };
  EXPECT_GT(seconds(1, 16384), 4 * seconds(16, 1024));
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
