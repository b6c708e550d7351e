#include "jobs/client/shell.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <sstream>

namespace caracal {
namespace {

using ::testing::HasSubstr;

// Prints its argument; the argument decides what is returned.
CommandBody DeclareEcho(CLI::App& app) {
  auto word = std::make_shared<std::string>();
  auto loud = std::make_shared<bool>(false);
  app.add_option("WORD", *word, "what to print")->required();
  app.add_flag("--loud", *loud, "with an exclamation mark");
  return [word, loud](Console& console) -> absl::Status {
    if (*word == "fail") return absl::DataLossError("x.gguf: no tensor a");
    if (*word == "stop") return absl::CancelledError("stopped by Ctrl-C");
    if (*word == "lose") return absl::UnavailableError("a rank was lost");
    console.out << *word << (*loud ? "!" : "") << "\n";
    return absl::OkStatus();
  };
}

constexpr Command kCommands[] = {{"echo", "print a word", DeclareEcho},
                                 {"data pack", "pack it", DeclareEcho},
                                 {"data show", "show it", DeclareEcho}};

class ShellTest : public ::testing::Test {
 protected:
  int Run(const std::vector<std::string>& arguments) {
    out_.str("");
    err_.str("");
    return RunShell(kCommands, arguments, console_);
  }

  std::ostringstream out_, err_;
  Console console_{out_, err_};
};

TEST_F(ShellTest, RunsCommandsAndGroups) {
  EXPECT_EQ(Run({"echo", "a b", "--loud"}), kExitOk);
  EXPECT_EQ(out_.str(), "a b!\n");
  EXPECT_EQ(Run({"data", "show", "--loud", "x"}), kExitOk);
  EXPECT_EQ(out_.str(), "x!\n");
  EXPECT_EQ(err_.str(), "");
}

TEST_F(ShellTest, AnErrorIsOneLineOnStderr) {
  EXPECT_EQ(Run({"echo", "fail"}), kExitFailure);
  EXPECT_EQ(err_.str(), "caracal: x.gguf: no tensor a\n");
  EXPECT_EQ(out_.str(), "");
  EXPECT_EQ(Run({"echo", "stop"}), kExitInterrupted);
  EXPECT_EQ(Run({"echo", "lose"}), kExitTransient);
}

TEST_F(ShellTest, RefusesWrongCommandLines) {
  const struct {
    std::vector<std::string> arguments;
    const char* message;
  } kCases[] = {
      {{"ecoh", "x"},
       "caracal: there is no command 'ecoh'; did you mean 'echo'? (see "
       "caracal --help)\n"},
      {{"data", "pakc"}, "there is no command 'pakc'; did you mean 'pack'?"},
      {{"echo"}, "caracal: WORD is required (see caracal echo --help)\n"},
      {{"echo", "x", "--lowd"}, "--lowd"},
      {{"echo", "x", "y"}, "y (see caracal echo --help)\n"},
      {{"data"}, "(see caracal data --help)\n"},
      {{"--loud"}, "caracal: "},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(Run(c.arguments), kExitUsage);
    EXPECT_THAT(err_.str(), HasSubstr(c.message));
    EXPECT_EQ(out_.str(), "");
    EXPECT_EQ(err_.str().find('\n'), err_.str().size() - 1) << err_.str();
  }
}

TEST_F(ShellTest, HelpsOnRequest) {
  EXPECT_EQ(Run({"--version"}), kExitOk);
  EXPECT_EQ(Run({"--help"}), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("print a word"));
  EXPECT_THAT(out_.str(), HasSubstr("data"));
  EXPECT_EQ(Run({"data", "pack", "--help"}), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("what to print"));
  EXPECT_THAT(out_.str(), HasSubstr("Usage: caracal data pack [OPTIONS]"));
  EXPECT_EQ(err_.str(), "");
  EXPECT_EQ(Run({}), kExitUsage);
  EXPECT_THAT(err_.str(), HasSubstr("print a word"));
}

}  // namespace
}  // namespace caracal
