#include "jobs/train/component_dropout.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <vector>

#include "core/base/philox.h"

namespace caracal {
namespace {

// The draws themselves, by hand from the generator.
TEST(IsDropped, IsThePhiloxDrawOfItsKey) {
  DropRule rule{.seed = 11};
  using Curriculum = proto::Curriculum;
  const struct {
    Curriculum::Granularity granularity;
    bool sample, layer, head;
  } kinds[] = {{Curriculum::STEP, false, false, false},
               {Curriculum::LAYER, false, true, false},
               {Curriculum::SAMPLE_LAYER, true, true, false},
               {Curriculum::HEAD, true, true, true}};
  for (const auto& kind : kinds) {
    rule.granularity = kind.granularity;
    int dropped = 0, all = 0;
    for (uint64_t step = 0; step < 40; ++step) {
      for (uint64_t sample = 0; sample < 4; ++sample) {
        for (uint64_t layer = 0; layer < 6; ++layer) {
          for (uint64_t head = 0; head < 3; ++head) {
            const auto bits =
                Philox4x32({static_cast<uint32_t>(kind.head ? head / 4 : 0),
                            static_cast<uint32_t>(2u << 24) |
                                static_cast<uint32_t>(kind.layer ? layer : 0),
                            static_cast<uint32_t>(kind.sample ? sample : 0),
                            static_cast<uint32_t>(step)},
                           {11, 0});
            const double u =
                static_cast<double>(bits[kind.head ? head % 4 : 0] >> 8) /
                (1 << 24);
            const bool got = IsDropped(rule, 0.6, step, sample, layer, head);
            ASSERT_EQ(got, u < 0.6) << step << sample << layer << head;
            dropped += got;
            ++all;
          }
        }
      }
    }
    EXPECT_GT(dropped, 0);
    EXPECT_LT(dropped, all);
  }
}

TEST(IsDropped, NeverAtZeroAlwaysAtOne) {
  const DropRule rule{.seed = 3};
  for (int step = 0; step < 200; ++step) {
    EXPECT_FALSE(IsDropped(rule, 0, step, 0, 0, 0));
    EXPECT_TRUE(IsDropped(rule, 1, step, 0, 0, 0));
  }
}

// Terms [layer][row][head] of a step of 6 rows run `micro` rows at a time.
std::vector<uint8_t> TermsOfStep(const DropRule& rule, int64_t micro,
                                 int64_t* dropped) {
  constexpr int64_t kLayers = 3, kHeads = 2, kRows = 6;
  std::vector<uint8_t> all(kLayers * kRows * kHeads);
  *dropped = 0;
  for (int64_t begin = 0; begin < kRows; begin += micro) {
    TokenBatch batch;
    batch.sequences = micro;
    ModePlan plan;
    plan.SetAll(kLayers, micro, kHeads, ComponentMode::kHybrid);
    *dropped += ApplyDrops(rule, 0.5, 17, begin, batch, &plan);
    for (int64_t l = 0; l < kLayers; ++l) {
      for (int64_t i = 0; i < micro * kHeads; ++i) {
        all[(l * kRows + begin) * kHeads + i] = plan.terms(l)[i];
      }
    }
  }
  return all;
}

TEST(ApplyDrops, DoesNotDependOnTheSplitIntoMicroBatches) {
  for (const auto granularity :
       {proto::Curriculum::STEP, proto::Curriculum::LAYER,
        proto::Curriculum::SAMPLE_LAYER, proto::Curriculum::HEAD}) {
    const DropRule rule{.seed = 5, .granularity = granularity};
    int64_t dropped = 0, again = 0;
    const std::vector<uint8_t> whole = TermsOfStep(rule, 6, &dropped);
    int64_t count = 0;
    for (const uint8_t terms : whole) {
      EXPECT_TRUE(terms == kernels::kHybridTerms ||
                  terms == kernels::kLaOnlyTerms);
      count += terms == kernels::kLaOnlyTerms;
    }
    EXPECT_EQ(count, dropped);
    for (const int64_t micro : {1, 2, 3}) {
      EXPECT_EQ(TermsOfStep(rule, micro, &again), whole);
      EXPECT_EQ(again, dropped);
    }
  }
}

TEST(ApplyDrops, DocumentsOfARowShareItsDraw) {
  const int32_t samples[5] = {0, 0, 1, 1, 1};
  TokenBatch batch;
  batch.sequences = 5;
  batch.samples = samples;
  ModePlan plan;
  plan.SetAll(8, 5, 1, ComponentMode::kHybrid);
  const int64_t dropped = ApplyDrops({.seed = 1}, 0.5, 2, 0, batch, &plan);
  int64_t rows = 0;
  for (int64_t l = 0; l < 8; ++l) {
    const uint8_t* terms = plan.terms(l);
    EXPECT_EQ(terms[0], terms[1]);
    EXPECT_EQ(terms[2], terms[3]);
    EXPECT_EQ(terms[2], terms[4]);
    rows += (terms[0] == kernels::kLaOnlyTerms) +
            (terms[2] == kernels::kLaOnlyTerms);
  }
  EXPECT_EQ(dropped, rows);
  EXPECT_GT(rows, 0);
}

TEST(DropRule, TermsOfTheDropModes) {
  proto::Curriculum c;
  c.set_drop_mode(proto::LA_ONLY);
  EXPECT_EQ(DropRuleOf(c, 0).terms, kernels::kLaOnlyTerms);
  c.set_drop_mode(proto::LA_PAST);
  EXPECT_EQ(DropRuleOf(c, 0).terms, kernels::kLaPastTerms);
  c.set_drop_keeps_sinks(true);
  EXPECT_EQ(DropRuleOf(c, 0).terms,
            kernels::kLaPastTerms | kernels::kSinksOnlyTerms);
}

}  // namespace
}  // namespace caracal
