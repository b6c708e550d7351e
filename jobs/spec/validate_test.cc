#include "jobs/spec/validate.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "jobs/spec/expand.h"

namespace caracal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kGood[] = R"(
    preset: "lolcats" model { path: "m" } data { path: "d" }
    budget { transfer_steps: 3 finetune_steps: 2 batch: 4 } )";

std::vector<std::string> Lines(const std::string& text) {
  proto::Job job;
  EXPECT_TRUE(google::protobuf::TextFormat::MergeFromString(text, &job))
      << text;
  std::vector<Problem> problems;
  ValidateJob(ExpandJob(job), &problems);
  std::vector<std::string> lines;
  for (const Problem& problem : problems) lines.push_back(problem.ToString());
  return lines;
}

TEST(ValidateTest, AcceptsAGoodJob) {
  EXPECT_THAT(Lines(kGood), ElementsAre());
}

TEST(ValidateTest, AsksForWhatIsMissing) {
  EXPECT_THAT(
      Lines(""),
      ElementsAre(HasSubstr("stages: a job needs stages, or a preset: one of "
                            "lolcats"),
                  "model.path: is needed but not given",
                  "data.path: is needed but not given"));
  EXPECT_THAT(Lines("preset: 'lolcats' model { path: 'm' } data { path: 'd' }"),
              ElementsAre("stages[0].transfer.steps: is needed: give it, or "
                          "budget.transfer_steps",
                          "stages[1].finetune.steps: is needed: give it, or "
                          "budget.finetune_steps"));
}

TEST(ValidateTest, KnowsThePresets) {
  EXPECT_THAT(Lines("preset: 'lolcat' model { path: 'm' } data { path: 'd' }"),
              ElementsAre("preset: there is no 'lolcat' here; expected one of "
                          "lolcats, hedgehog, inference_hybrid, hedgecats, "
                          "ssd, swa_control; did you mean 'lolcats'?"));
}

// Each line is added to the good job and gives exactly this problem.
TEST(ValidateTest, ReportsFieldsThatDoNotFitTogether) {
  const struct {
    const char* text;
    const char* problem;
  } kCases[] = {
      {"stages { finetune {} }", "preset: cannot stand beside stages"},
      {"attention { features: 33 }", "attention.features: is 33, must be even"},
      {"attention { features: 512 }",
       "attention.features: is 512, must be 32 to 256"},
      {"attention { sinks: -1 }", "attention.sinks: is -1, must be 0 to 65536"},
      {"budget { batch: 0 }", "budget.batch: is 0, must be 1 to 65536"},
      {"budget { micro_batch: 3 }",
       "budget.micro_batch: is 3, which does not divide the 4 rows"},
      {"parallel { layer: 3 }",
       "budget.batch: is 4, which parallel.finetune.data 3 does not divide"},
      {"budget { micro_batch: 4 } parallel { layer: 2 }",
       "budget.micro_batch: is 4, which does not divide the 2 rows a rank has "
       "of each batch with parallel.finetune.data 2 (fine-tuning's layout"},
      {"parallel { layer: 4 finetune { data: 2 tensor: 1 } }",
       "parallel.finetune: is data 2 x layer 1 x tensor 1, 2 ranks, but "
       "transfer has 4 (data 1 x layer 4 x tensor 1)"},
      {"lora { projections: ['q', 'q'] }",
       "lora.projections[1]: 'q' is there twice"},
      {"lora { rank: 257 }", "lora.rank: is 257, must be 1 to 256"},
      {"lora { rank: 0 }", "lora.rank: is 0, must be 1 to 256"},
      {"lora { alpha: 0 }", "lora.alpha: is 0, must be above 0"},
      {"evaluation { modes: SINKS_ONLY }",
       "evaluation.modes[0]: sinks_only needs attention.sinks"},
      {"evaluation { eval_mode: SINKS_ONLY }",
       "evaluation.eval_mode: sinks_only needs attention.sinks"},
      {"evaluation { eval_mode: TEACHER_SWA }",
       "evaluation.eval_mode: there is no 'teacher_swa' here"},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(Lines(std::string(kGood) + c.text),
                ::testing::Contains(HasSubstr(c.problem)))
        << c.text;
  }
}

