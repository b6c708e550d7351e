// Losses of every component mode, and masses per layer and head, of a tiny
// model against the float64 reference.
#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "core/base/status_matchers.h"
#include "tests/model/golden.h"
#include "tests/model/golden_model.h"

namespace caracal::golden {
namespace {

// fp32 against float64: a loss comes from logits of size 10, each the end of
// a few sums of 64 products whose roundings add up like a random walk:
// 10 * sqrt(64) * 2^-24 = 5e-6, and twice that for two layers.
constexpr double kLossTolerance = 1e-5;
// Masses lie in [0, 1]: ratios of sums over at most 48 keys, 48 * 2^-24.
constexpr double kMassTolerance = 3e-6;

kernels::HybridAttentionConfig ConfigOf(const nlohmann::json& c) {
  kernels::HybridAttentionConfig config;
  config.window = c["window"];
  config.sinks = c["sinks"];
  config.window_kind = c["window_kind"] == "terraced"
                           ? kernels::WindowKind::kTerraced
                           : kernels::WindowKind::kSliding;
  config.affine = c["affine"];
  return config;
}

double Mean(const float* values, int64_t n) {
  return std::accumulate(values, values + n, 0.0) / static_cast<double>(n);
}

class ModeLossesTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    folder_ = ModelFolder(GetParam());
    ASSERT_OK_AND_ASSIGN(expected_, ReadGoldenJson(folder_ + "/expected.json"));
    ASSERT_OK_AND_ASSIGN(rows_,
                         ReadGoldenTensors(folder_ + "/rows.safetensors"));
    ASSERT_OK_AND_ASSIGN(model_, GoldenModel::Load(folder_));
  }

  absl::Status SetStudent(const kernels::HybridAttentionConfig& config,
                          const std::string& student) {
    LoraConfig lora;
    lora.rank = expected_["lora_rank"];
    lora.alpha = expected_["lora_alpha"];
    return model_->SetStudent(
        config, lora,
        student == "untrained" ? "" : folder_ + "/" + student + ".safetensors");
  }

  GoldenBatch Batch(const nlohmann::json& c) {
    const int64_t n = c["rows"], t = c["seq_len"];
    const std::vector<int32_t> documents =
        GoldenRows(rows_, "document", 0, n, t + 1);
    return GoldenBatch(GoldenRows(rows_, "tokens", 0, n, t + 1), t,
                       c["reset_at_document"] ? &documents : nullptr);
  }

  std::string folder_;
  nlohmann::json expected_;
  GoldenTensors rows_;
  std::unique_ptr<GoldenModel> model_;
};

void CompareMasses(const nlohmann::json& masses,
                   const AttentionStatistics& statistics) {
  const nlohmann::json& la_mass = masses["la_mass"];
  for (size_t layer = 0; layer < la_mass.size(); ++layer) {
    for (size_t head = 0; head < la_mass[layer].size(); ++head) {
      SCOPED_TRACE(testing::Message() << "layer " << layer << " head " << head);
      if (la_mass[layer][head].is_null()) {
        EXPECT_EQ(statistics.rows(layer, head), 0);
        continue;
      }
      EXPECT_NEAR(statistics.la_mass(layer, head), la_mass[layer][head],
                  kMassTolerance);
      EXPECT_NEAR(statistics.la_output_share(layer, head),
                  masses["la_output_share"][layer][head], kMassTolerance);
      EXPECT_NEAR(statistics.teacher_out_mass(layer, head),
                  masses["teacher_out_mass"][layer][head], kMassTolerance);
    }
  }
}

