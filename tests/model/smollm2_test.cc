// The real SmolLM2-135M-Instruct against transformers and the reference:
// logits, losses of every component mode, both stages step by step.
//
// Tagged manual: CARACAL_SMOLLM2 names the GGUF file (deploy/demo.sh --check).
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "core/base/status_matchers.h"
#include "core/model/decoder.h"
#include "tests/model/golden.h"
#include "tests/model/golden_model.h"
#include "tests/model/golden_training.h"

namespace caracal::golden {
namespace {

constexpr char kFolder[] = "tests/golden/smollm2/";
constexpr int64_t kTokens = 512;
// What the method asks for: losses within 1e-4.
constexpr double kLossTolerance = 1e-4;

class SmolLm2Test : public testing::Test {
 protected:
  void SetUp() override {
    const char* path = std::getenv("CARACAL_SMOLLM2");
    ASSERT_NE(path, nullptr) << "CARACAL_SMOLLM2 must name the GGUF file";
    ASSERT_OK_AND_ASSIGN(
        rows_, ReadGoldenTensors(std::string(kFolder) + "rows.safetensors"));
    ASSERT_OK_AND_ASSIGN(model_, GoldenModel::Load(path));
  }

  void SetUntrained(int64_t sinks) {
    kernels::HybridAttentionConfig config;
    config.window = 64;
    config.sinks = sinks;
    ASSERT_OK(model_->SetStudent(config, {}, ""));
  }

  GoldenBatch Rows(int64_t first, int64_t count) {
    return GoldenBatch(GoldenRows(rows_, "tokens", first, count, kTokens + 1),
                       kTokens);
  }

  GoldenTensors rows_;
  std::unique_ptr<GoldenModel> model_;
};

TEST_F(SmolLm2Test, LogitsMatchTransformers) {
  ASSERT_OK_AND_ASSIGN(const nlohmann::json expected,
                       ReadGoldenJson(std::string(kFolder) + "expected.json"));
  const nlohmann::json& golden = expected["logits"];
  SetUntrained(0);
  Decoder decoder(&model_->llama(), model_->exec(), ComponentMode::kTeacher);
  const std::vector<int32_t> row =
      GoldenRows(rows_, "tokens", golden["row"], 1, kTokens);
  int64_t fed = 0;
  for (size_t p = 0; p < golden["positions"].size(); ++p) {
    const int64_t position = golden["positions"][p];
    SCOPED_TRACE(testing::Message() << "position " << position);
    ASSERT_OK_AND_ASSIGN(
        const ConstTensorView logits,
        decoder.Feed(absl::MakeSpan(row).subspan(fed, position + 1 - fed)));
    fed = position + 1;
    EXPECT_EQ(decoder.Greedy(), golden["top5"][p][0].get<int32_t>());
    for (size_t i = 0; i < golden["ids"].size(); ++i) {
      const int64_t id = golden["ids"][i];
      // Logits of size 10 behind 30 layers in fp32; transformers' fp32 RoPE
      // angles alone move them by 2e-4 (logits_max_difference_of_reference).
      EXPECT_NEAR(logits.f32()[id], golden["values"][p][i], 2e-3);
    }
  }
}

TEST_F(SmolLm2Test, LossesOfModesMatchTheReference) {
  ASSERT_OK_AND_ASSIGN(const nlohmann::json expected,
                       ReadGoldenJson(std::string(kFolder) + "expected.json"));
  const GoldenBatch batch = Rows(0, 2);
  for (const nlohmann::json& c : expected["losses"]) {
    SetUntrained(c["sinks"]);
    for (const auto& [name, golden] : c["modes"].items()) {
      SCOPED_TRACE(testing::Message() << name << " sinks " << c["sinks"]);
      ASSERT_OK_AND_ASSIGN(const ComponentMode mode,
                           ComponentModeFromName(name));
      ModePlan plan;
      plan.SetAll(model_->llama().layers(), 2, model_->llama().heads(), mode);
      AttentionStatistics statistics(model_->llama().layers(),
                                     model_->llama().heads());
      const bool hybrid = mode == ComponentMode::kHybrid;
      const std::vector<float> nll =
          model_->Losses(batch, plan, hybrid ? &statistics : nullptr);
      const double loss = std::accumulate(nll.begin(), nll.end(), 0.0) /
                          static_cast<double>(nll.size());
      EXPECT_NEAR(loss, golden["loss"], kLossTolerance);
      if (!hybrid) continue;
      const nlohmann::json& la_mass = c["masses"]["la_mass"];
      for (size_t layer = 0; layer < la_mass.size(); ++layer) {
        for (size_t head = 0; head < la_mass[layer].size(); ++head) {
          EXPECT_NEAR(statistics.la_mass(layer, head), la_mass[layer][head],
                      kLossTolerance)
              << "layer " << layer << " head " << head;
        }
      }
    }
  }
}

// The initial LoRA of tests/golden/reference_training.py, hashed_lora().
uint64_t SplitMix64(uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

void SetHashedLora(Adapters& adapters) {
  uint64_t k = 0;
  for (const Parameter& p : adapters.parameters().parameters()) {
    if (p.group != ParameterGroup::kLora) continue;
    const bool is_a = p.name.back() == 'A';
    const double bound = 1 / std::sqrt(static_cast<double>(p.value.shape[1]));
    for (int64_t e = 0; e < p.value.size(); ++e) {
      const double u =
          static_cast<double>(SplitMix64((k << 32) + e) >> 40) / (1 << 24);
      p.value.f32()[e] = is_a ? static_cast<float>((2 * u - 1) * bound) : 0.0f;
    }
    if (is_a) ++k;
  }
}

// Relative, of losses: for the first three steps, and for twenty.
void CompareLosses(const std::vector<double>& ours,
                   const std::vector<double>& golden) {
  ASSERT_EQ(ours.size(), golden.size());
  for (size_t i = 0; i < ours.size(); ++i) {
    EXPECT_NEAR(ours[i], golden[i], golden[i] * (i < 3 ? 1e-4 : 1e-2))
        << "step " << i;
  }
}

TEST_F(SmolLm2Test, BothStagesMatchTheReference) {
  ASSERT_OK_AND_ASSIGN(const nlohmann::json curves,
                       ReadGoldenJson(std::string(kFolder) + "curves.json"));
  for (const nlohmann::json& run : curves["runs"]) {
    SCOPED_TRACE(testing::Message() << "batch " << run["batch"]);
    SetUntrained(0);
    SetHashedLora(model_->adapters());
    ASSERT_OK_AND_ASSIGN(
        const auto training,
        GoldenTraining::Start(model_.get(), rows_, curves["first_row"],
                              GoldenJob("lolcats", run["batch"])));
    ASSERT_OK_AND_ASSIGN(
        std::vector<double> losses,
        training->RunStage(0, run["steps"], curves["transfer_lr"]));
    CompareLosses(losses, run["transfer"]);
    ASSERT_OK_AND_ASSIGN(
        losses, training->RunStage(1, run["steps"], curves["finetune_lr"]));
    CompareLosses(losses, run["finetune"]);
  }
}

}  // namespace
}  // namespace caracal::golden
