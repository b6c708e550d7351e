#include "core/io/weight_source.h"

#include <gtest/gtest.h>

#include <set>

#include "core/base/status_matchers.h"
#include "core/io/io_golden.h"
#include "core/io/rope_config.h"
#include "kernels/quant/dequantize.h"

namespace caracal {
namespace {

using ::testing::ElementsAre;

constexpr char kFolder[] = "tests/golden/io/";

class WeightSourceTest : public ::testing::TestWithParam<const char*> {
 protected:
  WeightSourceTest() {
    auto model = OpenModel(Path());
    CARACAL_CHECK_OK(model.status());
    model_ = std::move(*model);
  }
  std::string Path() const { return std::string(kFolder) + GetParam(); }
  std::vector<float> Read(const Context& ctx, const TensorInfo& info) const {
    std::vector<float> out(info.rows() * info.columns());
    CARACAL_CHECK_OK(model_->ReadF32(ctx, info.name, out.data()));
    return out;
  }

  ThreadPool pool_{2};
  const Context ctx_{.pool = &pool_};
  std::unique_ptr<WeightSource> model_;
};

TEST_P(WeightSourceTest, ValuesMatchTheGoldensBitForBit) {
  const IoGolden golden = IoGolden::Load();
  std::set<std::string> names;
  for (const TensorInfo& info : model_->tensors()) {
    names.insert(info.name);
    const auto& expected = golden.Tensors(GetParam());
    ASSERT_TRUE(expected.contains(info.name)) << info.name;
    EXPECT_EQ(IoGolden::Crc(Read(ctx_, info)), expected.at(info.name))
        << info.name;
    EXPECT_EQ(model_->Find(info.name), &info);
  }
  EXPECT_EQ(names.size(), golden.Tensors(GetParam()).size());
  EXPECT_EQ(model_->path(), Path());
}

TEST_P(WeightSourceTest, SlicesArePartsOfTheWhole) {
  for (const TensorInfo& info : model_->tensors()) {
    const std::vector<float> whole = Read(ctx_, info);
    const int64_t rows = info.rows(), columns = info.columns();
    for (const TensorSlice& slice :
         {TensorSlice{0, rows, 0, columns}, TensorSlice{0, (rows + 1) / 2},
          TensorSlice{rows / 2, -1, 0, columns / 2},
          TensorSlice{0, -1, columns / 2, -1}, TensorSlice{0, rows, 3, 29},
          TensorSlice{rows - 1, rows, columns - 1, columns}, TensorSlice{0, 0},
          TensorSlice{0, rows, 5, 5}}) {
      const int64_t row_end = slice.row_end < 0 ? rows : slice.row_end;
      const int64_t column_end =
          slice.column_end < 0 ? columns : slice.column_end;
      std::vector<float> expected;
      for (int64_t r = slice.row_begin; r < row_end; ++r) {
        for (int64_t c = slice.column_begin; c < column_end; ++c) {
          expected.push_back(whole[r * columns + c]);
        }
      }
      std::vector<float> part(expected.size());
      EXPECT_OK(model_->ReadF32(ctx_, info.name, slice, part.data()));
      EXPECT_EQ(part, expected) << info.name;
    }
  }
}

TEST_P(WeightSourceTest, EncodedRowsDecodeToTheSameValues) {
  for (const TensorInfo& info : model_->tensors()) {
    ASSERT_OK_AND_ASSIGN(const EncodedMatrix encoded,
                         model_->ReadEncoded(ctx_, info.name));
    EXPECT_EQ(encoded.view.encoding, info.encoding);
    std::vector<float> out(info.rows() * info.columns());
    kernels::Dequantize(ctx_, encoded.view,
                        TensorView(out.data(), {info.rows(), info.columns()}));
    EXPECT_EQ(out, Read(ctx_, info)) << info.name;
  }
}

TEST_P(WeightSourceTest, FingerprintIsStable) {
  const std::string fingerprint = model_->Fingerprint(ctx_);
  EXPECT_EQ(fingerprint.size(), 32);
  ThreadPool one(1);
  ASSERT_OK_AND_ASSIGN(const auto again, OpenModel(Path()));
  EXPECT_EQ(again->Fingerprint({.pool = &one}), fingerprint);
}

INSTANTIATE_TEST_SUITE_P(Fixtures, WeightSourceTest,
                         ::testing::Values("mixed.gguf", "tied.gguf",
                                           "hf_sharded", "hf_single"),
                         [](const ::testing::TestParamInfo<const char*>& info) {
                           const std::string name = info.param;
                           return name.substr(0, name.find('.'));
                         });

// Only the rows of q and k are copied: the rest is read from the file.
TEST(WeightSource, OnlyInterleavedMatricesAreCopied) {
  ThreadPool pool(1);
  ASSERT_OK_AND_ASSIGN(const auto model,
                       OpenModel(std::string(kFolder) + "mixed.gguf"));
  for (const TensorInfo& info : model->tensors()) {
    ASSERT_OK_AND_ASSIGN(const EncodedMatrix encoded,
                         model->ReadEncoded({.pool = &pool}, info.name));
    const bool rotary = info.name.find("q_proj") != std::string::npos ||
                        info.name.find("k_proj") != std::string::npos;
    EXPECT_EQ(!encoded.owned.empty(), rotary) << info.name;
  }
}

TEST(WeightSource, GgufConfigurations) {
  ASSERT_OK_AND_ASSIGN(const auto mixed,
                       OpenModel(std::string(kFolder) + "mixed.gguf"));
  const ModelConfig& config = mixed->config();
  EXPECT_EQ(config.layers, 2);
  EXPECT_EQ(config.vocab_size, 24);
  EXPECT_EQ(config.rope.theta, 100000);
  EXPECT_FALSE(config.tie_word_embeddings);
  EXPECT_EQ(mixed->tensors().size(), 3 + 2 * 9);
  EXPECT_EQ(mixed->tensors()[0].encoding, Encoding::kQ8_0);
  ASSERT_OK_AND_ASSIGN(const auto tied,
                       OpenModel(std::string(kFolder) + "tied.gguf"));
  EXPECT_TRUE(tied->config().tie_word_embeddings);
  EXPECT_EQ(tied->Find("lm_head.weight"), nullptr);
  EXPECT_THAT(tied->config().rope.divisors, ElementsAre(1, 1, 2.5f, 8));
}

TEST(WeightSource, HuggingFaceConfigurationsOfBothGenerations) {
  ASSERT_OK_AND_ASSIGN(const auto sharded,
                       OpenModel(std::string(kFolder) + "hf_sharded"));
  EXPECT_EQ(sharded->config().rope.theta, 100000);
  EXPECT_EQ(sharded->config().dtype, "bfloat16");
  EXPECT_THAT(sharded->config().eos_token_ids, ElementsAre(2, 3));
  EXPECT_FALSE(sharded->config().tie_word_embeddings);
  ASSERT_OK_AND_ASSIGN(const auto single,
                       OpenModel(std::string(kFolder) + "hf_single"));
  EXPECT_EQ(single->config().rope.scaling, RopeScaling::kLlama3);
  EXPECT_EQ(single->config().rope.theta, 500000);
  EXPECT_EQ(single->config().dtype, "float16");
  EXPECT_TRUE(single->config().tie_word_embeddings);
}

// Changing what goes into it would orphan every checkpoint that names one.
TEST(WeightSource, FingerprintsNeverChange) {
  ThreadPool pool(1);
  const std::pair<const char*, const char*> kPinned[] = {
      {"mixed.gguf", "86afa6f237be46be7c357b7855e06d0d"},
      {"tied.gguf", "09e3839c7ab109a3398e9c3cb8f90edf"},
      {"hf_sharded", "7734750a3fa77cad55927b2eea7f3526"},
      {"hf_single", "16aaa8a99f744d3379ee56cc94ab95e4"},
  };
  for (const auto& [fixture, fingerprint] : kPinned) {
    ASSERT_OK_AND_ASSIGN(const auto model,
                         OpenModel(std::string(kFolder) + fixture));
    EXPECT_EQ(model->Fingerprint({.pool = &pool}), fingerprint) << fixture;
  }
}

}  // namespace
}  // namespace caracal