TEST(ValidateTest, ALayerChainCannotChooseGamma) {
  EXPECT_THAT(
      Lines("stages { transfer { steps: 1 student_mode: LA_ONLY } } "
            "model { path: 'm' } data { path: 'd' validation: 'v' } "
            "evaluation { eval_mode: HYBRID gamma_override: 0.1 } "
            "parallel { layer: 2 }"),
      ::testing::Contains(HasSubstr("parallel.layer: above 1 goes with")));
}

TEST(ValidateTest, LayoutsThatNoStageRunsOnAreNotAskedFor) {
  EXPECT_THAT(Lines("stages { transfer { steps: 1 } } model { path: 'm' } "
                    "data { path: 'd' } budget { batch: 2 } "
                    "parallel { layer: 6 }"),
              ElementsAre());
}

// One mistake is one problem, not also those that follow from it.
TEST(ValidateTest, OneMistakeIsOneProblem) {
  const auto with = [](const char* text) {
    return Lines(std::string(kGood) + text);
  };
  EXPECT_THAT(with("attention { features: 31 }"),
              ElementsAre("attention.features: is 31, must be 32 to 256"));
  EXPECT_THAT(with("budget { batch: 100000 }"),
              ElementsAre("budget.batch: is 100000, must be 1 to 65536"));
  EXPECT_THAT(with("budget { batch: 100000 micro_batch: 3 }"),
              ElementsAre("budget.batch: is 100000, must be 1 to 65536"));
  EXPECT_THAT(with("budget { micro_batch: 70000 }"),
              ElementsAre("budget.micro_batch: is 70000, must be 1 to 65536"));
}

TEST(ValidateTest, NamesStayInsideTheirFolder) {
  for (const char* good : {"a", "demo-2", "lr=1e-3_w64", "A.b+c"}) {
    EXPECT_THAT(Lines(std::string(kGood) + "name: '" + good + "'"),
                ElementsAre())
        << good;
  }
  for (const char* bad : {"", "..", "../x", "a/b", "/tmp/x", ".hidden", "-rf",
                          "a b", "a\\nb", "\303\244"}) {
    EXPECT_THAT(Lines(std::string(kGood) + "name: '" + bad + "'"),
                ElementsAre(::testing::StartsWith("name: is '")))
        << bad;
  }
  EXPECT_THAT(
      Lines(std::string(kGood) + "name: '" + std::string(101, 'a') + "'"),
      ElementsAre(HasSubstr("expected 1 to 100 letters")));
}

