#include "jobs/spec/surroundings.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

#include "jobs/spec/expand.h"

namespace caracal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

JobSurroundings Around() {
  JobSurroundings around;
  around.layers = 2;
  around.heads = 4;
  around.kv_heads = 2;
  around.max_positions = 128;
  around.train = {.rows = 8, .tokens = 64, .documents = true};
  around.held_out = {.rows = 4, .tokens = 64, .documents = true};
  return around;
}

std::vector<std::string> Lines(const std::string& text,
                               const JobSurroundings& around = Around()) {
  proto::Job job;
  EXPECT_TRUE(google::protobuf::TextFormat::MergeFromString(text, &job))
      << text;
  job.mutable_data()->set_path("train.h5");
  job.mutable_data()->set_validation("held_out.h5");
  std::vector<Problem> problems;
  CheckSurroundings(ExpandJob(job), around, &problems);
  std::vector<std::string> lines;
  for (const Problem& problem : problems) lines.push_back(problem.ToString());
  return lines;
}

TEST(SurroundingsTest, NoRankOfAChainIsWithoutLayers) {
  EXPECT_THAT(Lines("parallel { layer: 2 }"), ElementsAre());
  EXPECT_THAT(Lines("parallel { layer: 4 }"),
              ElementsAre("parallel.layer: is 4, but the model has 2 layers"));
}

TEST(SurroundingsTest, EveryTensorRankHasAHead) {
  EXPECT_THAT(Lines("parallel { tensor: 4 }"), ElementsAre());
  EXPECT_THAT(Lines("parallel { tensor: 5 }"),
              ElementsAre("parallel.tensor: is 5, but 4 query heads in 2 "
                          "groups cannot be split over 5 ranks: a group has 2 "
                          "of them, for 3 ranks"));
  EXPECT_THAT(Lines("stages { transfer {} } stages { finetune {} } parallel { "
                    "data: 8 finetune { tensor: 8 } }"),
              ElementsAre(StartsWith("parallel.finetune.tensor: is 8, but 4 "
                                     "query heads")));
}

TEST(SurroundingsTest, SinksLeaveSomethingOfARow) {
  EXPECT_THAT(Lines("attention { sinks: 63 }"), ElementsAre());
  EXPECT_THAT(Lines("attention { sinks: 64 }"),
              ElementsAre(StartsWith(
                  "attention.sinks: is 64, but rows have 64 tokens")));
  EXPECT_THAT(Lines("attention { sinks: 16 } data { seq_len: 16 }"),
              ElementsAre(HasSubstr("is 16, but rows have 16 tokens")));
  EXPECT_THAT(Lines("attention { sinks: 15 } data { seq_len: 16 }"),
              ElementsAre());
}

TEST(SurroundingsTest, SinksOfBaselinesLeaveSomethingOfARow) {
  EXPECT_THAT(Lines("evaluation { baseline_sinks: [0, 63] }"), ElementsAre());
  EXPECT_THAT(Lines("evaluation { baseline_sinks: [4, 64, 65536] }"),
              ElementsAre("evaluation.baseline_sinks[1]: is 64, but rows have "
                          "64 tokens: all of them would be sinks",
                          "evaluation.baseline_sinks[2]: is 65536, but rows "
                          "have 64 tokens: all of them would be sinks"));
  // Without a report nobody looks at them.
  EXPECT_THAT(Lines("evaluation { rows: 0 baseline_sinks: 64 }"),
              ElementsAre());
}

TEST(SurroundingsTest, RowsAreLongEnoughAndFitTheContext) {
  EXPECT_THAT(Lines("data { seq_len: 65 }"),
              ElementsAre("data.seq_len: is 65, but the rows of train.h5 have "
                          "64 tokens",
                          "data.seq_len: is 65, but the rows of held_out.h5 "
                          "have 64 tokens"));
  JobSurroundings around = Around();
  around.train.tokens = around.held_out->tokens = 200;
  EXPECT_THAT(Lines("data { seq_len: 128 }", around), ElementsAre());
  EXPECT_THAT(Lines("data { seq_len: 129 }", around),
              ElementsAre("data.seq_len: is 129, more than the model's context "
                          "of 128 tokens"));
  EXPECT_THAT(Lines("", around),
              ElementsAre(StartsWith("data.path: the rows of train.h5 have 200 "
                                     "tokens, more than the model's context"),
                          StartsWith("data.validation: the rows of "
                                     "held_out.h5 have 200 tokens")));
}

