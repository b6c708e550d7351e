// Prefill and decoding share their masks: feeding n tokens at once, in two
// pieces split anywhere, or one by one gives the same logits.
#include <gtest/gtest.h>

#include <cmath>

#include "core/base/status_matchers.h"
#include "core/model/decoder.h"
#include "tests/model/golden.h"
#include "tests/model/golden_model.h"

namespace caracal {
namespace {

constexpr int64_t kTokens = 40;

class DecodeSplit : public testing::TestWithParam<ComponentMode> {
 protected:
  void SetUp() override {
    const std::string folder = golden::ModelFolder("tiny_gqa");
    ASSERT_OK_AND_ASSIGN(
        const golden::GoldenTensors tensors,
        golden::ReadGoldenTensors(folder + "/rows.safetensors"));
    tokens_ = golden::GoldenRows(tensors, "tokens", 0, 1, kTokens);
    ASSERT_OK_AND_ASSIGN(model_, golden::GoldenModel::Load(folder));
    kernels::HybridAttentionConfig config;
    config.window = 7;
    config.sinks = 3;
    LoraConfig lora;
    lora.rank = 4;
    lora.alpha = 8;
    ASSERT_OK(
        model_->SetStudent(config, lora, folder + "/student.safetensors"));
  }

  std::vector<float> Logits(const std::vector<int64_t>& pieces) {
    Decoder decoder(&model_->llama(), model_->exec(), GetParam());
    int64_t begin = 0;
    std::vector<float> out;
    for (const int64_t n : pieces) {
      const auto logits =
          decoder.Feed(absl::MakeConstSpan(tokens_).subspan(begin, n));
      CARACAL_CHECK_OK(logits.status());
      out.assign(logits->f32(), logits->f32() + logits->size());
      begin += n;
    }
    return out;
  }

  std::vector<int32_t> tokens_;
  std::unique_ptr<golden::GoldenModel> model_;
};

TEST_P(DecodeSplit, AnySplitGivesTheSameLogits) {
  const std::vector<float> whole = Logits({kTokens});
  float scale = 0;
  for (const float x : whole) scale = std::max(scale, std::abs(x));
  const auto expect_same = [&](const std::vector<int64_t>& pieces,
                               const std::string& what) {
    const std::vector<float> logits = Logits(pieces);
    ASSERT_EQ(logits.size(), whole.size());
    for (size_t i = 0; i < whole.size(); ++i) {
      // Sums of some hundred fp32 terms in another order, through two layers.
      ASSERT_NEAR(logits[i], whole[i], 1e-4 * scale) << what << ", " << i;
    }
  };
  for (int64_t k = 1; k < kTokens; ++k) {
    expect_same({k, kTokens - k}, "split at " + std::to_string(k));
  }
  expect_same(std::vector<int64_t>(kTokens, 1), "one by one");
  expect_same({1, 9, 1, 1, 20, 8}, "uneven");
}

// Once the window of 7 is full.
TEST_P(DecodeSplit, HybridCachesDoNotGrow) {
  if (IsFullSoftmax(GetParam())) return;
  Decoder decoder(&model_->llama(), model_->exec(), GetParam());
  const auto one_by_one = [&] {
    for (const int32_t token : tokens_) ASSERT_OK(decoder.Feed({&token, 1}));
  };
  one_by_one();
  one_by_one();
  const size_t bytes = decoder.cache_bytes();
  for (int i = 0; i < 8; ++i) one_by_one();
  EXPECT_EQ(decoder.cache_bytes(), bytes);
}

// A window and sinks as wide as a job may ask for take what the text needs.
TEST_P(DecodeSplit, WindowsLongerThanTheTextTakeNoMemory) {
  if (IsFullSoftmax(GetParam())) return;
  kernels::HybridAttentionConfig config =
      model_->llama().adapters().config().attention;
  for (const auto kind :
       {kernels::WindowKind::kSliding, kernels::WindowKind::kTerraced}) {
    config.window = 1 << 20;
    config.sinks = 1 << 16;
    config.window_kind = kind;
    model_->llama().adapters().set_attention(config);
    Decoder decoder(&model_->llama(), model_->exec(), GetParam());
    ASSERT_OK(decoder.Feed(tokens_));
    EXPECT_LT(decoder.cache_bytes(), size_t{1} << 20);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Modes, DecodeSplit,
    testing::Values(ComponentMode::kHybrid, ComponentMode::kSwaOnly,
                    ComponentMode::kLaOnly, ComponentMode::kLaPast,
                    ComponentMode::kSinksOnly, ComponentMode::kTeacher),
    [](const auto& info) { return std::string(NameOf(info.param)); });

}  // namespace
}  // namespace caracal
