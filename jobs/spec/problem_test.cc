#include "jobs/spec/problem.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/base/status_matchers.h"

namespace caracal {
namespace {

TEST(ProblemTest, LeavesOutWhatIsEmpty) {
  EXPECT_EQ((Problem{"a.b", "is 3", "job:2"}).ToString(), "job:2: a.b: is 3");
  EXPECT_EQ((Problem{"", "is 3", ""}).ToString(), "is 3");
}

TEST(ProblemTest, LocatesTheNearestFieldAround) {
  const FieldLocations locations = {{"stages[0]", "job:1"},
                                    {"stages[0].transfer.lr", "job:4"}};
  EXPECT_EQ(LocationOf(locations, "stages[0].transfer.lr"), "job:4");
  EXPECT_EQ(LocationOf(locations, "stages[0].transfer.steps"), "job:1");
  EXPECT_EQ(LocationOf(locations, "model.path"), "");
}

TEST(ProblemTest, WhatFollowsFromAProblemIsNotAdded) {
  std::vector<Problem> problems = {{"stages[0].transfr", "no such field", ""},
                                   {"lora", "expected a block", ""}};
  AddProblems({{"stages[0]", "has no kind", ""},
               {"stages[0].transfr.lr", "is 3", ""},
               {"stages[0].transfrom", "is 4", ""},
               {"lora.rank", "is 5", ""},
               {"", "says more", ""},
               {"seed", "is 6", ""},
               {"seed", "is odd", ""}},
              &problems);
  std::vector<std::string> told;
  for (const Problem& problem : problems) told.push_back(problem.message);
  EXPECT_EQ(told,
            (std::vector<std::string>{"no such field", "expected a block",
                                      "is 4", "says more", "is 6", "is odd"}));
}

TEST(ProblemTest, OneProblemIsOneSentence) {
  EXPECT_OK(ProblemsToStatus({}, "job"));
  EXPECT_EQ(ProblemsToStatus({{"a", "is 3", "job:2"}}, "job").message(),
            "job:2: a: is 3");
  EXPECT_EQ(ProblemsToStatus({{"a", "is 3", ""}}, "job").message(),
            "job: a: is 3");
}

TEST(ProblemTest, SeveralAreAList) {
  EXPECT_EQ(
      ProblemsToStatus({{"a", "x", "job:2"}, {"b", "y", ""}}, "job").message(),
      "job: 2 problems:\n  job:2: a: x\n  b: y");
}

}  // namespace
}  // namespace caracal
