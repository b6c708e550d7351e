// Attention as LoLCATs' public code has it, faults included, against a plain
// PyTorch reference of that code: losses by mode for rows below, at and above
// one and two windows, gradients of every trained tensor, and decoding from a
// prompt.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "core/base/status_matchers.h"
#include "core/model/decoder.h"
#include "tests/model/golden.h"
#include "tests/model/golden_gradients.h"
#include "tests/model/golden_model.h"
#include "tests/model/golden_student.h"

namespace caracal::golden {
namespace {

constexpr int64_t kTokens = 48;
// As in mode_losses_test.cc; a single token's is not averaged.
constexpr double kLossTolerance = 1e-5, kTokenTolerance = 5e-5;
// As in method_gradients_test.cc.
constexpr double kGradients = 2e-5, kWindowFactors = 1e-4;

class LolcatsTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = ModelFolder("tiny_gqa");
    ASSERT_OK_AND_ASSIGN(expected_, ReadGoldenJson(folder_ + "/lolcats.json"));
    ASSERT_OK_AND_ASSIGN(rows_,
                         ReadGoldenTensors(folder_ + "/rows.safetensors"));
    ASSERT_OK_AND_ASSIGN(model_, GoldenModel::Load(folder_));
  }

  void SetStudent(const nlohmann::json& c) {
    const std::string attention = c["attention"];
    ASSERT_OK(SetHashedStudent(
        model_.get(),
        GoldenJobOf("attention { " + attention + " }", 1,
                    expected_["lora_rank"], expected_["lora_alpha"])));
    ASSERT_EQ(model_->adapters().config().attention.window_kind,
              kernels::WindowKind::kLolcatsTerraced);
  }

  std::string folder_;
  nlohmann::json expected_;
  GoldenTensors rows_;
  std::unique_ptr<GoldenModel> model_;
};

TEST_F(LolcatsTest, LossesMatchTheReference) {
  const nlohmann::json& losses = expected_["losses"];
  ASSERT_GE(losses["cases"].size(), 6 * 9);
  for (const nlohmann::json& c : losses["cases"]) {
    SCOPED_TRACE(c["attention"].get<std::string>() +
                 ", T = " + c["seq_len"].dump());
    SetStudent(c);
    const int64_t tokens = c["seq_len"];
    std::vector<int32_t> row = GoldenRows(rows_, "tokens", 0, 1, tokens + 1);
    const GoldenBatch batch(row, tokens);
    for (size_t i = 0; i < losses["modes"].size(); ++i) {
      const std::string name = losses["modes"][i];
      ASSERT_OK_AND_ASSIGN(const ComponentMode mode,
                           ComponentModeFromName(name));
      ModePlan plan;
      model_->llama().Plan(batch.batch(), mode, &plan);
      const std::vector<float> nll = model_->Losses(batch, plan);
      EXPECT_OK(model_->exec().status);
      const double loss = std::accumulate(nll.begin(), nll.end(), 0.0) /
                          static_cast<double>(tokens);
      EXPECT_NEAR(loss, c["losses"][i],
                  tokens < 8 ? kTokenTolerance : kLossTolerance)
          << name;
    }
  }
}

