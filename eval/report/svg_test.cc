// Elements, numbers and escaping of the SVG writer.
#include "eval/report/svg.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "core/base/status_matchers.h"
#include "eval/report/testing/xml_checker.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(SvgTest, WritesWellFormedElements) {
  Svg svg(480, 260.5, "what it shows");
  svg.Line(0, 1, 2.5, 3.14159, "grid");
  svg.Rect(1, 2, 3, 4, "bar", "tip", "#123456");
  svg.Circle(5, 6, 7, "dot");
  svg.Polyline({{0, 1}, {2, 3}}, "line");
  svg.Text(8, 9, "label", "tick", Anchor::kEnd);
  const std::string out = std::move(svg).Finish();
  ASSERT_OK_AND_ASSIGN(auto counts, CheckXml(out));
  EXPECT_EQ(counts["svg"], 1);
  EXPECT_EQ(counts["title"], 1);
  EXPECT_THAT(out, HasSubstr("viewBox=\"0 0 480 260.5\""));
  EXPECT_THAT(out, HasSubstr("role=\"img\" aria-label=\"what it shows\""));
  EXPECT_THAT(out, HasSubstr("<line class=\"grid\" x1=\"0\" y1=\"1\" "
                             "x2=\"2.5\" y2=\"3.14\"/>"));
  EXPECT_THAT(out, HasSubstr("<title>tip</title></rect>"));
  EXPECT_THAT(out, HasSubstr("points=\"0,1 2,3 \""));
  EXPECT_THAT(out, HasSubstr("text-anchor=\"end\">label</text>"));
}

TEST(SvgTest, EscapesEveryText) {
  const char kEvil[] = "\"><script>alert('x')</script>&";
  Svg svg(10, 10, kEvil);
  svg.Rect(0, 0, 1, 1, kEvil, kEvil, kEvil);
  svg.Text(0, 0, kEvil, "tick");
  const std::string out = std::move(svg).Finish();
  EXPECT_OK(CheckXml(out));
  EXPECT_THAT(out, Not(HasSubstr("<script")));
}

TEST(SvgTest, GridHasALineAndALabelForEveryTick) {
  Svg svg(100, 100, "grid");
  const Scale x = Scale::Linear(0, 10, 0, 100);
  DrawVerticalGrid(svg, x, 0, 80, 5);
  DrawHorizontalGrid(svg, x, 0, 80, 5);
  ASSERT_OK_AND_ASSIGN(auto counts, CheckXml(std::move(svg).Finish()));
  EXPECT_EQ(counts["line"], 12);
  EXPECT_EQ(counts["text"], 12);
}

TEST(XmlCheckerTest, FindsWhatIsWrong) {
  EXPECT_OK(CheckXml("<!DOCTYPE html>\n<a b=\"c &amp; d\"><e/>f &lt;</a>"));
  for (const char* bad :
       {"<a>", "</a>", "<a></b>", "<a b=c></a>", "<a b=\"c></a>", "<a>&</a>",
        "<a>&nbsp;</a>", "<a b=\"1\" b=\"2\"/>", "<a>< b</a>", "<a>\x01</a>",
        "<a b></a>", "<a><b></a></b>"}) {
    EXPECT_FALSE(CheckXml(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace caracal
