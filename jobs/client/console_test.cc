#include "jobs/client/console.h"

#include <gtest/gtest.h>

#include <map>

namespace caracal {
namespace {

Console With(const std::map<std::string, const char*>& environment) {
  return SystemConsole([&](const char* name) -> const char* {
    const auto found = environment.find(name);
    return found == environment.end() ? nullptr : found->second;
  });
}

TEST(ConsoleTest, StylesFollowTheEnvironment) {
  EXPECT_TRUE(With({{"TERM", "xterm"}}).styles);
  EXPECT_TRUE(With({{"TERM", "xterm"}, {"NO_COLOR", ""}}).styles);
  EXPECT_FALSE(With({{"TERM", "xterm"}, {"NO_COLOR", "1"}}).styles);
  EXPECT_FALSE(With({{"TERM", "dumb"}}).styles);
  EXPECT_FALSE(With({}).styles);
}

TEST(ConsoleTest, TheFirstLocaleVariableDecides) {
  EXPECT_TRUE(With({{"LANG", "en_US.UTF-8"}}).unicode);
  EXPECT_TRUE(With({{"LC_ALL", ""}, {"LC_CTYPE", "C.utf8"}}).unicode);
  EXPECT_FALSE(With({{"LC_ALL", "C"}, {"LANG", "en_US.UTF-8"}}).unicode);
  EXPECT_FALSE(With({}).unicode);
}

TEST(ConsoleTest, NoStyleWithoutATerminal) {
  Console console = With({{"TERM", "xterm"}});
  console.out_is_terminal = false;
  EXPECT_FALSE(console.StyledOut());
  console.out_is_terminal = true;
  EXPECT_TRUE(console.StyledOut());
  EXPECT_GT(console.columns(), 0);
}

TEST(ConsoleTest, StyledTextIsReset) {
  EXPECT_EQ(Styled("x", Style::kBold, true), "\x1b[1mx\x1b[0m");
  EXPECT_EQ(Styled("x", Style::kBold, false), "x");
  EXPECT_EQ(Styled("x", Style::kPlain, true), "x");
  EXPECT_EQ(Styled("", Style::kBad, true), "");
}

TEST(ConsoleTest, StyledTextHasNoStylesOfItsOwn) {
  EXPECT_EQ(Styled("a\x1b[2J", Style::kBad, true), "\x1b[31ma\uFFFD[2J\x1b[0m");
  EXPECT_EQ(Styled("a\x1b[2J", Style::kBad, false), "a\uFFFD[2J");
}

}  // namespace
}  // namespace caracal
