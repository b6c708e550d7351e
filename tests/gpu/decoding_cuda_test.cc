// Decoding on a GPU against the host's: every component mode, every token, one
// sequence and many. Noise as in model_cuda_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <random>
#include <vector>

#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "core/model/decoder.h"
#include "core/model/ops/model_ops.h"
#include "tests/gpu/model_pair.h"
#include "tests/gpu/random_model.h"

namespace caracal {
namespace {

constexpr ComponentMode kModes[] = {
    ComponentMode::kHybrid,    ComponentMode::kSwaOnly,
    ComponentMode::kLaOnly,    ComponentMode::kLaPast,
    ComponentMode::kSinksOnly, ComponentMode::kNone,
    ComponentMode::kSoftmax,   ComponentMode::kTeacher,
    ComponentMode::kTeacherSwa};

std::vector<int32_t> RandomTokens(int64_t count, int64_t vocabulary,
                                  uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<int32_t> tokens(count);
  for (int32_t& t : tokens) t = static_cast<int32_t>(random() % vocabulary);
  return tokens;
}

class DecodingTest : public ::testing::Test {
 protected:
  void Load(const RandomModelShape& shape, const StudentConfig& student) {
    shape_ = shape;
    const std::string path = folder_.File("model");
    ASSERT_OK(WriteRandomModel(path, shape, 5));
    ASSERT_OK_AND_ASSIGN(pair_, ModelPair::Load(path, student));
  }
  double Noise() const {
    return 0x1p-8 * std::sqrt(12 * static_cast<double>(shape_.layers) / 3);
  }
  ModePlan Plan(ComponentMode mode, int64_t sequences = 1) const {
    TokenBatch batch;
    batch.sequences = sequences;
    ModePlan plan;
    pair_->host.llama->Plan(batch, mode, &plan);
    return plan;
  }
  std::vector<int32_t> Tokens(int64_t count, uint64_t seed = 1) const {
    return RandomTokens(count, shape_.vocabulary, seed);
  }

  // Logits after the first `prompt` tokens, and after each that follows.
  std::vector<float> Logits(ModelSide& side, const ModePlan& plan,
                            const std::vector<int32_t>& tokens,
                            int64_t prompt) {
    Decoder decoder(side.llama.get(), side.compute.execution(), plan);
    std::vector<float> all;
    const auto feed = [&](absl::Span<const int32_t> part) {
      const absl::StatusOr<ConstTensorView> logits = decoder.Feed(part);
      ASSERT_OK(logits.status());
      all.insert(all.end(), logits->f32(), logits->f32() + logits->size());
    };
    const auto fed = absl::MakeConstSpan(tokens);
    feed(fed.first(prompt));
    for (size_t i = prompt; i < tokens.size(); ++i) feed(fed.subspan(i, 1));
    EXPECT_EQ(decoder.length(), static_cast<int64_t>(tokens.size()));
    return all;
  }

  void ExpectAgree(const ModePlan& plan, const std::vector<int32_t>& tokens,
                   int64_t prompt) {
    const double error =
        RelativeError(Logits(pair_->gpu, plan, tokens, prompt),
                      Logits(pair_->host, plan, tokens, prompt));
    std::printf("  %zu tokens after %ld: %.5f, noise %.5f\n",
                tokens.size() - prompt, static_cast<long>(prompt), error,
                Noise());
    EXPECT_LT(error, Noise());
  }

