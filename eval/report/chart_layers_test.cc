// Dots, whiskers and holes.
#include "eval/report/chart_layers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/status_matchers.h"
#include "eval/report/testing/xml_checker.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(LayerChartTest, ADotForEachLayerThatWasMeasured) {
  const std::string chart =
      LayerChart("gamma", {{0.2, 0.1, 0.4}, {}, {0.3, 0.2, 0.5}}, 0, 1);
  ASSERT_OK_AND_ASSIGN(auto counts, CheckXml(chart));
  EXPECT_EQ(counts["circle"], 2);
  EXPECT_THAT(chart, HasSubstr("layer 2: 0.3000 [0.2000, 0.5000]"));
  EXPECT_THAT(chart, HasSubstr("gamma: 0.200 n/a 0.300"));
  EXPECT_THAT(chart, Not(HasSubstr("reference")));
}

TEST(LayerChartTest, ZeroIsMarkedWhereValuesFallBelow) {
  EXPECT_THAT(LayerChart("nats", {{-0.1, -0.2, 0.1}}, 0, 0),
              HasSubstr("reference"));
}

TEST(LayerChartTest, NothingMeasuredIsNoChart) {
  EXPECT_EQ(LayerChart("gamma", {}, 0, 1), "");
  EXPECT_EQ(LayerChart("gamma", {{}, {}}, 0, 1), "");
}

}  // namespace
}  // namespace caracal