TEST(ValidateTest, ReportsStagesThatCannotWork) {
  const struct {
    const char* stage;
    const char* problem;
  } kCases[] = {
      {"", "stages[0]: is empty; expected transfer {...} or finetune {...}"},
      {"transfer { steps: 1 loss { mse: 0 } }",
       "stages[0].transfer.loss: mse, xent and kl are all 0"},
      {"transfer { steps: 1 loss { mse: -1 } }",
       "stages[0].transfer.loss.mse: is -1, must be at least 0"},
      {"transfer { steps: 1 train_feature_maps: false "
       "train_window_factors: false }",
       "stages[0].transfer: trains nothing"},
      {"transfer { steps: 1 lr: 11 }",
       "stages[0].transfer.lr: is 11, must be above 0 and at most 10"},
      {"finetune { steps: 1 schedule { warmup_steps: 2 } }",
       "stages[0].finetune.schedule.warmup_steps: is 2, more than the stage's "
       "1 steps"},
      // Nothing follows from what is out of its range itself.
      {"finetune { steps: -2 schedule { warmup_steps: 0 } }",
       "stages[0].finetune.steps: is -2, must be "},
      {"finetune { steps: 1 schedule { cosine { to: 1 } } }",
       "stages[0].finetune.schedule.cosine.to: is 1, above the stage's lr"},
      {"finetune { steps: 1 train_lora: false }",
       "stages[0].finetune: trains nothing"},
      {"finetune { steps: 1 student_mode: TEACHER }",
       "stages[0].finetune.student_mode: there is no 'teacher' here"},
      {"finetune { steps: 1 student_mode: SINKS_ONLY }",
       "stages[0].finetune.student_mode: sinks_only needs attention.sinks"},
      {"finetune { steps: 1 early_stop {} }",
       "stages[0].finetune.early_stop: needs data.validation"},
      {"finetune { steps: 1 curriculum { drop { } } }",
       "stages[0].finetune.curriculum.drop: expected exactly one of"},
      {"finetune { steps: 1 curriculum { drop { step: 0.5 constant: 1 } } }",
       "stages[0].finetune.curriculum.drop: expected exactly one of"},
      {"finetune { steps: 1 curriculum { drop { step: [0.5, 2] } } }",
       "stages[0].finetune.curriculum.drop.step[1]: is 2, must be 0 to 1"},
      {"finetune { steps: 1 curriculum { window { linear { from: 0 } } } }",
       "stages[0].finetune.curriculum.window.linear.from: is 0, must be 1"},
      {"finetune { steps: 1 curriculum { window { linear { from: 9 } } } }",
       "stages[0].finetune.curriculum.window.linear.to: is needed"},
      {"finetune { steps: 1 curriculum { drop_keeps_sinks: true } }",
       "stages[0].finetune.curriculum.drop_keeps_sinks: only goes with"},
      {"finetune { steps: 1 curriculum { closed_loop { p_max: 0.1 p_min: 0.2 "
       "} } }",
       "stages[0].finetune.curriculum.closed_loop.p_max: is 0.1, below"},
      {"finetune { steps: 1 curriculum { closed_loop {} } }",
       "stages[0].finetune.curriculum.closed_loop: needs data.validation"},
      {"finetune { steps: 1 student_mode: LA_ONLY "
       "curriculum { drop { constant: 0.5 } } }",
       "stages[0].finetune.curriculum.drop: drops the window of hybrid steps, "
       "but student_mode is LA_ONLY"},
      {"finetune { steps: 1 curriculum { drop_mode: LA_PAST "
       "drop_keeps_sinks: true } }",
       "stages[0].finetune.curriculum.drop_keeps_sinks: needs "
       "attention.sinks"},
      {"finetune { steps: 1 curriculum { closed_loop { every: 1 } } "
       "student_mode: LA_ONLY }",
       "stages[0].finetune.curriculum.closed_loop: drops the window of hybrid "
       "steps, but student_mode is LA_ONLY"},
      {"finetune { steps: 3 curriculum { closed_loop { every: 4 } } }",
       "stages[0].finetune.curriculum.closed_loop.every: is 4, more than the "
       "stage's 3 steps"},
      {"finetune { steps: 1 curriculum { window { constant: 0 } } }",
       "stages[0].finetune.curriculum.window.constant: is 0, must be 1"},
      {"finetune { steps: 1 curriculum { window { step: [8, 0] } } }",
       "stages[0].finetune.curriculum.window.step[1]: is 0, must be 1"},
      {"finetune { steps: 1 curriculum { window { cosine { from: 8 to: 0 } } "
       "} }",
       "stages[0].finetune.curriculum.window.cosine.to: is 0, must be 1"},
      {"finetune { steps: 1 curriculum { window { constant: 8 } } "
       "student_mode: LA_ONLY }",
       "stages[0].finetune.curriculum.window: has no effect in student_mode "
       "LA_ONLY"},
      {"finetune { steps: 1 curriculum { drop_mode: LA_PAST } }",
       "stages[0].finetune.curriculum: changes nothing; expected drop, window "
       "or closed_loop"},
      {"finetune { steps: 1 loss { lm: 1 logit_kl_direction: REVERSE } }",
       "stages[0].finetune.loss.logit_kl_direction: has no effect"},
      {"finetune { steps: 1 student_mode: SWA_ONLY train_window_factors: true "
       "}",
       "stages[0].finetune.train_window_factors: has no effect in student_mode "
       "SWA_ONLY"},
      {"finetune { steps: 1 student_mode: LA_PAST train_window_factors: true }",
       "stages[0].finetune.train_window_factors: has no effect in student_mode "
       "LA_PAST"},
      {"finetune { steps: 1 student_mode: SOFTMAX train_feature_maps: true }",
       "stages[0].finetune.train_feature_maps: has no effect in student_mode "
       "SOFTMAX"},
      {"finetune { steps: 1 student_mode: SWA_ONLY "
       "early_stop { rule: COMPONENT_AWARE } }",
       "stages[0].finetune.early_stop.rule: component_aware looks at the use"},
      {"transfer { steps: 1 student_mode: LA_ONLY "
       "train_window_factors: true }",
       "stages[0].transfer.train_window_factors: has no effect in student_mode "
       "LA_ONLY"},
      {"transfer { steps: 1 early_stop { rule: COMPONENT_AWARE } }",
       "stages[0].transfer.early_stop.rule: component_aware looks at losses"},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(Lines(std::string("model { path: 'm' } data { path: 'd' } "
                                  "stages { ") +
                      c.stage + " }"),
                ::testing::Contains(HasSubstr(c.problem)))
        << c.stage;
  }
}

