#include "jobs/client/rank_words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <vector>

#include "jobs/spec/expand.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;

proto::Job Job(int data, int tensor) {
  proto::Job job;
  job.set_preset("lolcats");
  job.mutable_budget()->set_batch(4);
  job.mutable_budget()->set_transfer_steps(1);
  job.mutable_budget()->set_finetune_steps(1);
  job.mutable_parallel()->set_data(data);
  job.mutable_parallel()->set_tensor(tensor);
  return ExpandJob(job);
}

// SmolLM2-135M: 134,515,008 parameters.
ModelConfig Model() {
  ModelConfig model;
  model.hidden_size = 576;
  model.intermediate_size = 1536;
  model.vocab_size = 49152;
  model.layers = 30;
  model.heads = 9;
  model.kv_heads = 3;
  model.head_dim = 64;
  model.tie_word_embeddings = true;
  return model;
}

std::string Tables(const proto::Job& job) {
  std::ostringstream out, err;
  return RankTables(job, Model(), 512, Console{out, err});
}

TEST(RankWordsTest, OneRankNeedsNone) {
  EXPECT_EQ(RankWords(Job(1, 1), Model()), "");
  EXPECT_EQ(Tables(Job(1, 1)), "");
  EXPECT_TRUE(RankJson(Job(1, 1), Model(), 512).empty());
}

TEST(RankWordsTest, DataRanksHoldEverything) {
  EXPECT_EQ(RankWords(Job(4, 1), Model()),
            "4: data 4 x layer 1 x tensor 1; 1 row of a step each");
  const std::string text = Tables(Job(4, 1));
  EXPECT_THAT(text, HasSubstr(R"(
Ranks of stage 1: data 4 x layer 1 x tensor 1
  holds  layers   query heads  key heads    MLP  vocabulary  weights
  each   0 to 29  0 to 8       0 to 2     1,536      49,152  513 MiB

  trains and sends  parameters  gradients  moments      data    world
  each                 8.4 MiB    8.4 MiB  4.3 MiB  12.7 MiB  3.0 KiB
)"));
  EXPECT_THAT(text, HasSubstr("Ranks of stage 2"));
}

TEST(RankWordsTest, TensorRanksTellTheirShares) {
  EXPECT_EQ(RankWords(Job(2, 2), Model()),
            "4: data 2 x layer 1 x tensor 2; 2 rows of a step each");
  EXPECT_THAT(Tables(Job(2, 2)), HasSubstr(R"(
Ranks of stage 1: data 2 x layer 1 x tensor 2
  holds     layers   query heads  key heads  MLP  vocabulary  weights
  tensor 0  0 to 29  0 to 5       0 to 1     768      24,576  274 MiB
  tensor 1  0 to 29  6 to 8       2          768      24,576  240 MiB

  trains and sends  parameters  gradients  moments   tensor     data    world
  tensor 0             5.6 MiB    5.6 MiB  5.6 MiB  133 MiB  5.6 MiB  3.0 KiB
  tensor 1             2.8 MiB    2.8 MiB  2.8 MiB  133 MiB  2.8 MiB  3.0 KiB
  bytes that a rank sends in a step
    tensor   4 C (59 G + 59 S) + 4 A(s)
)"));
}

// A fine-tune's rows are for all ranks of the chain.
TEST(RankWordsTest, ChainsShareOutLayers) {
  proto::Job job = Job(2, 1);
  job.mutable_parallel()->set_layer(2);
  const std::string text = Tables(job);
  EXPECT_THAT(text, HasSubstr("Ranks of stage 1: data 2 x layer 2 x tensor 1"));
  EXPECT_THAT(text, HasSubstr("\n  layer 1  15 to 29 "));
  EXPECT_THAT(text, HasSubstr("Ranks of stage 2: data 4 x layer 1 x tensor 1"));
}

TEST(RankWordsTest, JsonHasEveryRank) {
  const auto stages = RankJson(Job(2, 2), Model(), 512);
  ASSERT_EQ(stages.size(), 2u);
  ASSERT_EQ(stages[0]["ranks"].size(), 4u);
  const auto& last = stages[0]["ranks"][3];
  EXPECT_EQ(last["data"], 1);
  EXPECT_EQ(last["tensor"], 1);
  EXPECT_EQ(last["query_heads"], (std::vector<int>{6, 9}));
  EXPECT_EQ(last["sent_bytes"]["tensor"], 139198464);
}

TEST(RankWordsTest, WhatCannotBeSplitIsSaid) {
  EXPECT_NE(RankWords(Job(1, 10), Model()).find("not possible: 9 query heads"),
            std::string::npos);
}

}  // namespace
}  // namespace caracal
