#include "jobs/spec/override.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace caracal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class OverrideTest : public ::testing::Test {
 protected:
  // Applies one override; the problem, or nothing.
  std::string Set(const char* text) {
    std::vector<Problem> problems;
    ApplyOverride(text, &job_, &locations_, &problems);
    std::string lines;
    for (const Problem& problem : problems) {
      lines += problem.ToString() + "\n";
    }
    return lines;
  }

  proto::Job job_;
  FieldLocations locations_;
};

TEST_F(OverrideTest, SetsScalarsAndCreatesBlocks) {
  EXPECT_EQ(Set("attention.window=32"), "");
  EXPECT_EQ(Set("attention.affine=true"), "");
  EXPECT_EQ(Set("model.path=a b=c.gguf"), "");
  EXPECT_EQ(Set("optimizer.eps=1e-6"), "");
  EXPECT_EQ(Set("seed=3"), "");
  EXPECT_EQ(job_.attention().window(), 32);
  EXPECT_TRUE(job_.attention().affine());
  EXPECT_EQ(job_.model().path(), "a b=c.gguf");
  EXPECT_EQ(job_.optimizer().eps(), 1e-6);
  EXPECT_EQ(job_.seed(), 3u);
  EXPECT_EQ(locations_["attention.window"], "--set attention.window=32");
}

TEST_F(OverrideTest, ReachesIntoLists) {
  EXPECT_EQ(Set("stages[0].transfer.steps=3"), "");  // 0 of 0 appends
  EXPECT_EQ(Set("stages.1.finetune.student_mode=swa_only"), "");
  EXPECT_EQ(Set("stages.0.transfer.lr=0.5"), "");
  ASSERT_EQ(job_.stages_size(), 2);
  EXPECT_EQ(job_.stages(0).transfer().steps(), 3);
  EXPECT_EQ(job_.stages(0).transfer().lr(), 0.5);
  EXPECT_EQ(job_.stages(1).finetune().student_mode(), proto::SWA_ONLY);
}

TEST_F(OverrideTest, ExpandsAPresetForItsStages) {
  job_.set_preset("lolcats");
  EXPECT_EQ(Set("stages[1].finetune.lr=1e-3"), "");
  ASSERT_EQ(job_.stages_size(), 2);
  EXPECT_EQ(job_.stages(1).finetune().lr(), 1e-3);
  EXPECT_EQ(job_.expanded_from(), "lolcats");
}

TEST_F(OverrideTest, SetsLists) {
  EXPECT_EQ(Set("lora.projections=q, v"), "");
  EXPECT_EQ(Set("lora.projections+=o"), "");
  EXPECT_EQ(Set("lora.projections[0]=k"), "");
  EXPECT_EQ(Set("lora.projections[3]=up"), "");
  EXPECT_THAT(job_.lora().projections(), ElementsAre("k", "v", "o", "up"));
  EXPECT_EQ(Set("curriculum.drop.step=0.9,0.5"), "");
  EXPECT_THAT(job_.curriculum().drop().step(), ElementsAre(0.9, 0.5));
  EXPECT_EQ(Set("lora.projections="), "");
  EXPECT_THAT(job_.lora().projections(), ElementsAre());
}

TEST_F(OverrideTest, SetsBlocks) {
  EXPECT_EQ(Set("schedule={ cosine { to: 0.5 } }"), "");
  EXPECT_EQ(job_.schedule().cosine().to(), 0.5);
  EXPECT_EQ(Set("schedule={ constant {} }"), "");
  EXPECT_TRUE(job_.schedule().has_constant());
  EXPECT_EQ(Set("stages+={ transfer { steps: 1 } }"), "");
  EXPECT_EQ(Set("stages+={ finetune { steps: 2 } }"), "");
  ASSERT_EQ(job_.stages_size(), 2);
  EXPECT_EQ(Set("stages={ finetune { steps: 3 } }"), "");
  ASSERT_EQ(job_.stages_size(), 1);
  EXPECT_EQ(job_.stages(0).finetune().steps(), 3);
}

TEST_F(OverrideTest, SwitchesTheShapeOfASchedule) {
  EXPECT_EQ(Set("schedule.plateau.patience=3"), "");
  EXPECT_EQ(Set("schedule.cosine.to=0"), "");
  EXPECT_TRUE(job_.schedule().has_cosine());
}

TEST_F(OverrideTest, SaysWhatIsWrong) {
  job_.add_stages()->mutable_transfer();
  const struct {
    const char* text;
    const char* problem;
  } kCases[] = {
      {"window", "--set window: expected FIELD=VALUE"},
      {"=3", "expected FIELD=VALUE"},
      {"attention.windw=3",
       "attention.windw: there is no such field; did you mean 'window'?"},
      {"atention.window=3",
       "atention: there is no such field; did you mean "
       "'attention'?"},
      {"attention=3", "attention: is a block: give one of its fields (window"},
      {"attention={ window: 3", "attention: is a block"},
      {"attention={ window: }", "attention: expected a value"},
      {"attention={ windw: 3 }", "attention.windw: there is no such field"},
      {"attention.window=big", "attention.window: expected a whole number"},
      {"attention.window=", "attention.window: expected a whole number"},
      {"attention.window.x=3", "attention.window: is a single value"},
      {"attention.window[0]=3", "attention.window: is not a list"},
      {"attention.window+=3", "attention.window: += only goes with lists"},
      {"stages.transfer.lr=3", "stages: is a list; say which element"},
      {"stages[7].transfer.lr=3", "stages: has 1 elements, so there is no 7"},
      {"stages[0].finetune.lr=3",
       "stages[0].finetune: this stage is a transfer stage"},
      {"lora.projections[0][0]=q", "is not a list"},
      {"evaluation.modes=hybrid,teach", "there is no 'teach' here"},
      {"attention..window=3", "there is no such field"},
      {"lora.projections=[\"q\", \"v\"]",
       "lora.projections: lists are given here without brackets and quotes, "
       "as in lora.projections=a,b; += adds to the list"},
      {"evaluation.baseline_sinks+= [4]", "evaluation.baseline_sinks=a,b"},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(Set(c.text), HasSubstr(c.problem)) << c.text;
  }
  EXPECT_EQ(job_.evaluation().modes_size(), 0);  // no half-set list
  EXPECT_EQ(job_.lora().projections_size(), 0);
}

}  // namespace
}  // namespace caracal