TEST(SurroundingsTest, ValidationRowsAreAsLongAsTrainingsAre) {
  JobSurroundings around = Around();
  around.held_out->tokens = 63;
  EXPECT_THAT(
      Lines("", around),
      ElementsAre(StartsWith("data.validation: its rows have 63 tokens, "
                             "but those of data.path have 64")));
  EXPECT_THAT(Lines("data { seq_len: 63 }", around), ElementsAre());
  around.held_out->tokens = 65;
  EXPECT_THAT(Lines("", around), ElementsAre());
}

TEST(SurroundingsTest, DocumentsAreKnownWhereTheyMatter) {
  JobSurroundings around = Around();
  around.held_out->documents = false;
  EXPECT_THAT(Lines("", around), ElementsAre());
  EXPECT_THAT(Lines("attention { reset_at_document: true }", around),
              ElementsAre(StartsWith("attention.reset_at_document: is true, "
                                     "but held_out.h5 does not")));
  around = Around();
  around.train.documents = false;
  around.held_out.reset();
  EXPECT_THAT(Lines("attention { reset_at_document: true }", around),
              ElementsAre(StartsWith("attention.reset_at_document: is true, "
                                     "but train.h5 does not")));
}

TEST(SurroundingsTest, SoftmaxLayersAreTheModels) {
  EXPECT_THAT(Lines("attention { softmax_layers: 1 }"), ElementsAre());
  EXPECT_THAT(Lines("attention { softmax_layers: [0, 2] }"),
              ElementsAre("attention.softmax_layers[1]: is 2, the model has "
                          "layers 0 to 1"));
  EXPECT_THAT(Lines("attention { softmax_layers: [0, 1] }"),
              ElementsAre(StartsWith("attention.softmax_layers: names every "
                                     "layer")));
}

// What works on keys outside window and sinks needs some.
TEST(SurroundingsTest, LinearPastIsNotEmptyWhereItIsAllThereIs) {
  const struct {
    const char* stage;
    const char* field;
  } kCases[] = {
      {"transfer { steps: 1 student_mode: LA_PAST }",
       "stages[0].transfer.student_mode: LA_PAST is linear attention of keys "
       "outside window and sinks, but a window of 60 and 4 sinks cover rows"},
      {"finetune { steps: 1 student_mode: LA_PAST }",
       "stages[0].finetune.student_mode: LA_PAST"},
      {"finetune { steps: 1 curriculum { drop { constant: 0.5 } "
       "drop_mode: LA_PAST } }",
       "stages[0].finetune.curriculum.drop_mode: LA_PAST"},
      {"finetune { steps: 1 curriculum { closed_loop { every: 1 } } }",
       "stages[0].finetune.curriculum.closed_loop: measures the use of keys"},
  };
  for (const auto& c : kCases) {
    const std::string stages = absl::StrCat("stages { ", c.stage, " }");
    EXPECT_THAT(Lines(stages + "attention { window: 60 sinks: 4 }"),
                ElementsAre(StartsWith(c.field)))
        << c.stage;
    EXPECT_THAT(Lines(stages + "attention { window: 59 sinks: 4 }"),
                ElementsAre())
        << c.stage;
    EXPECT_THAT(Lines(stages + "attention { window: 32 sinks: 4 "
                               "window_kind: 'terraced' }"),
                ElementsAre(StartsWith(std::string(c.field).substr(0, 20))))
        << c.stage;
  }
  // LoLCATs' code gives short rows linear terms, and those of two blocks none.
  for (const auto& [window, empty] :
       {std::pair(64, false), {63, true}, {32, true}, {31, false}}) {
    EXPECT_EQ(Lines("stages { transfer { steps: 1 student_mode: LA_PAST } } "
                    "attention { window_kind: 'terraced' compat: "
                    "LOLCATS_REFERENCE window: " +
                    std::to_string(window) + " }")
                  .size(),
              empty ? 1u : 0u)
        << window;
  }
  // A window that narrows, and a stage that is skipped.
  EXPECT_THAT(Lines("attention { window: 64 } stages { finetune { steps: 1 "
                    "curriculum { window { linear { from: 64 to: 32 } } "
                    "closed_loop { every: 1 } } } }"),
              ElementsAre());
  EXPECT_THAT(Lines("attention { window: 64 } stages { transfer { steps: 0 "
                    "student_mode: LA_PAST } }"),
              ElementsAre());
}

TEST(SurroundingsTest, ProbesFitTheContext) {
  EXPECT_THAT(Lines("evaluation { probe { lengths: 128 } }"), ElementsAre());
  EXPECT_THAT(
      Lines("evaluation { probe { lengths: [64, 129] } }"),
      ElementsAre("evaluation.probe.lengths[1]: is 129, more than the model's "
                  "context of 128 tokens"));
}

}  // namespace
}  // namespace caracal
