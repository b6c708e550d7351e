#include "core/io/hf_config.h"

#include <gtest/gtest.h>

#include "absl/strings/str_replace.h"
#include "core/base/status_matchers.h"

namespace caracal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A minimal config.json with `more` appended to its fields.
std::string Json(const std::string& more = "") {
  return R"({"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2,
    "intermediate_size": 128, "num_attention_heads": 4, "vocab_size": 100)" +
         (more.empty() ? "" : ", " + more) + "}";
}

TEST(HfConfig, AbsentFieldsHaveTransformersDefaults) {
  ASSERT_OK_AND_ASSIGN(const ModelConfig config, ParseHfConfig(Json()));
  EXPECT_EQ(config.architecture, "llama");
  EXPECT_EQ(config.kv_heads, 4);
  EXPECT_EQ(config.head_dim, 16);
  EXPECT_EQ(config.max_positions, 2048);
  EXPECT_EQ(config.rms_norm_eps, 1e-6);
  EXPECT_FALSE(config.tie_word_embeddings);
  EXPECT_EQ(config.rope, RopeConfig());
  EXPECT_FALSE(config.bos_token_id.has_value());
  EXPECT_TRUE(config.eos_token_ids.empty());
}

TEST(HfConfig, BothGenerationsGiveTheSameConfiguration) {
  const std::string old_style = Json(
      R"("rope_theta": 500000.0, "torch_dtype": "bfloat16", "rope_scaling":
      {"factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
       "original_max_position_embeddings": 4096, "rope_type": "llama3"})");
  const std::string new_style = Json(
      R"("dtype": "bfloat16", "rope_parameters": {"rope_theta": 500000.0,
       "factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
       "original_max_position_embeddings": 4096, "rope_type": "llama3"})");
  ASSERT_OK_AND_ASSIGN(const ModelConfig a, ParseHfConfig(old_style));
  ASSERT_OK_AND_ASSIGN(const ModelConfig b, ParseHfConfig(new_style));
  EXPECT_EQ(a, b);
  EXPECT_EQ(a.rope.scaling, RopeScaling::kLlama3);
  EXPECT_EQ(a.rope.theta, 500000);
  EXPECT_EQ(a.rope.original_max_positions, 4096);
  EXPECT_EQ(a.dtype, "bfloat16");
}

