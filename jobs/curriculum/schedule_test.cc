#include "jobs/curriculum/schedule.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

namespace caracal {
namespace {

proto::ValueSchedule Schedule(const std::string& text) {
  proto::ValueSchedule schedule;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &schedule));
  return schedule;
}

TEST(ValueAt, PiecesOfEqualLength) {
  const auto s = Schedule("step: [ 0.9, 0.75, 0.5 ]");
  const double want[8] = {0.9, 0.9, 0.9, 0.75, 0.75, 0.75, 0.5, 0.5};
  for (int i = 0; i < 8; ++i) EXPECT_EQ(ValueAt(s, i, 8), want[i]) << i;
  EXPECT_EQ(ValueAt(s, 0, 1), 0.9);
}

TEST(ValueAt, RampsReachBothEnds) {
  const auto linear = Schedule("linear { from: 0.8 to: 0.2 }");
  EXPECT_DOUBLE_EQ(ValueAt(linear, 0, 7), 0.8);
  EXPECT_DOUBLE_EQ(ValueAt(linear, 3, 7), 0.5);
  EXPECT_DOUBLE_EQ(ValueAt(linear, 6, 7), 0.2);
  EXPECT_DOUBLE_EQ(ValueAt(linear, 0, 1), 0.8);
  const auto cosine = Schedule("cosine { from: 64 to: 16 }");
  EXPECT_DOUBLE_EQ(ValueAt(cosine, 0, 5), 64);
  EXPECT_DOUBLE_EQ(ValueAt(cosine, 2, 5), 40);
  EXPECT_DOUBLE_EQ(ValueAt(cosine, 4, 5), 16);
  EXPECT_EQ(ValueAt(Schedule("constant: 0.3"), 5, 9), 0.3);
}

}  // namespace
}  // namespace caracal