  TemporaryFolder folder_;
  RandomModelShape shape_;
  std::unique_ptr<ModelPair> pair_;
};

struct Case {
  const char* name;
  RandomModelShape shape;
  kernels::HybridAttentionConfig attention;
  int64_t features = 64, rank = 8;
  bool all_lora = false;  // or q, k, v, o
};

std::vector<Case> Cases() {
  std::vector<Case> cases(5);
  cases[0].name = "D64";
  cases[1].name = "D128AllAdaptersSinks";
  cases[1].shape.heads = 4;
  cases[1].shape.kv_heads = 1;
  cases[1].shape.head_dim = 128;
  cases[1].attention.sinks = 4;
  cases[1].all_lora = true;
  cases[1].rank = 5;  // padded to a multiple of 16 bytes
  cases[2].name = "D32F96OddVocabulary";
  cases[2].shape.head_dim = 32;
  cases[2].shape.vocabulary = 509;
  cases[2].features = 96;
  cases[3].name = "Terraced";
  cases[3].attention.window = 16;
  cases[3].attention.sinks = 3;
  cases[3].attention.window_kind = kernels::WindowKind::kTerraced;
  cases[4].name = "LolcatsWindow";
  cases[4].attention.window = 16;
  cases[4].attention.sinks = 3;
  cases[4].attention.window_kind = kernels::WindowKind::kLolcatsTerraced;
  return cases;
}

class DecodingCasesTest : public DecodingTest,
                          public ::testing::WithParamInterface<Case> {
 protected:
  void SetUp() override {
    const Case& c = GetParam();
    StudentConfig student;
    student.attention = c.attention;
    student.features = c.features;
    student.lora.rank = c.rank;
    if (c.all_lora) student.lora.projections.fill(true);
    Load(c.shape, student);
  }
};

TEST_P(DecodingCasesTest, EveryTokenInEveryMode) {
  for (const ComponentMode mode : kModes) {
    SCOPED_TRACE(NameOf(mode));
    ExpectAgree(Plan(mode), Tokens(110), 83);
  }
}

// From the first token on: windows and sinks fill up on the way.
TEST_P(DecodingCasesTest, FromTheFirstTokenOn) {
  ExpectAgree(Plan(ComponentMode::kHybrid), Tokens(90), 1);
  ExpectAgree(Plan(ComponentMode::kTeacher), Tokens(90), 1);
}

// With and without adapters, by few and by many rows' products, and by the two
// kernels that many heads take.
TEST_P(DecodingCasesTest, SeveralSequences) {
  for (const int64_t sequences : {int64_t{3}, int64_t{6}, int64_t{130}}) {
    for (const ComponentMode mode :
         {ComponentMode::kHybrid, ComponentMode::kTeacher}) {
      SCOPED_TRACE(::testing::Message() << sequences << " " << NameOf(mode));
      constexpr int64_t kSteps = 5;
      std::vector<std::vector<int32_t>> texts;
      std::vector<int32_t> tokens, positions;
      std::vector<int64_t> offsets = {0};
      for (int64_t i = 0; i < sequences; ++i) {
        const int64_t prompt = 1 + 37 * i % 120;
        texts.push_back(Tokens(prompt + kSteps, i));
        tokens.insert(tokens.end(), texts[i].begin(),
                      texts[i].begin() + prompt);
        for (int64_t p = 0; p < prompt; ++p) {
          positions.push_back(static_cast<int32_t>(p));
        }
        offsets.push_back(offsets.back() + prompt);
      }
      TokenBatch batch;
      batch.sequences = sequences;
      batch.offsets = offsets.data();
      batch.tokens = ConstTensorView(tokens.data(), {offsets.back()});
      batch.positions = ConstTensorView(positions.data(), {offsets.back()});
      ModelSide& gpu = pair_->gpu;
      const Execution exec = gpu.compute.execution();
      ASSERT_OK_AND_ASSIGN(
          const std::unique_ptr<DecodingSession> session,
          OpsOf(exec).StartDecoding(exec, gpu.weights, gpu.adapters.get(),
                                    Plan(mode, sequences)));
      ASSERT_OK(session->Start(batch));
      // [step, sequence, V]
      const int64_t vocabulary = shape_.vocabulary;
      std::vector<float> logits((kSteps + 1) * sequences * vocabulary);
      for (int64_t step = 0; step <= kSteps; ++step) {
        if (step > 0) {
          std::vector<int32_t> next;
          for (const auto& text : texts) {
            next.push_back(text[text.size() - kSteps + step - 1]);
          }
          ASSERT_OK(session->Step(next));
        }
        ASSERT_OK(session->ReadLogits(TensorView(
            &logits[step * sequences * vocabulary], {sequences, vocabulary})));
      }
      std::vector<float> got, want;
      for (const int64_t i : {int64_t{0}, sequences / 2, sequences - 1}) {
        for (int64_t step = 0; step <= kSteps; ++step) {
          const float* row = &logits[(step * sequences + i) * vocabulary];
          got.insert(got.end(), row, row + vocabulary);
        }
        const std::vector<float> host =
            Logits(pair_->host, Plan(mode), texts[i],
                   static_cast<int64_t>(texts[i].size()) - kSteps);
        want.insert(want.end(), host.begin(), host.end());
      }
      const double error = RelativeError(got, want);
      std::printf("  %ld sequences: %.5f, noise %.5f\n",
                  static_cast<long>(sequences), error, Noise());
      EXPECT_LT(error, Noise());
    }
  }
}

// What is chosen on the device is what its logits say, and a decoder that goes
// on from its own choice does as one that is given the tokens.
TEST_P(DecodingCasesTest, GreedyTokensAreTheLikeliest) {
  for (const ComponentMode mode :
       {ComponentMode::kHybrid, ComponentMode::kTeacher}) {
    ModelSide& gpu = pair_->gpu;
    const std::vector<int32_t> prompt = Tokens(40);
    Decoder greedy(gpu.llama.get(), gpu.compute.execution(), Plan(mode));
    std::vector<int32_t> chosen;
    ASSERT_OK_AND_ASSIGN(int32_t next, greedy.FeedGreedy(prompt));
    for (int i = 0; i < 30; ++i) {
      chosen.push_back(next);
      ASSERT_OK_AND_ASSIGN(next, greedy.FeedGreedy({&next, 1}));
    }
    Decoder given(gpu.llama.get(), gpu.compute.execution(), Plan(mode));
    ASSERT_OK_AND_ASSIGN(ConstTensorView logits, given.Feed(prompt));
    for (const int32_t token : chosen) {
      EXPECT_EQ(std::max_element(logits.f32(), logits.f32() + logits.size()) -
                    logits.f32(),
                token);
      ASSERT_OK_AND_ASSIGN(logits, given.Feed({&token, 1}));
    }
  }
}

// A second text starts from nothing.
TEST_P(DecodingCasesTest, ResetForgets) {
  ModelSide& gpu = pair_->gpu;
  const std::vector<int32_t> tokens = Tokens(100), other = Tokens(170, 2);
  Decoder decoder(gpu.llama.get(), gpu.compute.execution(),
                  Plan(ComponentMode::kHybrid));
  std::vector<float> first;
  for (int i = 0; i < 2; ++i) {
    ASSERT_OK(decoder.Feed(tokens).status());
    ASSERT_OK_AND_ASSIGN(const ConstTensorView logits,
                         decoder.Feed({&tokens[3], 1}));
    const std::vector<float> now(logits.f32(), logits.f32() + logits.size());
    if (i == 0) first = now;
    EXPECT_EQ(now, first);
    decoder.Reset();
    if (i == 0) ASSERT_OK(decoder.Feed(other).status());
    decoder.Reset();
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, DecodingCasesTest,
                         ::testing::ValuesIn(Cases()), [](const auto& info) {
                           return std::string(info.param.name);
                         });

// Layers kept as softmax, and a plan that has every layer in modes of its own.
TEST_F(DecodingTest, LayersAndHeadsInModesOfTheirOwn) {
  StudentConfig student;
  student.softmax_layers = {false, true, false};
  Load({}, student);
  ModePlan plan = Plan(ComponentMode::kHybrid);
  plan.SetHead(0, 0, 1, ComponentMode::kLaOnly);
  plan.SetHead(0, 0, 2, ComponentMode::kNone);
  plan.SetLayer(2, ComponentMode::kSwaOnly);
  ExpectAgree(plan, Tokens(100), 70);
}

// The cache of full attention has room for 1,024 tokens at first.
TEST_F(DecodingTest, FullAttentionGrowsWithTheText) {
  RandomModelShape shape;
  shape.positions = 1100;
  Load(shape, StudentConfig());
  ExpectAgree(Plan(ComponentMode::kTeacher), Tokens(1040), 1015);
  ExpectAgree(Plan(ComponentMode::kTeacher), Tokens(1060), 1050);
}

TEST_F(DecodingTest, AHybridsCacheStaysAsLargeAsItIs) {
  Load({}, StudentConfig());
  ModelSide& gpu = pair_->gpu;
  Decoder decoder(gpu.llama.get(), gpu.compute.execution(),
                  Plan(ComponentMode::kHybrid));
  ASSERT_OK(decoder.Feed(Tokens(10)).status());
  const size_t bytes = decoder.cache_bytes();
  EXPECT_GT(bytes, 0u);
  ASSERT_OK(decoder.Feed(Tokens(150)).status());
  EXPECT_EQ(decoder.cache_bytes(), bytes);
  EXPECT_THAT(decoder.Feed(Tokens(400)).status(),
              StatusIs(absl::StatusCode::kOutOfRange, ::testing::_));
}

// Of a window that decoding has no kernels for every call runs all of the text.
TEST_F(DecodingTest, AWindowOfTensOfThousands) {
  RandomModelShape shape;
  shape.layers = 2;
  shape.positions = 60000;
  StudentConfig student;
  student.attention.window = 60000;
  Load(shape, student);
  ExpectAgree(Plan(ComponentMode::kHybrid), Tokens(40), 37);
}

}  // namespace
}  // namespace caracal