TEST_P(ModeLossesTest, MatchTheReference) {
  ASSERT_FALSE(expected_["losses"].empty());
  for (const nlohmann::json& c : expected_["losses"]) {
    SCOPED_TRACE(testing::Message()
                 << c["note"] << " " << c["student"] << " window "
                 << c["window"] << " sinks " << c["sinks"]);
    ASSERT_OK(SetStudent(ConfigOf(c), c["student"]));
    const GoldenBatch batch = Batch(c);
    const int64_t rows = c["rows"], t = c["seq_len"];
    for (const auto& [name, golden] : c["modes"].items()) {
      SCOPED_TRACE(name);
      ASSERT_OK_AND_ASSIGN(const ComponentMode mode,
                           ComponentModeFromName(name));
      ModePlan plan;
      plan.SetAll(model_->llama().layers(), batch.sequences(),
                  model_->llama().heads(), mode);
      AttentionStatistics statistics(model_->llama().layers(),
                                     model_->llama().heads());
      const std::vector<float> nll = model_->Losses(
          batch, plan, mode == ComponentMode::kHybrid ? &statistics : nullptr);
      EXPECT_OK(model_->exec().status);
      EXPECT_NEAR(Mean(nll.data(), rows * t), golden["loss"], kLossTolerance);
      double second_half = 0;
      for (int64_t r = 0; r < rows; ++r) {
        EXPECT_NEAR(Mean(nll.data() + r * t, t), golden["per_row"][r],
                    kLossTolerance);
        second_half += Mean(nll.data() + r * t + t / 2, t - t / 2);
      }
      EXPECT_NEAR(second_half / static_cast<double>(rows),
                  golden["second_half"], kLossTolerance);
      if (mode == ComponentMode::kHybrid) {
        CompareMasses(c["masses"], statistics);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, ModeLossesTest,
                         testing::Values("tiny_gqa", "tiny_tied"),
                         [](const auto& info) {
                           return std::string(info.param);
                         });

class TermLossesTest : public ModeLossesTest {
 protected:
  void Compare(const ModePlan& plan, const nlohmann::json& per_row) {
    const int64_t t = 48;
    const GoldenBatch batch(GoldenRows(rows_, "tokens", 0, 4, t + 1), t);
    const std::vector<float> nll = model_->Losses(batch, plan);
    for (int64_t r = 0; r < 4; ++r) {
      EXPECT_NEAR(Mean(nll.data() + r * t, t), per_row[r], kLossTolerance);
    }
  }

  void SetUp() override {
    ModeLossesTest::SetUp();
    kernels::HybridAttentionConfig config;
    config.window = expected_["terms"]["window"];
    config.sinks = expected_["terms"]["sinks"];
    ASSERT_OK(SetStudent(config, "student"));
  }
};

TEST_P(TermLossesTest, SubsetsOfComponents) {
  for (const nlohmann::json& subset : expected_["terms"]["subsets"]) {
    const int terms = subset["terms"];
    SCOPED_TRACE(testing::Message() << "terms " << terms);
    ModePlan plan;
    plan.SetAllTerms(model_->llama().layers(), 4, model_->llama().heads(),
                     static_cast<uint8_t>(terms));
    Compare(plan, subset["per_row"]);
  }
}

TEST_P(TermLossesTest, AnotherModeForEveryHeadAndRow) {
  const nlohmann::json& mixed = expected_["terms"]["mixed"];
  ModePlan plan;
  plan.SetAll(model_->llama().layers(), 4, model_->llama().heads(),
              ComponentMode::kHybrid);
  for (int layer = 0; layer < model_->llama().layers(); ++layer) {
    for (int row = 0; row < 4; ++row) {
      for (int head = 0; head < model_->llama().heads(); ++head) {
        const std::string name = mixed["modes"][layer][row][head];
        ASSERT_OK_AND_ASSIGN(const ComponentMode mode,
                             ComponentModeFromName(name));
        plan.SetHead(layer, row, head, mode);
      }
    }
  }
  Compare(plan, mixed["per_row"]);
}

INSTANTIATE_TEST_SUITE_P(Models, TermLossesTest, testing::Values("tiny_gqa"),
                         [](const auto& info) {
                           return std::string(info.param);
                         });

}  // namespace
}  // namespace caracal::golden
