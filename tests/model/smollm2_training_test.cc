// Both stages of the real SmolLM2-135M-Instruct, step by step, against the
// reference. Minutes long: deploy/demo.sh --check runs it.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/model/golden_training.h"
#include "tests/model/smollm2_model.h"

namespace caracal::golden {
namespace {

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
  ASSERT_OK_AND_ASSIGN(
      const nlohmann::json curves,
      ReadGoldenJson(std::string(kSmolLm2Folder) + "curves.json"));
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
