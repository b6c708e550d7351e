#include "jobs/client/rank_words.h"

#include <gtest/gtest.h>

namespace caracal {
namespace {

proto::Job Job(int data, int tensor) {
  proto::Job job;
  job.mutable_budget()->set_batch(4);
  job.mutable_parallel()->set_data(data);
  job.mutable_parallel()->set_tensor(tensor);
  job.mutable_parallel()->set_layer(1);
  return job;
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

TEST(RankWordsTest, OneRankNeedsNone) {
  EXPECT_EQ(RankWords(Job(1, 1), Model()), "");
}

TEST(RankWordsTest, DataRanksHoldEverything) {
  EXPECT_EQ(RankWords(Job(4, 1), Model()),
            "4: data 4 x layer 1 x tensor 1; 1 row of a step each\n"
            "each the whole model, 513 MiB of weights");
}

TEST(RankWordsTest, TensorRanksTellTheirShares) {
  EXPECT_EQ(
      RankWords(Job(2, 2), Model()),
      "4: data 2 x layer 1 x tensor 2; 2 rows of a step each\n"
      "tensor 0: query heads 0 to 5, key/value heads 0 to 1, 768 MLP columns, "
      "24,576 of the vocabulary, 274 MiB of weights\n"
      "tensor 1: query heads 6 to 8, key/value heads 2, 768 MLP columns, "
      "24,576 of the vocabulary, 240 MiB of weights");
}

TEST(RankWordsTest, WhatCannotBeSplitIsSaid) {
  EXPECT_NE(RankWords(Job(1, 10), Model()).find("not possible: 9 query heads"),
            std::string::npos);
}

}  // namespace
}  // namespace caracal
