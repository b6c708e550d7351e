#include "core/io/model_config.h"

#include <gtest/gtest.h>

#include "core/base/status_matchers.h"

namespace caracal {
namespace {

ModelConfig Good() {
  ModelConfig config;
  config.architecture = "llama";
  config.hidden_size = 576;
  config.intermediate_size = 1536;
  config.layers = 30;
  config.heads = 9;
  config.kv_heads = 3;
  config.head_dim = 64;
  config.vocab_size = 49152;
  config.max_positions = 8192;
  config.bos_token_id = 1;
  config.eos_token_ids = {2};
  return config;
}

TEST(ModelConfig, AcceptsSmolLm) {
  EXPECT_OK(Validate(Good()));
  EXPECT_EQ(Good().inv_freq().size(), 32);
}

template <typename Change>
std::string Refusal(Change change) {
  ModelConfig config = Good();
  change(config);
  const absl::Status status = Validate(config);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  return std::string(status.message());
}

TEST(ModelConfig, RefusalsNameTheField) {
  using C = ModelConfig;
  EXPECT_EQ(Refusal([](C& c) { c.hidden_size = 0; }),
            "hidden_size is 0, expected 1 to 131072");
  EXPECT_EQ(Refusal([](C& c) { c.intermediate_size = -5; }),
            "intermediate_size is -5, expected 1 to 1048576");
  EXPECT_EQ(Refusal([](C& c) { c.layers = 1025; }),
            "num_hidden_layers is 1025, expected 1 to 1024");
  EXPECT_EQ(Refusal([](C& c) { c.heads = 0; }),
            "num_attention_heads is 0, expected 1 to 1024");
  EXPECT_EQ(Refusal([](C& c) { c.kv_heads = 2; }),
            "num_attention_heads is 9, expected a multiple of "
            "num_key_value_heads, 2");
  EXPECT_EQ(Refusal([](C& c) { c.head_dim = 63; }),
            "head_dim is 63, expected an even number");
  EXPECT_EQ(Refusal([](C& c) { c.vocab_size = int64_t{1} << 40; }),
            "vocab_size is 1099511627776, expected 1 to 16777216");
  EXPECT_EQ(Refusal([](C& c) { c.max_positions = 0; }),
            "max_position_embeddings is 0, expected 1 to 134217728");
  EXPECT_EQ(Refusal([](C& c) { c.rms_norm_eps = 0; }),
            "rms_norm_eps is 0, expected above 0 and at most 0.1");
  EXPECT_EQ(Refusal([](C& c) { c.bos_token_id = 49152; }),
            "bos_token_id is 49152, expected 0 to 49151");
  EXPECT_EQ(Refusal([](C& c) {
              c.eos_token_ids = {2, -1};
            }),
            "eos_token_id is -1, expected 0 to 49151");
  EXPECT_EQ(Refusal([](C& c) { c.rope.theta = 0; }),
            "rope_theta is 0, expected 1 to 1e12");
}

}  // namespace
}  // namespace caracal
