// The loss of every component mode, feature map, window kind, window and
// number of sinks, of a given student, against the float64 reference.
#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "core/base/status_matchers.h"
#include "tests/model/golden.h"
#include "tests/model/golden_model.h"
#include "tests/model/golden_student.h"

namespace caracal::golden {
namespace {

// As in mode_losses_test.cc: two layers of sums of 64 products under logits of
// size 10.
constexpr double kLossTolerance = 1e-5;

TEST(MethodLossesTest, MatchTheReference) {
  const std::string folder = ModelFolder("tiny_gqa");
  ASSERT_OK_AND_ASSIGN(const nlohmann::json expected,
                       ReadGoldenJson(folder + "/method.json"));
  ASSERT_OK_AND_ASSIGN(const GoldenTensors rows,
                       ReadGoldenTensors(folder + "/method_rows.safetensors"));
  ASSERT_OK_AND_ASSIGN(const auto model, GoldenModel::Load(folder));
  const nlohmann::json& losses = expected["losses"];
  const int64_t tokens = losses["seq_len"];
  const GoldenBatch batch(GoldenRows(rows, "tokens", 0, 1, tokens + 1), tokens);
  // 7 maps, 2 kinds, 2 numbers of sinks, 3 windows; and the variants.
  ASSERT_GE(losses["cases"].size(), 7 * 2 * 2 * 3);
  for (const nlohmann::json& c : losses["cases"]) {
    const std::string attention = c["attention"];
    SCOPED_TRACE(attention);
    ASSERT_OK(SetHashedStudent(
        model.get(),
        GoldenJobOf("attention { " + attention + " }", 1, expected["lora_rank"],
                    expected["lora_alpha"])));
    for (size_t i = 0; i < losses["modes"].size(); ++i) {
      if (c["losses"][i].is_null()) continue;
      const std::string name = losses["modes"][i];
      ASSERT_OK_AND_ASSIGN(const ComponentMode mode,
                           ComponentModeFromName(name));
      ModePlan plan;
      model->llama().Plan(batch.batch(), mode, &plan);
      const std::vector<float> nll = model->Losses(batch, plan);
      EXPECT_OK(model->exec().status);
      const double loss = std::accumulate(nll.begin(), nll.end(), 0.0) /
                          static_cast<double>(tokens);
      EXPECT_NEAR(loss, c["losses"][i], kLossTolerance) << name;
    }
  }
}

}  // namespace
}  // namespace caracal::golden
