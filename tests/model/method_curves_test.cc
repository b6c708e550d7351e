// Losses of twenty steps a stage of the presets hedgehog, hedgecats and ssd,
// and of three steps of every curriculum and transfer loss, against the
// float64 reference. The reference makes SSD's draws with a Philox of its own.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "core/base/status_matchers.h"
#include "tests/model/golden.h"
#include "tests/model/golden_model.h"
#include "tests/model/golden_student.h"
#include "tests/model/golden_training.h"

namespace caracal::golden {
namespace {

// Relative, of losses, as in training_curves_test.cc.
constexpr double kFirstSteps = 1e-5, kLaterSteps = 1e-4;
// Of a tensor, relative; the least of the golden's decays takes 2.5e-3 a step.
constexpr double kNorm = 1e-4;
// A trained w_h, of the way it went.
constexpr double kWindowFactor = 1e-3;

class MethodCurvesTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string folder = ModelFolder("tiny_gqa");
    ASSERT_OK_AND_ASSIGN(expected_, ReadGoldenJson(folder + "/method.json"));
    ASSERT_OK_AND_ASSIGN(rows_,
                         ReadGoldenTensors(folder + "/rows.safetensors"));
    ASSERT_OK_AND_ASSIGN(initial_,
                         ReadGoldenTensors(folder + "/curves.safetensors"));
    ASSERT_OK_AND_ASSIGN(model_, GoldenModel::Load(folder));
  }

  // As a conversion starts, but with the golden's LoRA.
  void SetUntrained(const proto::Job& job) {
    ASSERT_OK(SetInitialStudent(model_.get(), job));
    for (const Parameter& p : model_->adapters().parameters().parameters()) {
      if (p.group != ParameterGroup::kLora) continue;
      const std::vector<float>& values =
          initial_.at("initial/" + p.name).values;
      ASSERT_EQ(static_cast<int64_t>(values.size()), p.value.size());
      std::copy(values.begin(), values.end(), p.value.f32());
    }
  }

  void CompareLosses(const nlohmann::json& run, const proto::Job& job) {
    ASSERT_OK_AND_ASSIGN(const auto training,
                         GoldenTraining::Start(model_.get(), rows_, 0, job));
    ASSERT_EQ(static_cast<size_t>(job.stages_size()), run["losses"].size());
    for (int stage = 0; stage < job.stages_size(); ++stage) {
      const nlohmann::json& golden = run["losses"][stage];
      ASSERT_OK_AND_ASSIGN(
          const std::vector<double> losses,
          training->RunStage(stage, run["steps"], run["lr"][stage]));
      ASSERT_EQ(losses.size(), golden.size());
      for (size_t i = 0; i < losses.size(); ++i) {
        const double loss = golden[i];
        EXPECT_NEAR(losses[i], loss, loss * (i < 3 ? kFirstSteps : kLaterSteps))
            << "stage " << stage << " step " << i;
      }
    }
  }

  void CompareWindowFactors(const nlohmann::json& golden,
                            const proto::Job& job) {
    const double start = std::log(job.attention().gamma_init() /
                                  (1 - job.attention().gamma_init()));
    for (size_t layer = 0; layer < golden.size(); ++layer) {
      const float* ours =
          model_->adapters().window_factor(static_cast<int>(layer)).value.f32();
      for (size_t h = 0; h < golden[layer].size(); ++h) {
        const double end = golden[layer][h];
        EXPECT_NEAR(ours[h], end, kWindowFactor * std::abs(end - start) + 1e-6)
            << "layer " << layer << " head " << h;
      }
    }
  }

  void CompareNorms(const nlohmann::json& golden) {
    const auto& parameters = model_->adapters().parameters().parameters();
    ASSERT_EQ(golden.size(), parameters.size());
    for (const Parameter& p : parameters) {
      const double norm = Norm(
          std::vector<float>(p.value.f32(), p.value.f32() + p.value.size()));
      const double end = golden[p.name];
      EXPECT_NEAR(norm, end, kNorm * end) << p.name;
    }
  }

  nlohmann::json expected_;
  GoldenTensors rows_, initial_;
  std::unique_ptr<GoldenModel> model_;
};

TEST_F(MethodCurvesTest, MatchTheReference) {
  const nlohmann::json& curves = expected_["curves"];
  ASSERT_GE(curves["runs"].size(), 15);
  for (const nlohmann::json& run : curves["runs"]) {
    const std::string name = run["name"], text = run["job"];
    SCOPED_TRACE(name);
    const proto::Job job = GoldenJobOf(
        text, curves["batch"], expected_["lora_rank"], expected_["lora_alpha"]);
    if (run["student"] == "untrained") {
      SetUntrained(job);
    } else {
      ASSERT_OK(SetHashedStudent(model_.get(), job));
    }
    CompareLosses(run, job);
    if (run.contains("norms")) CompareNorms(run["norms"]);
    if (run.contains("window_factors")) {
      CompareWindowFactors(run["window_factors"], job);
    }
  }
}

}  // namespace
}  // namespace caracal::golden
