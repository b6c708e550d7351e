// A model cut over two ranks computes what it computes whole. The ranks are
// threads here; dist/ brings real ones.
#include <gtest/gtest.h>

#include <thread>

#include "core/base/status_matchers.h"
#include "core/collective/thread_collective.h"
#include "tests/model/golden.h"
#include "tests/model/golden_model.h"

namespace caracal {
namespace {

constexpr int64_t kRows = 2, kTokens = 41;
constexpr int kRanks = 2;

// Losses of every position by a group of ranks, as rank 0 has them.
std::vector<float> ShardedLosses(const std::string& folder,
                                 const golden::GoldenBatch& batch,
                                 const kernels::HybridAttentionConfig& config,
                                 ComponentMode mode) {
  ThreadGroup group(kRanks);
  std::vector<float> losses[kRanks];
  std::vector<std::thread> threads;
  for (int rank = 0; rank < kRanks; ++rank) {
    threads.emplace_back([&, rank] {
      const std::unique_ptr<Collective> collective = group.Join(rank);
      ThreadPool pool(1);
      Arena arena;
      Execution exec;
      exec.ctx.pool = &pool;
      exec.arena = &arena;
      exec.collective = collective.get();
      auto source = OpenModel(folder);
      CARACAL_CHECK_OK(source.status());
      auto weights = LlamaWeights::Load(exec.ctx, **source, {rank, kRanks},
                                        WeightForm::kDense);
      CARACAL_CHECK_OK(weights.status());
      StudentConfig student;
      student.attention = config;
      student.features = weights->config.head_dim;
      Adapters adapters(weights->adapter_shape(), student);
      adapters.Initialize(3);
      Llama llama(&*weights, &adapters);
      ModePlan plan;
      plan.SetAll(llama.layers(), batch.sequences(), llama.heads(), mode);
      losses[rank].resize(batch.rows());
      llama.Evaluate(exec, batch.batch(), plan,
                     TensorView(losses[rank].data(), {batch.rows()}),
                     TensorView(), nullptr);
      CARACAL_CHECK_OK(exec.status);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(losses[0], losses[1]);  // Every rank has the whole loss.
  return losses[0];
}

TEST(Shard, TwoRanksGiveTheLossesOfOne) {
  const std::string folder = golden::ModelFolder("tiny_gqa");
  ASSERT_OK_AND_ASSIGN(const golden::GoldenTensors tensors,
                       golden::ReadGoldenTensors(folder + "/rows.safetensors"));
  const golden::GoldenBatch batch(
      golden::GoldenRows(tensors, "tokens", 0, kRows, kTokens), kTokens);
  kernels::HybridAttentionConfig config;
  config.window = 8;
  config.sinks = 2;
  ASSERT_OK_AND_ASSIGN(const auto model, golden::GoldenModel::Load(folder));
  ASSERT_OK(model->SetStudent(config, LoraConfig(), ""));
  for (const ComponentMode mode :
       {ComponentMode::kTeacher, ComponentMode::kHybrid,
        ComponentMode::kLaOnly}) {
    ModePlan plan;
    plan.SetAll(model->llama().layers(), batch.sequences(),
                model->llama().heads(), mode);
    const std::vector<float> whole = model->Losses(batch, plan);
    const std::vector<float> sharded =
        ShardedLosses(folder, batch, config, mode);
    ASSERT_EQ(whole.size(), sharded.size());
    for (size_t i = 0; i < whole.size(); ++i) {
      // fp32 sums in another order: a few hundred roundings of logits of
      // magnitude some 10.
      EXPECT_NEAR(whole[i], sharded[i], 2e-4) << NameOf(mode) << " " << i;
    }
  }
}

}  // namespace
}  // namespace caracal
