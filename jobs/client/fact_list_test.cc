#include "jobs/client/fact_list.h"

#include <gtest/gtest.h>

#include <sstream>

namespace caracal {
namespace {

class FactListTest : public ::testing::Test {
 protected:
  std::ostringstream out_, err_;
  Console console_{out_, err_};
};

TEST_F(FactListTest, WrapsBesideTheName) {
  console_.out_is_terminal = true;
  console_.columns = [] { return 30; };
  FactList list;
  list.Add("model", "one two three four five six seven");
  list.Add("empty", "");
  list.Add("seed", "0");
  EXPECT_EQ(list.ToString(console_, 2, 8),
            "  model   one two three four\n"
            "          five six seven\n"
            "  seed    0\n");
}

TEST_F(FactListTest, KeepsLineBreaksAndLongNames) {
  FactList list;
  list.Add("a_long_name", "x\ny");
  EXPECT_EQ(list.ToString(console_, 0, 6), "a_long_name x\n      y\n");
}

TEST_F(FactListTest, Paragraphs) {
  console_.out_is_terminal = true;
  console_.columns = [] { return 30; };
  EXPECT_EQ(Paragraph("one two three four five six seven", console_, 4),
            "    one two three four five\n    six seven\n");
}

}  // namespace
}  // namespace caracal
