// Memory of a step grows with the number of tokens, not with its square: no
// T x T matrix is ever held.
#include <gtest/gtest.h>

#include <vector>

#include "core/base/status_matchers.h"
#include "kernels/hybrid_attention/hybrid_attention.h"
#include "tests/training/tiny_training.h"

namespace caracal {
namespace {

// The most the arena held in one pass over a row of T tokens.
template <typename Pass>
size_t PeakOf(int64_t tokens, const Pass& pass) {
  const auto training = TinyTraining::Make("lolcats", 1);
  EXPECT_OK(training);
  std::vector<int32_t> row(tokens + 1);
  for (int64_t i = 0; i <= tokens; ++i) {
    row[i] = static_cast<int32_t>(i * 7919 % 97);
  }
  const golden::GoldenBatch batch(row, tokens);
  ParameterStore& store = (*training)->llama().adapters().parameters();
  store.SetTrained({ParameterGroup::kFeatureMap, ParameterGroup::kFeatureBias,
                    ParameterGroup::kWindowFactor, ParameterGroup::kLora});
  pass(**training, batch.batch());
  return (*training)->exec().arena->peak_bytes();
}

void Transfer(TinyTraining& training, const TokenBatch& batch,
              const TransferObjective& objective) {
  std::vector<TransferSums> sums(training.llama().layers());
  training.llama().TransferStep(training.exec(), batch, objective, sums.data());
}

// Four times the tokens: at most four times the memory. What is T x T in fp32
// for 4 heads would make it 8 times and more.
template <typename Pass>
void ExpectLinear(const Pass& pass) {
  const size_t small = PeakOf(128, pass), large = PeakOf(512, pass);
  EXPECT_GT(small, 0u);
  EXPECT_LE(large, 4 * small + small / 4);
}

TEST(StepMemory, TransferOfOutputs) {
  ExpectLinear([](TinyTraining& training, const TokenBatch& batch) {
    Transfer(training, batch, {.output_scale = 1});
  });
}

TEST(StepMemory, TransferOfWeights) {
  ExpectLinear([](TinyTraining& training, const TokenBatch& batch) {
    Transfer(training, batch,
             {.terms = kernels::kLaOnlyTerms, .weight_scale = 1});
  });
}

TEST(StepMemory, Finetune) {
  ExpectLinear([](TinyTraining& training, const TokenBatch& batch) {
    Llama& llama = training.llama();
    llama.adapters().lora_active = true;
    ModePlan plan;
    llama.Plan(batch, ComponentMode::kHybrid, &plan);
    std::vector<float> weight(batch.rows(), 1.0f), nll(batch.rows());
    const int64_t n = batch.rows();
    Execution exec = training.exec();
    Tape tape(exec.arena);
    exec.tape = &tape;
    llama.FinetuneStep(exec, batch, plan, ConstTensorView(weight.data(), {n}),
                       TensorView(nll.data(), {n}));
  });
}

TEST(StepMemory, Evaluation) {
  ExpectLinear([](TinyTraining& training, const TokenBatch& batch) {
    ModePlan plan;
    training.llama().Plan(batch, ComponentMode::kTeacher, &plan);
    std::vector<float> nll(batch.rows());
    training.llama().Evaluate(training.exec(), batch, plan,
                              TensorView(nll.data(), {batch.rows()}),
                              TensorView(), nullptr);
  });
}

}  // namespace
}  // namespace caracal