TEST(ValidateTest, ReportsFeatureMapsThatCannotWork) {
  EXPECT_THAT(
      Lines(std::string(kGood) +
            "attention { feature_map: 't2r' feature_bias: false }"),
      ElementsAre(HasSubstr("attention.feature_bias: is false, but t2r")));
  EXPECT_THAT(Lines(std::string(kGood) + "attention { feature_map: 't2r' }"),
              ElementsAre());
  EXPECT_THAT(
      Lines(std::string(kGood) +
            "attention { feature_map: 'hedgehog_fla' half_space: true }"),
      ElementsAre(HasSubstr("attention.half_space: goes with feature_map "
                            "hedgehog and exp")));
  EXPECT_THAT(Lines(std::string(kGood) + "attention { half_space: true }"),
              ElementsAre());
}

TEST(ValidateTest, LolcatsReferenceIsItsTerracedWindowAlone) {
  const auto with = [](const std::string& attention) {
    return Lines(std::string(kGood) + "attention { compat: LOLCATS_REFERENCE " +
                 attention + " }");
  };
  EXPECT_THAT(with("window_kind: 'terraced'"), ElementsAre());
  EXPECT_THAT(with("window_kind: 'terraced' affine: true softmax_layers: 1"),
              ElementsAre());
  EXPECT_THAT(with(""),
              ElementsAre(HasSubstr("attention.compat: LOLCATS_REFERENCE goes "
                                    "with window_kind terraced")));
  EXPECT_THAT(with("window_kind: 'terraced' sinks: 4"),
              ElementsAre(HasSubstr("attention.compat: LOLCATS_REFERENCE has "
                                    "no sinks, but attention.sinks is 4")));
  EXPECT_THAT(with("window_kind: 'terraced' reset_at_document: true"),
              ElementsAre(HasSubstr("attention.compat: LOLCATS_REFERENCE runs "
                                    "across documents")));
}

TEST(ValidateTest, EarlyStoppingKeepsTheBestCheckpoint) {
  EXPECT_THAT(Lines("model { path: 'm' } data { path: 'd' validation: 'v' } "
                    "stages { finetune { steps: 1 early_stop {} } } "
                    "checkpoint { keep_best: false }"),
              ElementsAre(HasSubstr("checkpoint.keep_best: is false, but "
                                    "stages[0].finetune.early_stop")));
}

