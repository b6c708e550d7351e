#include "jobs/launch/gang_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/status_matchers.h"

namespace caracal {
namespace {

using absl::StatusCode;
using testing::HasSubstr;

TEST(GangSpec, ComesBackFromJson) {
  const GangSpec spec = {
      .id = {7, 3},
      .program = "/opt/caracal-worker",
      .arguments = {"--job", "a b\"c.textproto", "", "--set", "x=\n$HOME `"},
      .afterwards = {"--report"},
      .working_directory = "/home/ü",
      .ranks = 4,
      .threads = 2,
      .cluster_options = {"--partition=gpu"}};
  ASSERT_OK_AND_ASSIGN(const GangSpec again,
                       GangSpecFromJson(GangSpecToJson(spec)));
  EXPECT_EQ(again, spec);
  EXPECT_EQ(ToString(spec.id), "7-3");
}

TEST(GangIdTest, ComesBackFromItsName) {
  EXPECT_EQ(GangIdFromString("7-3"), (GangId{7, 3}));
  for (const char* text : {"", "7", "7-", "-3", "7-3-1", "07-3", "7- 3", "+7-3",
                           "7-3.removed", "x-1"}) {
    EXPECT_EQ(GangIdFromString(text), std::nullopt) << text;
  }
}

TEST(GangSpec, FieldsAreWhatTheyHaveToBe) {
  EXPECT_THAT(GangSpecFromJson("{"),
              StatusIs(StatusCode::kDataLoss, HasSubstr("JSON")));
  EXPECT_THAT(GangSpecFromJson("[]"),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("object")));
  for (const char* text :
       {R"({"threads": 1, "arguments": []})",
        R"({"ranks": 0, "threads": 1, "arguments": []})",
        R"({"ranks": 4294967297, "threads": 1, "arguments": []})"}) {
    EXPECT_THAT(GangSpecFromJson(text),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr("ranks")));
  }
  for (const char* text : {R"({"ranks": 1, "threads": 1})",
                           R"({"ranks": 1, "threads": 1, "arguments": [1]})"}) {
    EXPECT_THAT(GangSpecFromJson(text),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr("arguments")));
  }
}

}  // namespace
}  // namespace caracal
