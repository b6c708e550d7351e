#include "jobs/client/table.h"

#include <gtest/gtest.h>

#include <sstream>

namespace caracal {
namespace {

class TableTest : public ::testing::Test {
 protected:
  std::ostringstream out_, err_;
  Console console_{out_, err_};
};

TEST_F(TableTest, AlignsColumns) {
  Table table({{"mode"}, {"loss", Table::Align::kRight}, {"note"}});
  table.AddRow({"hybrid", "4.09", "x"});
  table.AddRow({"la", "12.5"});
  table.AddGap();
  table.AddRow({"e\xCC\x81t\xC3\xA9", "1", "\xE6\x97\xA5"});
  EXPECT_EQ(table.ToString(console_, 2),
            "  mode    loss  note\n"
            "  hybrid  4.09  x\n"
            "  la      12.5\n"
            "\n"
            "  e\xCC\x81t\xC3\xA9        1  \xE6\x97\xA5\n");
}

TEST_F(TableTest, HasNoTitleLineWithoutTitles) {
  Table table({{""}, {""}});
  table.AddRow({"a", "b"});
  EXPECT_EQ(table.ToString(console_), "a  b\n");
}

TEST_F(TableTest, CutsShrinkingColumnsOnTerminalsOnly) {
  Table table({{"name", Table::Align::kLeft, true}, {"n"}});
  table.AddRow({"a_rather_long_name_of_a_tensor", "1"});
  console_.columns = [] { return 20; };
  EXPECT_EQ(table.ToString(console_),
            "name                            n\n"
            "a_rather_long_name_of_a_tensor  1\n");
  console_.out_is_terminal = true;
  EXPECT_EQ(table.ToString(console_),
            "name               n\n"
            "a_rather_long_...  1\n");
  console_.unicode = true;
  EXPECT_EQ(table.ToString(console_),
            "name               n\n"
            "a_rather_long_na\xE2\x80\xA6  1\n");
}

TEST_F(TableTest, StylesDoNotDisturbTheAlignment) {
  console_.out_is_terminal = true;
  console_.styles = true;
  Table table({{""}, {""}});
  table.AddRow({{"ok", Style::kGood}, "b"});
  table.AddRow({"long", "b"});
  EXPECT_EQ(table.ToString(console_), "\x1b[32mok\x1b[0m    b\nlong  b\n");
}

TEST_F(TableTest, ControlCharactersOfCellsAreHarmless) {
  Table table({{""}});
  table.AddRow({"a\x1b[31m\nb"});
  EXPECT_EQ(table.ToString(console_), "a [31m b\n");
  EXPECT_EQ(CutToColumns("a\x1b[31m\nb", 80, true), "a [31m b");
  EXPECT_EQ(CutToColumns("\xC2\x9B[31m", 80, true), "\uFFFD[31m");
}

TEST(CutToColumnsTest, CutsBetweenCharacters) {
  EXPECT_EQ(CutToColumns("abc", 3, true), "abc");
  EXPECT_EQ(CutToColumns("\xE6\x97\xA5\xE6\x9C\xAC", 3, true),
            "\xE6\x97\xA5\xE2\x80\xA6");
  EXPECT_EQ(CutToColumns("\xE6\x97\xA5\xE6\x9C\xAC", 2, true), "\xE2\x80\xA6");
  EXPECT_EQ(CutToColumns("abcdef", 2, false), "");
}

}  // namespace
}  // namespace caracal