TEST(ValidateTest, EarlyStoppingNeedsValidationsOnTheWay) {
  const char* job =
      "model { path: 'm' } data { path: 'd' validation: 'v' } "
      "stages { finetune { steps: 9 early_stop {} } } ";
  EXPECT_THAT(Lines(job), ElementsAre());
  EXPECT_THAT(Lines(std::string(job) + "validation { every_steps: 0 }"),
              ElementsAre(HasSubstr("stages[0].finetune.early_stop: needs "
                                    "validation.every_steps of at least 1")));
}

// gamma weighs a linear part that must be there, and be trained.
TEST(ValidateTest, InferenceHybridNeedsATrainedMap) {
  const auto with = [](const char* text) {
    return Lines(std::string("model { path: 'm' } data { path: 'd' "
                             "validation: 'v' } ") +
                 text);
  };
  EXPECT_THAT(with("preset: 'inference_hybrid' "
                   "budget { transfer_steps: 3 finetune_steps: 2 }"),
              ElementsAre());
  EXPECT_THAT(with("preset: 'inference_hybrid' "
                   "budget { transfer_steps: 0 finetune_steps: 2 }"),
              ElementsAre(HasSubstr("evaluation.gamma_override: no stage "
                                    "trains feature maps")));
  EXPECT_THAT(with("preset: 'swa_control' budget { finetune_steps: 2 } "
                   "evaluation { eval_mode: HYBRID }"),
              ElementsAre(HasSubstr("evaluation.eval_mode: is HYBRID, but no "
                                    "stage trains feature maps")));
  EXPECT_THAT(with("preset: 'hedgehog' "
                   "budget { transfer_steps: 3 finetune_steps: 2 } "
                   "evaluation { gamma_override: 0.5 }"),
              ElementsAre(HasSubstr("evaluation.gamma_override: weighs the two "
                                    "parts of hybrid attention, but the "
                                    "finished model runs in LA_ONLY")));
  // One value needs no rows to choose by.
  const std::string job =
      "preset: 'inference_hybrid' model { path: 'm' } data { path: 'd' } "
      "budget { transfer_steps: 3 finetune_steps: 2 } ";
  EXPECT_THAT(Lines(job + "evaluation { gamma_override: [0.5, 0.5] }"),
              ElementsAre());
  EXPECT_THAT(Lines(job),
              ElementsAre(HasSubstr("evaluation.gamma_override: has 9 values "
                                    "to choose from, which needs "
                                    "data.validation")));
}

TEST(ValidateTest, AsksAboutShorthandsThatNoStageTakes) {
  const char* job =
      "model { path: 'm' } data { path: 'd' } stages { transfer { steps: 3 "
      "schedule { constant {} } } } ";
  EXPECT_THAT(Lines(job), ElementsAre());
  EXPECT_THAT(Lines(std::string(job) + "schedule { linear {} }"),
              ElementsAre("schedule: there is no stage without its own"));
  EXPECT_THAT(
      Lines(std::string(job) + "curriculum { drop { constant: 0.5 } }"),
      ElementsAre("curriculum: there is no finetune stage without its own"));
  EXPECT_THAT(Lines(std::string(job) + "stages { finetune { steps: 1 } } "
                                       "schedule { linear {} } "
                                       "curriculum { drop { constant: 0.5 } }"),
              ElementsAre());
}

TEST(ValidateTest, AsksAboutStepsThatContradict) {
  EXPECT_THAT(Lines("model { path: 'm' } data { path: 'd' } "
                    "stages { transfer { steps: 3 } } "
                    "budget { transfer_steps: 4 }"),
              ElementsAre(HasSubstr("budget.transfer_steps: the transfer "
                                    "stages give other steps")));
}

TEST(ValidateTest, ReturnsAllProblems) {
  EXPECT_EQ(Lines("preset: 'ssd' attention { window: 0 sinks: -1 } "
                  "budget { batch: 0 } parallel { layer: 0 } threads: -1")
                .size(),
            9u);
}

}  // namespace
}  // namespace caracal
