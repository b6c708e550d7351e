#include "core/io/gguf_config.h"

#include <gtest/gtest.h>

#include "core/base/status_matchers.h"
#include "core/io/gguf_builder.h"

namespace caracal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The metadata of a small Llama without the key `left_out`.
GgufBuilder Metadata(const std::string& left_out = "") {
  GgufBuilder builder;
  builder.String("general.architecture", "llama");
  const std::pair<const char*, uint32_t> kInts[] = {
      {"llama.embedding_length", 64},    {"llama.feed_forward_length", 128},
      {"llama.block_count", 2},          {"llama.attention.head_count", 4},
      {"llama.context_length", 256},     {"llama.attention.head_count_kv", 2},
      {"llama.vocab_size", 100},         {"tokenizer.ggml.bos_token_id", 1},
      {"tokenizer.ggml.eos_token_id", 2}};
  for (const auto& [key, value] : kInts) {
    if (key != left_out) builder.Int(key, value);
  }
  constexpr char kEps[] = "llama.attention.layer_norm_rms_epsilon";
  if (left_out != kEps) builder.Float(kEps, 1e-5f);
  return builder;
}

absl::StatusOr<ModelConfig> Parse(const GgufBuilder& builder,
                                  const std::string& data = "") {
  const std::string bytes = builder.Build(data);
  ASSIGN_OR_RETURN(
      const auto file,
      GgufFile::Parse(
          absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(bytes.data()),
                              bytes.size()),
          "m.gguf"));
  return ParseGgufConfig(*file);
}

TEST(GgufConfig, ReadsLlama) {
  ASSERT_OK_AND_ASSIGN(const ModelConfig config, Parse(Metadata()));
  EXPECT_EQ(config.architecture, "llama");
  EXPECT_EQ(config.hidden_size, 64);
  EXPECT_EQ(config.intermediate_size, 128);
  EXPECT_EQ(config.layers, 2);
  EXPECT_EQ(config.heads, 4);
  EXPECT_EQ(config.kv_heads, 2);
  EXPECT_EQ(config.head_dim, 16);
  EXPECT_EQ(config.vocab_size, 100);
  EXPECT_EQ(config.max_positions, 256);
  EXPECT_EQ(config.rms_norm_eps, 1e-5f);
  EXPECT_EQ(config.rope, RopeConfig());
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_EQ(config.bos_token_id, 1);
  EXPECT_THAT(config.eos_token_ids, ElementsAre(2));
}

TEST(GgufConfig, ReadsOptionalKeys) {
  ASSERT_OK_AND_ASSIGN(const ModelConfig config,
                       Parse(Metadata("llama.attention.head_count_kv")
                                 .Int("llama.attention.key_length", 32)
                                 .Int("llama.attention.value_length", 32)
                                 .Float("llama.rope.freq_base", 5000)
                                 .String("llama.rope.scaling.type", "linear")
                                 .Float("llama.rope.scaling.factor", 4)
                                 .Int("tokenizer.ggml.eot_token_id", 3)));
  EXPECT_EQ(config.kv_heads, 4);
  EXPECT_EQ(config.head_dim, 32);
  EXPECT_EQ(config.rope.theta, 5000);
  EXPECT_EQ(config.rope.scaling, RopeScaling::kLinear);
  EXPECT_EQ(config.rope.factor, 4);
  EXPECT_THAT(config.eos_token_ids, ElementsAre(2, 3));
}

TEST(GgufConfig, NamesMissingKeys) {
  for (const char* key :
       {"llama.embedding_length", "llama.feed_forward_length",
        "llama.block_count", "llama.attention.head_count",
        "llama.context_length", "llama.attention.layer_norm_rms_epsilon"}) {
    EXPECT_THAT(Parse(Metadata(key)),
                StatusIs(absl::StatusCode::kNotFound,
                         absl::StrCat("m.gguf: metadata key \"", key,
                                      "\" is missing")));
  }
  EXPECT_THAT(Parse(GgufBuilder()),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("\"general.architecture\" is missing")));
}

TEST(GgufConfig, RefusesUnsupportedModels) {
  const auto kCode = absl::StatusCode::kUnimplemented;
  EXPECT_THAT(Parse(GgufBuilder().String("general.architecture", "mamba")),
              StatusIs(kCode,
                       "m.gguf: architecture \"mamba\" is unknown; "
                       "expected one of: llama"));
  EXPECT_THAT(Parse(GgufBuilder().String("general.architecture", "qwen2")),
              StatusIs(kCode, HasSubstr("has biases on its q, k and v")));
  EXPECT_THAT(Parse(Metadata().Int("llama.expert_count", 8)),
              StatusIs(kCode,
                       "m.gguf: llama.expert_count is 8, expected 0: "
                       "mixtures of experts are not supported"));
  EXPECT_THAT(Parse(Metadata().Int("llama.rope.dimension_count", 8)),
              StatusIs(kCode, HasSubstr("partial rotary")));
  EXPECT_THAT(Parse(Metadata().Int("llama.attention.value_length", 8)),
              StatusIs(kCode, HasSubstr("llama.attention.value_length is 8, "
                                        "expected 16")));
  EXPECT_THAT(Parse(Metadata().Int("llama.attention.sliding_window", 64)),
              StatusIs(kCode, HasSubstr("sliding window")));
  EXPECT_THAT(Parse(Metadata().String("llama.rope.scaling.type", "yarn")),
              StatusIs(kCode, HasSubstr("llama.rope.scaling.type is \"yarn\", "
                                        "expected none or linear")));
}

TEST(GgufConfig, RefusesBadValues) {
  const auto kCode = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(Parse(Metadata("llama.attention.head_count")
                        .Int("llama.attention.head_count", 3)),
              StatusIs(kCode, HasSubstr("expected a multiple of "
                                        "num_key_value_heads, 2")));
  EXPECT_THAT(Parse(Metadata("llama.attention.head_count")
                        .Int("llama.attention.head_count", 0)),
              StatusIs(kCode, HasSubstr("num_attention_heads is 0")));
  EXPECT_THAT(
      Parse(Metadata("llama.block_count").String("llama.block_count", "two")),
      StatusIs(kCode, HasSubstr("\"llama.block_count\" is of type "
                                "string, expected an integer")));
  EXPECT_THAT(
      Parse(Metadata().Add({"rope_freqs.weight", {4}}), std::string(16, 'x')),
      StatusIs(kCode, "m.gguf: tensor rope_freqs.weight is not F32 [8]"));
  EXPECT_THAT(
      Parse(Metadata().Add({"rope_freqs.weight", {8}}), std::string(32, '\0')),
      StatusIs(kCode, HasSubstr("a rope frequency factor is 0")));
}

}  // namespace
}  // namespace caracal