TEST(HfConfig, ReadsOldSpellings) {
  ASSERT_OK_AND_ASSIGN(
      const ModelConfig config,
      ParseHfConfig(Json(R"("rope_scaling": {"type": "linear", "factor": 2},
          "head_dim": null, "sliding_window": null, "eos_token_id": [7, 8],
          "bos_token_id": 3, "tie_word_embeddings": true)")));
  EXPECT_EQ(config.rope.scaling, RopeScaling::kLinear);
  EXPECT_EQ(config.rope.factor, 2);
  EXPECT_EQ(config.bos_token_id, 3);
  EXPECT_THAT(config.eos_token_ids, ElementsAre(7, 8));
  EXPECT_TRUE(config.tie_word_embeddings);
}

TEST(HfConfig, TakesTheArchitectureFromTheClassWhenThereIsNoModelType) {
  ASSERT_OK_AND_ASSIGN(
      const ModelConfig config,
      ParseHfConfig(absl::StrReplaceAll(
          Json(), {{R"("model_type": "llama")",
                    R"("architectures": ["MistralForCausalLM"])"}})));
  EXPECT_EQ(config.architecture, "mistral");
}

TEST(HfConfig, RefusesUnsupportedModels) {
  const auto kCode = absl::StatusCode::kUnimplemented;
  const auto with_type = [](const std::string& type) {
    return ParseHfConfig(
        absl::StrReplaceAll(Json(), {{"\"llama\"", "\"" + type + "\""}}));
  };
  EXPECT_THAT(with_type("gpt2"),
              StatusIs(kCode,
                       "architecture \"gpt2\" is unknown; expected one "
                       "of: llama, mistral"));
  EXPECT_THAT(with_type("qwen2"),
              StatusIs(kCode, HasSubstr("\"qwen2\" has biases on its q, k and "
                                        "v projections, which are not "
                                        "supported")));
  EXPECT_THAT(with_type("qwen3"),
              StatusIs(kCode, HasSubstr("has norms on its queries and keys")));
  EXPECT_THAT(ParseHfConfig(Json(R"("rope_scaling": {"rope_type": "yarn"})")),
              StatusIs(kCode,
                       "rope_scaling.rope_type is \"yarn\", expected "
                       "default, linear or llama3"));
  EXPECT_THAT(ParseHfConfig(Json(R"("hidden_act": "gelu")")),
              StatusIs(kCode, "hidden_act is \"gelu\", expected \"silu\""));
  EXPECT_THAT(ParseHfConfig(Json(R"("attention_bias": true)")),
              StatusIs(kCode, HasSubstr("attention_bias is true")));
  EXPECT_THAT(ParseHfConfig(Json(R"("mlp_bias": true)")),
              StatusIs(kCode, HasSubstr("mlp_bias is true")));
  EXPECT_THAT(ParseHfConfig(Json(R"("sliding_window": 512)")),
              StatusIs(kCode, HasSubstr("sliding_window is 512")));
  EXPECT_THAT(
      ParseHfConfig(Json(R"("quantization_config": {"bits": 4})")),
      StatusIs(kCode, HasSubstr("quantization_config is {\"bits\":4}")));
}

TEST(HfConfig, RefusesMissingAndMistypedFields) {
  const auto kCode = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(ParseHfConfig("{}"),
              StatusIs(kCode, "field model_type is missing"));
  EXPECT_THAT(ParseHfConfig(R"({"model_type": "llama", "hidden_size": 64})"),
              StatusIs(kCode, "field intermediate_size is missing"));
  EXPECT_THAT(ParseHfConfig(Json(R"("num_key_value_heads": "4")")),
              StatusIs(kCode,
                       "num_key_value_heads is \"4\", expected an "
                       "integer"));
  EXPECT_THAT(ParseHfConfig(Json(R"("num_key_value_heads": 1e300)")),
              StatusIs(kCode, HasSubstr("expected an integer")));
  EXPECT_THAT(
      ParseHfConfig(Json(R"("num_key_value_heads": 18446744073709551615)")),
      StatusIs(kCode, HasSubstr("expected an integer")));
  EXPECT_THAT(ParseHfConfig(Json(R"("rms_norm_eps": "small")")),
              StatusIs(kCode, "rms_norm_eps is \"small\", expected a number"));
  EXPECT_THAT(ParseHfConfig(Json(R"("tie_word_embeddings": 1)")),
              StatusIs(kCode,
                       "tie_word_embeddings is 1, expected true or "
                       "false"));
  EXPECT_THAT(ParseHfConfig(Json(R"("dtype": 16)")),
              StatusIs(kCode, "dtype is 16, expected a string"));
  EXPECT_THAT(ParseHfConfig(Json(R"("rope_parameters": 4)")),
              StatusIs(kCode, "rope_parameters is 4, expected an object"));
  EXPECT_THAT(ParseHfConfig(Json(R"("rope_scaling": {"type": "linear"})")),
              StatusIs(kCode, "field rope_scaling.factor is missing"));
  EXPECT_THAT(ParseHfConfig(Json(R"("eos_token_id": [1, "2"])")),
              StatusIs(kCode, HasSubstr("eos_token_id is [1,\"2\"], expected "
                                        "an integer or a list")));
  EXPECT_THAT(ParseHfConfig(Json(R"("partial_rotary_factor": 0.5)")),
              StatusIs(kCode, "partial_rotary_factor is 0.5, expected 1"));
  EXPECT_THAT(ParseHfConfig(Json(R"("num_key_value_heads": 3)")),
              StatusIs(kCode, HasSubstr("expected a multiple of "
                                        "num_key_value_heads, 3")));
  EXPECT_THAT(ParseHfConfig(absl::StrReplaceAll(Json(), {{"64", "66"}})),
              StatusIs(kCode, HasSubstr("hidden_size is 66, expected a "
                                        "multiple of num_attention_heads")));
}

TEST(HfConfig, RefusesDamagedText) {
  const auto kCode = absl::StatusCode::kDataLoss;
  const std::string good = Json();
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_THAT(ParseHfConfig(good.substr(0, size)),
                StatusIs(kCode, HasSubstr("not valid JSON")));
  }
  EXPECT_THAT(ParseHfConfig("[]"), StatusIs(kCode, "expected a JSON object"));
  EXPECT_THAT(ParseHfConfig(Json("\"vocab_size\": 7")),
              StatusIs(kCode, "JSON key \"vocab_size\" appears twice"));
  EXPECT_THAT(ParseHfConfig(Json("\"note\": \"\xff\"")),
              StatusIs(kCode, HasSubstr("not valid JSON")));
  EXPECT_THAT(
      ParseHfConfig(std::string(100000, '[') + std::string(100000, ']')),
      StatusIs(kCode, "JSON is nested deeper than 64 levels"));
  EXPECT_THAT(ParseHfConfig(std::string(2 << 20, ' ')),
              StatusIs(kCode, HasSubstr("expected at most 1048576")));
}

}  // namespace
}  // namespace caracal
