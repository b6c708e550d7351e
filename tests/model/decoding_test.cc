// Logits against transformers, and greedy continuations against the
// reference, through the decoder and its cache.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/base/status_matchers.h"
#include "core/model/decoder.h"
#include "core/model/generate.h"
#include "tests/model/golden.h"
#include "tests/model/golden_model.h"

namespace caracal::golden {
namespace {

// Logits are sums of 64 products of size up to 4, twice through a layer:
// 2 * 64 * 4 * 2^-24 = 3e-5; transformers' own RoPE angles, rounded to fp32,
// are within 1e-5 of it.
constexpr double kLogitTolerance = 5e-5;

class LogitsTest : public testing::TestWithParam<const char*> {};

TEST_P(LogitsTest, OfTheTeacherMatchTransformers) {
  const std::string folder = ModelFolder(GetParam());
  ASSERT_OK_AND_ASSIGN(const GoldenTensors golden,
                       ReadGoldenTensors(folder + "/logits.safetensors"));
  ASSERT_OK_AND_ASSIGN(const GoldenTensors rows,
                       ReadGoldenTensors(folder + "/rows.safetensors"));
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<GoldenModel> model,
                       GoldenModel::Load(folder));
  ASSERT_OK(model->SetStudent({}, {}, ""));
  const GoldenTensor& logits = golden.at("logits");  // [1, T, V]
  const int64_t tokens = logits.shape[1], vocabulary = logits.shape[2];
  Decoder decoder(&model->llama(), model->exec(), ComponentMode::kTeacher);
  const std::vector<int32_t> row = GoldenRows(rows, "tokens", 0, 1, tokens);
  for (int64_t t = 0; t < tokens; ++t) {
    SCOPED_TRACE(testing::Message() << "position " << t);
    ASSERT_OK_AND_ASSIGN(const ConstTensorView ours,
                         decoder.Feed({&row[t], 1}));
    ASSERT_EQ(ours.size(), vocabulary);
    for (int64_t v = 0; v < vocabulary; ++v) {
      ASSERT_NEAR(ours.f32()[v], logits.values[t * vocabulary + v],
                  kLogitTolerance);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, LogitsTest,
                         testing::Values("tiny_gqa", "tiny_tied"),
                         [](const auto& info) {
                           return std::string(info.param);
                         });

TEST(GreedyTest, ContinuationsMatchTheReference) {
  const std::string folder = ModelFolder("tiny_gqa");
  ASSERT_OK_AND_ASSIGN(const nlohmann::json expected,
                       ReadGoldenJson(folder + "/expected.json"));
  const nlohmann::json& golden = expected["generation"];
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<GoldenModel> model,
                       GoldenModel::Load(folder));
  kernels::HybridAttentionConfig config;
  config.window = golden["window"];
  config.sinks = golden["sinks"];
  LoraConfig lora;
  lora.alpha = expected["lora_alpha"];
  ASSERT_OK(model->SetStudent(config, lora, folder + "/student.safetensors"));
  const std::vector<int32_t> prompt = golden["prompt"];
  ASSERT_FALSE(golden["modes"].empty());
  for (const auto& [name, ids] : golden["modes"].items()) {
    SCOPED_TRACE(name);
    ASSERT_OK_AND_ASSIGN(const ComponentMode mode, ComponentModeFromName(name));
    model->exec().arena->Reset();
    Decoder decoder(&model->llama(), model->exec(), mode);
    const std::vector<int32_t> expected_ids = ids;
    ASSERT_OK_AND_ASSIGN(
        const Continuation ours,
        GenerateGreedy(decoder, prompt, expected_ids.size(), {}, nullptr));
    EXPECT_EQ(ours.tokens, expected_ids);
    EXPECT_EQ(ours.reason, FinishReason::kLength);
  }
}

}  // namespace
}  // namespace caracal::golden