TEST_F(LolcatsTest, GradientsMatchTheReference) {
  ASSERT_OK_AND_ASSIGN(
      const GoldenTensors golden,
      ReadGoldenTensors(folder_ + "/lolcats_gradients.safetensors"));
  const GoldenBatch batch(GoldenRows(rows_, "tokens", 0, 2, kTokens + 1),
                          kTokens);
  ASSERT_GE(expected_["gradients"].size(), 7);
  for (const nlohmann::json& c : expected_["gradients"]) {
    const std::string name = c["name"], mode_name = c["mode"];
    SCOPED_TRACE(name);
    SetStudent(c);
    TrainEverything(model_.get());
    ASSERT_OK_AND_ASSIGN(const ComponentMode mode,
                         ComponentModeFromName(mode_name));
    if (c["stage"] == "transfer") {
      const nlohmann::json& weights = c["weights"];
      const TransferLosses losses =
          TransferGradients(model_.get(), batch, TermsOf(mode),
                            weights.value("mse", 0.0), weights["xent"]);
      if (weights.contains("mse")) {
        EXPECT_NEAR(losses.mse, c["parts"]["mse"], kLossTolerance * losses.mse);
      }
      EXPECT_NEAR(losses.xent, c["parts"]["xent"],
                  kLossTolerance * losses.xent);
    } else {
      ModePlan plan;
      model_->llama().Plan(batch.batch(), mode, &plan);
      EXPECT_NEAR(FinetuneGradients(model_.get(), batch, plan,
                                    std::vector<int32_t>(2 * kTokens, 1)),
                  c["loss"], kLossTolerance * double{c["loss"]});
    }
    ASSERT_OK(model_->exec().status);
    CompareGradients(
        golden, name, model_->adapters().parameters(),
        [](const Parameter& p) {
          return p.group == ParameterGroup::kWindowFactor ? kWindowFactors
                                                          : kGradients;
        },
        2);
  }
}

// A prompt at once, then token by token or in pieces: the pieces are decoded
// one by one, as a generating loop does.
TEST_F(LolcatsTest, DecodingMatchesTheReference) {
  const std::vector<int32_t> row =
      GoldenRows(rows_, "tokens", 0, 1, kTokens + 1);
  ASSERT_GE(expected_["decoding"].size(), 7);
  for (const nlohmann::json& c : expected_["decoding"]) {
    SCOPED_TRACE(c["attention"].get<std::string>() + ", prompt " +
                 c["prompt"].dump());
    SetStudent(c);
    const int64_t prompt = c["prompt"];
    Decoder decoder(&model_->llama(), model_->exec(), ComponentMode::kHybrid);
    const auto next_loss = [&](int64_t begin, int64_t count) {
      const auto logits =
          decoder.Feed(absl::MakeConstSpan(row).subspan(begin, count));
      EXPECT_OK(logits.status());
      const float* x = logits->f32();
      double sum = 0;
      const double top = *std::max_element(x, x + logits->size());
      for (int64_t v = 0; v < logits->size(); ++v) sum += std::exp(x[v] - top);
      return top + std::log(sum) - x[row[begin + count]];
    };
    const nlohmann::json& nll = c["nll"];
    ASSERT_EQ(static_cast<int64_t>(nll.size()), kTokens - prompt + 1);
    EXPECT_NEAR(next_loss(0, prompt), nll[0], kTokenTolerance);
    for (int64_t n = prompt; n < kTokens; ++n) {
      EXPECT_NEAR(next_loss(n, 1), nll[n - prompt + 1], kTokenTolerance) << n;
    }
    decoder.Reset();
    next_loss(0, prompt);
    EXPECT_NEAR(next_loss(prompt, kTokens - prompt), nll.back(),
                kTokenTolerance);
  }
}

// The faults are there: what a prefix's loss is depends on what follows it,
// and a single window is counted twice.
TEST_F(LolcatsTest, DiffersFromTheTerracedWindow) {
  for (const int64_t tokens : {int64_t{9}, int64_t{41}}) {
    const GoldenBatch batch(GoldenRows(rows_, "tokens", 0, 1, tokens + 1),
                            tokens);
    std::vector<double> losses;
    for (const char* compat : {"COMPAT_NONE", "LOLCATS_REFERENCE"}) {
      ASSERT_OK(SetHashedStudent(
          model_.get(),
          GoldenJobOf("attention { window: 16 features: 16 window_kind: "
                      "'terraced' compat: " +
                          std::string(compat) + " }",
                      1, expected_["lora_rank"], expected_["lora_alpha"])));
      ModePlan plan;
      model_->llama().Plan(batch.batch(), ComponentMode::kHybrid, &plan);
      const std::vector<float> nll = model_->Losses(batch, plan);
      losses.push_back(std::accumulate(nll.begin(), nll.end(), 0.0));
    }
    EXPECT_GT(std::abs(losses[0] - losses[1]), 1e-2) << tokens;
  }
}

}  // namespace
}  // namespace caracal::golden
