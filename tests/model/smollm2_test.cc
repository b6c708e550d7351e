// The real SmolLM2-135M-Instruct against transformers and the reference:
// logits, and losses of every component mode.
//
// Tagged manual, for it needs the model: deploy/test.sh fetches it and runs
// this too.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "core/base/status_matchers.h"
#include "core/model/decoder.h"
#include "tests/model/smollm2_model.h"

namespace caracal::golden {
namespace {

// What the method asks for: losses within 1e-4.
constexpr double kLossTolerance = 1e-4;

TEST_F(SmolLm2Test, LogitsMatchTransformers) {
  ASSERT_OK_AND_ASSIGN(
      const nlohmann::json expected,
      ReadGoldenJson(std::string(kSmolLm2Folder) + "expected.json"));
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
    const float* const most =
        std::max_element(logits.f32(), logits.f32() + logits.size());
    EXPECT_EQ(most - logits.f32(), golden["top5"][p][0].get<int64_t>());
    for (size_t i = 0; i < golden["ids"].size(); ++i) {
      const int64_t id = golden["ids"][i];
      // Logits of size 10 behind 30 layers in fp32; transformers' fp32 RoPE
      // angles alone move them by 2e-4 (logits_max_difference_of_reference).
      EXPECT_NEAR(logits.f32()[id], golden["values"][p][i], 2e-3);
    }
  }
}

TEST_F(SmolLm2Test, LossesOfModesMatchTheReference) {
  ASSERT_OK_AND_ASSIGN(
      const nlohmann::json expected,
      ReadGoldenJson(std::string(kSmolLm2Folder) + "expected.json"));
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

}  // namespace
}  // namespace caracal::golden
