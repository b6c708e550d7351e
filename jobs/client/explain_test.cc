#include "jobs/client/explain.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <sstream>

#include "jobs/spec/expand.h"
#include "nlohmann/json.hpp"

namespace caracal {
namespace {

proto::Job Job() {
  proto::Job job;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(R"(
      name: "demo" preset: "lolcats" seed: 7
      model { path: "/m.gguf" } data { path: "/t.h5" validation: "/v.h5" }
      budget { transfer_steps: 32 finetune_steps: 1 batch: 4 micro_batch: 2 }
      )",
                                                            &job));
  return ExpandJob(job);
}

JobFacts Facts() {
  JobFacts facts;
  facts.model.architecture = "llama";
  facts.model.hidden_size = 576;
  facts.model.intermediate_size = 1536;
  facts.model.vocab_size = 49152;
  facts.model.tie_word_embeddings = true;
  facts.model.layers = 30;
  facts.model.heads = 9;
  facts.model.kv_heads = 3;
  facts.model.head_dim = 64;
  facts.model_parameters = 134515008;
  facts.rows = 1234;
  facts.row_tokens = 512;
  facts.validation_rows = 16;
  facts.step_tokens = 2048;
  facts.stages = {{32, 65536, 0.104, 2212110}, {1, 2048, 0.003, 921600}};
  facts.tokens = 67584;
  facts.weight_bytes = 538060032;
  facts.training_bytes = 35393760;
  return facts;
}

TEST(ExplainTest, TellsAllInPlainWords) {
  std::ostringstream out, err;
  const Console console{out, err};
  EXPECT_EQ(ExplainText(Job(), Facts(), console), R"(demo: preset lolcats
  model          /m.gguf
                 llama, 30 layers of 9 query and 3 key/value heads of 64, 134.5
                 M parameters
  data           /t.h5
                 1,234 rows of 512 tokens
  held out       /v.h5
                 16 rows
  attention      sliding window of 64 tokens, no sinks, hedgehog feature maps
                 with 64 columns, identity and gamma 0.1 at first
  step           4 rows, 2 at a time: 2,048 tokens
  optimizer      AdamW, betas 0.9 and 0.999, eps 1e-08, weight decay 0,
                 gradients clipped to norm 1
  validation     loss on 16 rows every 8 steps and at the end of each stage
  checkpoint     at the end of each stage, every 5 min 00 s; the newest 2 and
                 the best are kept
  report         16 rows in teacher, teacher_swa, hybrid, swa_only, la_only,
                 la_past, none; teacher_swa with 0 and 4 sinks beside them;
                 intervals from 1,000 bootstrap samples
  device         auto, a thread a core
  seed           7

Stage 1: transfer, 32 steps
  Attention transfer: each layer by itself learns to give the teacher's
  attention outputs. The model's weights stay frozen.
  student        hybrid
  loss           1000 mse
  trains         feature maps, window factors: 2,212,110 parameters
  learning rate  0.01, times 0.1 after 10 validations without gain, at least
                 1e-05
  tokens         65,536, 0.10 passes over the data

Stage 2: finetune, 1 step
  Fine-tuning: the converted model learns to predict the next token again,
  through low-rank adapters. The model's weights stay frozen.
  student        hybrid
  loss           lm
  trains         LoRA of rank 8, alpha 16 on q k v o: 921,600 parameters
  learning rate  0.0001, times 0.1 after 10 validations without gain, at least
                 1e-05
  tokens         2,048, 0.003 passes over the data

In all
  tokens         67,584
  memory         513 MiB weights, 33.8 MiB trained parameters with gradients and
                 moments; activations on top
  fingerprint    f3759974e44f48d4d2bb2b2028527ae5
)");
}

TEST(ExplainTest, TellsWhatTheModelIsFinishedAs) {
  proto::Job job = Job();
  job.mutable_data()->set_restart_each_stage(true);
  job.mutable_evaluation()->add_gamma_override(0.5);
  std::ostringstream out, err;
  const std::string text = ExplainText(job, Facts(), Console{out, err});
  EXPECT_THAT(text, testing::HasSubstr(
                        "\n  finished as    hybrid, with gamma 0.5 in every "
                        "head\n  report "));
  EXPECT_THAT(text, testing::HasSubstr(
                        "1,234 rows of 512 tokens, from the first at each "
                        "stage\n"));
}

TEST(ExplainTest, JsonHasEveryField) {
  const auto json = nlohmann::json::parse(ExplainJson(Job(), Facts()));
  EXPECT_EQ(json["job"]["attention"]["window"], 64);
  EXPECT_EQ(json["job"]["stages"][0]["transfer"]["lr"], 0.01);
  EXPECT_EQ(json["job"]["stages"][0]["transfer"]["student_mode"], "HYBRID");
  EXPECT_EQ(json["stages"][0]["stage"], "transfer");
  EXPECT_EQ(json["stages"][1]["trained_parameters"], 921600);
  EXPECT_EQ(json["features"], 64);
  EXPECT_EQ(json["model"]["num_key_value_heads"], 3);
  EXPECT_EQ(json["fingerprint"].get<std::string>().size(), 32u);
}

}  // namespace
}  // namespace caracal
