// Decoding token by token in a plan of modes gives the losses that a whole
// pass in it gives, by the float64 reference: another mode for every layer and
// head, and layers kept as softmax.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "core/base/status_matchers.h"
#include "core/model/decoder.h"
#include "tests/model/golden.h"
#include "tests/model/golden_model.h"
#include "tests/model/golden_student.h"

namespace caracal::golden {
namespace {

// As in mode_losses_test.cc.
constexpr double kLossTolerance = 1e-5;

class DecodePlanTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = ModelFolder("tiny_gqa");
    ASSERT_OK_AND_ASSIGN(model_, GoldenModel::Load(folder_));
  }

  // Mean of -log p of tokens[1:], fed one by one.
  double Loss(Decoder& decoder, const std::vector<int32_t>& tokens) {
    double sum = 0;
    for (size_t t = 0; t + 1 < tokens.size(); ++t) {
      const auto logits = decoder.Feed({&tokens[t], 1});
      EXPECT_OK(logits.status());
      const float* x = logits->f32();
      const double top = *std::max_element(x, x + logits->size());
      double exponentials = 0;
      for (int64_t v = 0; v < logits->size(); ++v) {
        exponentials += std::exp(x[v] - top);
      }
      sum += top + std::log(exponentials) - x[tokens[t + 1]];
    }
    return sum / static_cast<double>(tokens.size() - 1);
  }

  std::string folder_;
  std::unique_ptr<GoldenModel> model_;
};

TEST_F(DecodePlanTest, AnotherModeForEveryLayerAndHead) {
  ASSERT_OK_AND_ASSIGN(const nlohmann::json expected,
                       ReadGoldenJson(folder_ + "/expected.json"));
  ASSERT_OK_AND_ASSIGN(const GoldenTensors rows,
                       ReadGoldenTensors(folder_ + "/rows.safetensors"));
  kernels::HybridAttentionConfig config;
  config.window = expected["terms"]["window"];
  config.sinks = expected["terms"]["sinks"];
  LoraConfig lora;
  lora.alpha = expected["lora_alpha"];
  ASSERT_OK(model_->SetStudent(config, lora, folder_ + "/student.safetensors"));
  model_->adapters().lora_active = true;
  const nlohmann::json& mixed = expected["terms"]["mixed"];
  Llama& llama = model_->llama();
  for (int row = 0; row < 4; ++row) {
    SCOPED_TRACE(testing::Message() << "row " << row);
    ModePlan plan;
    plan.SetAll(llama.layers(), 1, llama.heads(), ComponentMode::kHybrid);
    for (int layer = 0; layer < llama.layers(); ++layer) {
      for (int head = 0; head < llama.heads(); ++head) {
        const std::string name = mixed["modes"][layer][row][head];
        ASSERT_OK_AND_ASSIGN(const ComponentMode mode,
                             ComponentModeFromName(name));
        plan.SetHead(layer, 0, head, mode);
      }
    }
    Decoder decoder(&llama, model_->exec(), plan);
    EXPECT_NEAR(Loss(decoder, GoldenRows(rows, "tokens", row, 1, 49)),
                mixed["per_row"][row], kLossTolerance);
  }
}

TEST_F(DecodePlanTest, LayersKeptAsSoftmax) {
  ASSERT_OK_AND_ASSIGN(const nlohmann::json expected,
                       ReadGoldenJson(folder_ + "/method.json"));
  ASSERT_OK_AND_ASSIGN(const GoldenTensors rows,
                       ReadGoldenTensors(folder_ + "/method_rows.safetensors"));
  const nlohmann::json& losses = expected["losses"];
  const std::vector<int32_t> tokens =
      GoldenRows(rows, "tokens", 0, 1, int64_t{losses["seq_len"]} + 1);
  int compared = 0;
  for (const nlohmann::json& c : losses["cases"]) {
    const std::string attention = c["attention"];
    if (attention.find("softmax_layers") == std::string::npos) continue;
    ASSERT_OK(SetHashedStudent(
        model_.get(),
        GoldenJobOf("attention { " + attention + " }", 1, expected["lora_rank"],
                    expected["lora_alpha"])));
    for (size_t i = 0; i < losses["modes"].size(); ++i) {
      if (c["losses"][i].is_null()) continue;
      const std::string name = losses["modes"][i];
      SCOPED_TRACE(attention + ", " + name);
      ASSERT_OK_AND_ASSIGN(const ComponentMode mode,
                           ComponentModeFromName(name));
      Decoder decoder(&model_->llama(), model_->exec(), mode);
      EXPECT_NEAR(Loss(decoder, tokens), c["losses"][i], kLossTolerance);
      ++compared;
    }
  }
  EXPECT_GE(compared, 4 * 8);
}

}  // namespace
}  // namespace caracal::golden
