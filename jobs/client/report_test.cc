// The command on run folders as runs leave them.
#include "jobs/client/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "core/base/file_system.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "eval/attribution/result_json.h"
#include "jobs/client/commands.h"
#include "jobs/client/shell.h"

namespace caracal {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class ReportTest : public ::testing::Test {
 protected:
  // A run folder whose hybrid lost `hybrid` on average.
  std::string MakeRun(const std::string& name, double hybrid,
                      const std::string& digest = "d1",
                      const std::string& seed = "") {
    AttributionResult result;
    result.settings.model = "tiny";
    result.settings.data = "heldout.h5";
    result.settings.rows = 3;
    result.settings.rows_digest = digest;
    result.settings.seed = seed;
    if (!seed.empty()) result.settings.job_digest = "job";
    for (const auto& [mode, loss] :
         {std::pair<const char*, double>{"teacher", 2}, {"hybrid", hybrid}}) {
      ModeResult m;
      m.mode = mode;
      m.loss = loss;
      m.per_row = {loss - 0.5, loss, loss + 0.5};
      result.modes.push_back(m);
    }
    const std::string folder = folder_.File(name);
    EXPECT_OK(FileSystem::Posix()->CreateFolder(folder));
    EXPECT_OK(FileSystem::Posix()->WriteFileAtomically(
        JoinPath(folder, "attribution.json"), AttributionToJson(result)));
    return folder;
  }
  int Run(const std::vector<std::string>& arguments) {
    out_.str("");
    err_.str("");
    return RunShell(AllCommands(), arguments, console_);
  }

  TemporaryFolder folder_;
  std::ostringstream out_, err_;
  Console console_{out_, err_};
};

TEST_F(ReportTest, PutsRunsSideBySide) {
  const std::string a = MakeRun("a", 3), b = MakeRun("b", 2.5);
  const std::string page = folder_.File("page.html");
  ASSERT_EQ(Run({"report", a, b + "/", "--html", page}), 0) << err_.str();
  EXPECT_THAT(out_.str(), AllOf(HasSubstr("hybrid"), HasSubstr("3.000"),
                                HasSubstr("2.500"), HasSubstr("-0.500")));
  ASSERT_OK_AND_ASSIGN(const std::string html,
                       FileSystem::Posix()->ReadFile(page));
  EXPECT_THAT(html, HasSubstr("2.500"));
  ASSERT_EQ(Run({"report", a, "--json"}), 0);
  EXPECT_THAT(out_.str(), HasSubstr("\"label\": \"hybrid\""));
}

TEST_F(ReportTest, SeedsOfOneJobShareAColumn) {
  const std::string a = MakeRun("x-seed1", 3, "d1", "1"),
                    b = MakeRun("x-seed2", 2.5, "d1", "2");
  ASSERT_EQ(Run({"report", a, b}), 0) << err_.str();
  EXPECT_THAT(out_.str(), AllOf(HasSubstr("x (2 seeds)"), HasSubstr("2.750"),
                                HasSubstr("1, 2")));
}

TEST_F(ReportTest, RunsOfEarlierVersionsFinishedAsTheirJobSays) {
  const std::string a = MakeRun("a", 3, "d1", "1"), b = MakeRun("b", 3);
  ASSERT_OK(FileSystem::Posix()->WriteFileAtomically(
      JoinPath(a, "job.textproto"),
      "preset: 'hedgehog' model { path: 'm' } data { path: 'd' } "
      "budget { transfer_steps: 1 finetune_steps: 1 }"));
  ASSERT_EQ(Run({"report", a, b, "--json"}), 0) << err_.str();
  EXPECT_THAT(out_.str(), AllOf(HasSubstr("\"finished_as\": \"la_only\""),
                                HasSubstr("\"finished_as\": \"hybrid\"")));
}

TEST_F(ReportTest, RefusesOtherRowsAndMissingRuns) {
  const std::string a = MakeRun("a", 3), b = MakeRun("b", 2.5, "d2");
  EXPECT_NE(Run({"report", a, b}), 0);
  EXPECT_THAT(err_.str(),
              AllOf(HasSubstr(a), HasSubstr(b), HasSubstr("held-out rows")));
  EXPECT_NE(Run({"report", a, folder_.File("none")}), 0);
  EXPECT_THAT(err_.str(), HasSubstr("there is no such run"));
  const std::string empty = folder_.File("empty");
  ASSERT_OK(FileSystem::Posix()->CreateFolder(empty));
  EXPECT_NE(Run({"report", empty}), 0);
  EXPECT_THAT(err_.str(), HasSubstr("has no attribution.json"));
  EXPECT_NE(Run({"report"}), 0);
}

}  // namespace
}  // namespace caracal
