#include "jobs/spec/bind.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "jobs/spec/text_reader.h"
#include "proto/job.pb.h"

namespace caracal {
namespace {

using ::testing::ElementsAre;

class BindTest : public ::testing::Test {
 protected:
  // The problems, as lines.
  std::vector<std::string> Bind(const char* text) {
    std::vector<Problem> problems;
    BindValue(ReadTextFormat(text).root, "", "job", &job_, &locations_,
              &problems);
    std::vector<std::string> lines;
    for (const Problem& problem : problems) {
      lines.push_back(problem.ToString());
    }
    return lines;
  }

  proto::Job job_;
  FieldLocations locations_;
};

TEST_F(BindTest, FillsTheMessage) {
  EXPECT_THAT(Bind(R"(
stages { transfer { steps: 3 } }
stages { finetune { student_mode: swa_only } }
attention {
  window: 32
}
lora { projections: "q" projections: ["k", "v"] })"),
              ElementsAre());
  EXPECT_EQ(job_.stages_size(), 2);
  EXPECT_EQ(job_.stages(0).transfer().steps(), 3);
  EXPECT_EQ(job_.stages(1).finetune().student_mode(), proto::SWA_ONLY);
  EXPECT_EQ(job_.attention().window(), 32);
  EXPECT_EQ(job_.lora().projections_size(), 3);
  EXPECT_EQ(locations_["attention.window"], "job:5:11");
  EXPECT_EQ(locations_["stages[1]"], "job:3:8");
}

TEST_F(BindTest, ReadsLowerCamelCase) {
  EXPECT_THAT(Bind("attention { featureMap: \"exp\" }"), ElementsAre());
  EXPECT_EQ(job_.attention().feature_map(), "exp");
}

TEST_F(BindTest, ReportsEveryProblemWithItsPath) {
  EXPECT_THAT(
      Bind(R"(attention { windw: 3 sinks: "x" }
stages { transfer { lr: fast } }
colour: "red"
model: "m"
threads { }
threads: [1, 2]
stages { finetune { lora_rank: 3 } })"),
      ElementsAre(
          ::testing::StartsWith(
              "job:1:13: attention.windw: there is no such field; did "
              "you mean 'window'? accepted: window, sinks, "),
          "job:1:29: attention.sinks: expected a whole number from "
          "-2147483648 to 2147483647, found \"x\"",
          "job:2:25: stages[0].transfer.lr: expected a finite number, "
          "found 'fast'",
          ::testing::StartsWith("job:3:1: colour: there is no such "
                                "field; expected one of name, preset"),
          "job:4:8: model: expected a block {...}, found a string",
          "job:5:9: threads: expected a single value, found a block "
          "{...}",
          "job:6:1: threads: given twice in the same block",
          ::testing::StartsWith("job:7:21: stages[1].finetune.lora_rank: "
                                "there is no such field")));
}

TEST_F(BindTest, RefusesTwoOfAOneof) {
  EXPECT_THAT(Bind("stages { transfer {} finetune {} }"),
              ElementsAre("job:1:22: stages[0].finetune: cannot stand beside "
                          "transfer; give one of the two"));
}

// Where a fault of the syntax is in a field, its name is looked at all the
// same.
TEST_F(BindTest, LeavesOutWhatWasNotRead) {
  EXPECT_THAT(Bind("threads 3\nthreds 4\nthreads: 5"),
              ElementsAre(::testing::StartsWith("job:2:1: threds: there is no "
                                                "such field")));
  EXPECT_EQ(job_.threads(), 5);
}

// What may be meant for blocks around it is not hidden by it.
TEST_F(BindTest, AnUnclosedBlockThatIsNotBoundHidesNothing) {
  for (const char* opening :
       {"colour {", "colour [ {", "colour { shade {", "threads {",
        "model { } model {", "stages { transfer { } finetune {"}) {
    job_.Clear();
    const std::vector<std::string> lines =
        Bind(absl::StrCat(opening,
                          "\n dark: 1\nattention { window: 32 sinks: x }\n"
                          "seed: 7")
                 .c_str());
    EXPECT_THAT(lines, ::testing::Contains(::testing::StartsWith(
                           "job:3:31: attention.sinks: ")))
        << opening;
    EXPECT_EQ(job_.attention().window(), 32) << opening;
    EXPECT_EQ(job_.seed(), 7) << opening;
  }
}

TEST_F(BindTest, NullIsAbsence) {
  Value root;
  root.kind = Value::Kind::kBlock;
  root.members.push_back({"threads", 1, 1, Value()});
  std::vector<Problem> problems;
  BindValue(root, "", "job", &job_, &locations_, &problems);
  EXPECT_TRUE(problems.empty());
  EXPECT_FALSE(job_.has_threads());
}

}  // namespace
}  // namespace caracal
