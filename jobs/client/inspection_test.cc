#include "jobs/client/inspection.h"

#include <gtest/gtest.h>

#include <sstream>

namespace caracal {
namespace {

Inspection Sample() {
  Inspection inspection;
  inspection.path = "m\x1b[31m.gguf";
  inspection.format = "GGUF model";
  inspection.Add("file size", "2 B", 2);
  inspection.Add("sizes", "hidden 4", nullptr);
  inspection.metadata = {{"name", "x\ny"}};
  inspection.tensors = {
      {"embed", {8, 4}, "Q8_0", 34}, {"blk.0.w", {4}, "F32", 16},
      {"blk.10.w", {4}, "F32", 16},  {"blk.1.w", {4}, "F32", 16},
      {"blk.2.w", {4}, "F16", 8},    {"norm", {}, "F32", 4}};
  return inspection;
}

TEST(InspectionTest, ShowsLayersAsOneLine) {
  std::ostringstream out, err;
  const Console console{out, err};
  EXPECT_EQ(InspectionText(Sample(), console),
            "m\xEF\xBF\xBD[31m.gguf: GGUF model\n"
            "  file size     2 B\n"
            "  sizes         hidden 4\n"
            "\n"
            "Metadata\n"
            "  name  value\n"
            "  name  x y\n"
            "\n"
            "6 tensors, 94 B\n"
            "  name            shape   type  size\n"
            "  embed           [8, 4]  Q8_0  34 B\n"
            "  blk.{0-1,10}.w  [4]     F32   48 B\n"
            "  blk.2.w         [4]     F16    8 B\n"
            "  norm            []      F32    4 B\n");
}

TEST(InspectionTest, JsonListsEverything) {
  Inspection inspection = Sample();
  inspection.problem = absl::DataLossError("blk.0.w: a NaN");
  const auto json = nlohmann::json::parse(InspectionJson(inspection));
  EXPECT_EQ(json["file_size"], 2);
  EXPECT_FALSE(json.contains("sizes"));
  EXPECT_EQ(json["metadata"]["name"], "x\ny");
  ASSERT_EQ(json["tensors"].size(), 6u);
  EXPECT_EQ(json["tensors"][2]["name"], "blk.10.w");
  EXPECT_EQ(json["tensors"][0]["shape"], (std::vector<int>{8, 4}));
  EXPECT_EQ(json["problem"], "blk.0.w: a NaN");
}

TEST(InspectionTest, JsonSurvivesBytesThatAreNotText) {
  Inspection inspection;
  inspection.path = "\xFF\xFE";
  EXPECT_EQ(nlohmann::json::parse(InspectionJson(inspection))["path"],
            "\xEF\xBF\xBD\xEF\xBF\xBD");
}

}  // namespace
}  // namespace caracal
