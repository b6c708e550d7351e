// The curve, its ring, its sentence, and values that cannot be drawn.
#include "eval/report/chart_gamma.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "core/base/status_matchers.h"
#include "eval/report/testing/xml_checker.h"

namespace caracal {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const std::vector<GammaLoss> kSweep = {
    {0.5, 3.25}, {0.1, 3.5}, {0.9, 3.75}, {0.3, 3.125}};

// cx of the dot with this tooltip.
double At(const std::string& chart, const std::string& tooltip) {
  const size_t place = chart.find(tooltip);
  EXPECT_NE(place, std::string::npos) << tooltip;
  if (place == std::string::npos) return NAN;
  return std::stod(chart.substr(chart.rfind(" cx=\"", place) + 5));
}

TEST(GammaChartTest, ADotForEachValueAtItsLogOdds) {
  const std::string chart = GammaChart(kSweep, 0.3);
  ASSERT_OK_AND_ASSIGN(auto counts, CheckXml(chart));
  EXPECT_EQ(counts["circle"], 4 + 1);
  EXPECT_EQ(counts["polyline"], 1);
  const double low = At(chart, "\u03b3 = 0.1: 3.5000"),
               middle = At(chart, "\u03b3 = 0.5: 3.2500"),
               high = At(chart, "\u03b3 = 0.9: 3.7500");
  // 0.1 and 0.9 are as far from 0.5, one way and the other.
  EXPECT_NEAR(middle - low, high - middle, 0.05);
  EXPECT_GT(middle, low);
  EXPECT_NEAR(At(chart, "chosen"), At(chart, "\u03b3 = 0.3: 3.1250"), 1e-9);
}

TEST(GammaSentenceTest, NamesBestAndWorst) {
  EXPECT_THAT(
      GammaSentence(kSweep, 0.3),
      AllOf(HasSubstr("Of 4 values"), HasSubstr("\u03b3 = 0.3 has"),
            HasSubstr("3.125 nats per token"),
            HasSubstr("the worst, 0.9, has 3.750"), Not(HasSubstr("still"))));
}

TEST(GammaSentenceTest, AnEndOfTheRangeMayNotBeTheBest) {
  EXPECT_THAT(GammaSentence({{0.1, 3}, {0.5, 4}}, 0.1),
              HasSubstr("smallest tried: a smaller one may be better"));
  EXPECT_THAT(GammaSentence({{0.1, 5}, {0.5, 4}}, 0.5),
              HasSubstr("largest tried: a larger one may be better"));
}

TEST(GammaChartTest, WhatCannotBeDrawnIsLeftOut) {
  EXPECT_EQ(GammaChart({}, NAN), "");
  EXPECT_EQ(GammaChart({{0.5, 3}}, 0.5), "");
  EXPECT_EQ(GammaChart({{0, 3}, {1, 3}, {0.5, NAN}}, 0.5), "");
  EXPECT_EQ(GammaSentence({}, NAN), "");
  // All losses equal, and a choice that is none of the values.
  const std::string flat = GammaChart({{0.1, 3}, {0.2, 3}}, 0.7);
  ASSERT_OK_AND_ASSIGN(auto counts, CheckXml(flat));
  EXPECT_EQ(counts["circle"], 2);
}

}  // namespace
}  // namespace caracal
