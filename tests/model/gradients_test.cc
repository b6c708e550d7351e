// Gradients of every trained tensor, in transfer and in every fine-tuning
// mode, against the float64 reference's.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/base/status_matchers.h"
#include "tests/model/golden.h"
#include "tests/model/golden_gradients.h"
#include "tests/model/golden_model.h"

namespace caracal::golden {
namespace {

constexpr int64_t kRows = 2, kTokens = 48;
// Of a tensor's norm. A gradient is the end of sums over at most 320 terms in
// fp32: 320 * 2^-24.
constexpr double kRelativeTolerance = 2e-5;

class GradientsTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = ModelFolder("tiny_gqa");
    ASSERT_OK_AND_ASSIGN(expected_, ReadGoldenJson(folder_ + "/expected.json"));
    ASSERT_OK_AND_ASSIGN(golden_,
                         ReadGoldenTensors(folder_ + "/gradients.safetensors"));
    ASSERT_OK_AND_ASSIGN(rows_,
                         ReadGoldenTensors(folder_ + "/rows.safetensors"));
    ASSERT_OK_AND_ASSIGN(model_, GoldenModel::Load(folder_));
    batch_ = std::make_unique<GoldenBatch>(
        GoldenRows(rows_, "tokens", 0, kRows, kTokens + 1), kTokens);
  }

  void SetStudent(const nlohmann::json& c) {
    kernels::HybridAttentionConfig config;
    config.window = c["window"];
    config.sinks = c.value("sinks", 0);
    config.affine = c.value("affine", false);
    if (c.value("kind", "sliding") == "terraced") {
      config.window_kind = kernels::WindowKind::kTerraced;
    }
    LoraConfig lora;
    lora.alpha = expected_["lora_alpha"];
    ASSERT_OK(
        model_->SetStudent(config, lora, folder_ + "/student.safetensors"));
    TrainEverything(model_.get());
  }

  std::vector<int32_t> Mask(bool from_data) {
    if (!from_data) return std::vector<int32_t>(kRows * kTokens, 1);
    const std::vector<int32_t> all =
        GoldenRows(rows_, "loss_mask", 0, kRows, kTokens + 1);
    std::vector<int32_t> mask;  // of the targets
    for (int64_t r = 0; r < kRows; ++r) {
      const auto row = all.begin() + r * (kTokens + 1);
      mask.insert(mask.end(), row + 1, row + kTokens + 1);
    }
    return mask;
  }

  std::string folder_;
  nlohmann::json expected_;
  GoldenTensors golden_, rows_;
  std::unique_ptr<GoldenModel> model_;
  std::unique_ptr<GoldenBatch> batch_;
};

TEST_F(GradientsTest, MatchTheReference) {
  ASSERT_FALSE(expected_["gradients"].empty());
  for (const auto& [name, c] : expected_["gradients"].items()) {
    SCOPED_TRACE(name);
    SetStudent(c);
    double loss = 0;
    if (c["stage"] == "transfer") {
      loss =
          TransferGradients(model_.get(), *batch_, kernels::kHybridTerms, 1, 0)
              .mse;
    } else {
      const std::string mode_name = c["mode"];
      ASSERT_OK_AND_ASSIGN(const ComponentMode mode,
                           ComponentModeFromName(mode_name));
      ModePlan plan;
      model_->llama().Plan(batch_->batch(), mode, &plan);
      loss = FinetuneGradients(model_.get(), *batch_, plan,
                               Mask(name == "hybrid_masked"));
    }
    ASSERT_OK(model_->exec().status);
    const double expected = c["loss"];
    EXPECT_NEAR(loss, expected, 1e-5 * expected);
    CompareGradients(
        golden_, name, model_->adapters().parameters(),
        [](const Parameter&) { return kRelativeTolerance; }, 6);
  }
}

}  // namespace
}  // namespace caracal::golden
