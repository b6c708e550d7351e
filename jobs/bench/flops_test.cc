#include "jobs/bench/flops.h"

#include <gtest/gtest.h>

namespace caracal {
namespace {

ModelConfig SmolLm() {
  ModelConfig m;
  m.hidden_size = 576;
  m.intermediate_size = 1536;
  m.layers = 30;
  m.heads = 9;
  m.kv_heads = 3;
  m.head_dim = 64;
  m.vocab_size = 49152;
  return m;
}

// Against sums written out for SmolLM2-135M.
TEST(Flops, Smollm2) {
  StudentConfig student;
  const double layer = 576 * 960 + 576 * 576 + 3 * 576 * 1536;
  const FlopCount transfer = TransferFlops(SmolLm(), student, 512);
  EXPECT_DOUBLE_EQ(transfer.projections,
                   2 * (30 * layer - 576 * 576 - 3 * 576 * 1536));
  // Rows 0 .. 62 have fewer than 64 keys.
  const double keys = (63.0 * 64 / 2 + 449.0 * 64) / 512;
  EXPECT_DOUBLE_EQ(transfer.attention,
                   30 * 9 * (2 * 64 * 513.0 + 4 * 64 * keys + 10 * 128 * 64));
  EXPECT_DOUBLE_EQ(transfer.feature_maps, 30 * 9 * 8 * 64.0 * 64);
  const FlopCount finetune = FinetuneFlops(SmolLm(), student, 512);
  EXPECT_DOUBLE_EQ(finetune.projections,
                   4 * (30 * layer + 49152.0 * 576) - 2 * 576 * 960);
  EXPECT_DOUBLE_EQ(
      finetune.lora,
      6 * 30 * 8.0 * ((576 + 576) + 2 * (576 + 192) + (576 + 576)));
}

TEST(Flops, DecodeDoesNotGrowWithTheContext) {
  StudentConfig student;
  student.attention.sinks = 4;
  EXPECT_DOUBLE_EQ(DecodeFlops(SmolLm(), student, 1000).total(),
                   DecodeFlops(SmolLm(), student, 100000).total());
}

}  // namespace
}  // namespace caracal
