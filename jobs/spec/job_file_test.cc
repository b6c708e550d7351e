#include "jobs/spec/job_file.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "jobs/spec/expand.h"

namespace caracal {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class JobFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Write("m.gguf", "GGUF");
    Write("train.h5", "x");
    Write("heldout.h5", "x");
  }

  std::string Write(const std::string& name, const std::string& text) {
    const std::string path = folder_.File(name);
    EXPECT_OK(FileSystem::Posix()->WriteFileAtomically(path, text));
    return path;
  }

  std::string Absolute(const std::string& name) {
    return std::filesystem::path(folder_.File(name))
        .lexically_normal()
        .string();
  }

  TemporaryFolder folder_;
};

constexpr char kText[] = R"(preset: "lolcats"  # the published recipe
model { path: "m.gguf" }
data { path: "train.h5" validation: "heldout.h5" }
attention { window: 64 sinks: 0 feature_map: "hedgehog" features: 64 }
budget { transfer_steps: 32 finetune_steps: 16 batch: 4 }
)";

constexpr char kJson[] = R"({
  "preset": "lolcats",
  "model": {"path": "m.gguf"},
  "data": {"path": "train.h5", "validation": "heldout.h5"},
  "attention": {"window": 64, "sinks": 0, "featureMap": "hedgehog",
                "features": 64},
  "budget": {"transfer_steps": 32, "finetune_steps": 16, "batch": 4}
})";

// Some editors begin a file with it.
constexpr char kByteOrderMark[] = "\xEF\xBB\xBF";

// The example of the design document, word for word.
constexpr char kDesign[] = R"(
preset: "ssd"                                   # or explicit stages { transfer { ... } } stages { finetune { ... } }
model { path: "SmolLM2-135M-Instruct.Q4_1.gguf" }
data { path: "train.h5" validation: "heldout.h5" }
attention { window: 64 sinks: 0 feature_map: "hedgehog" features: 64 window_kind: "sliding" }
budget { transfer_steps: 32 finetune_steps: 16 batch: 4 }        # batch: rows of one optimiser step over all ranks
parallel { data: 2 tensor: 2 layer: 1 }
)";

TEST_F(JobFileTest, LoadsTextAndJsonAlike) {
  ASSERT_OK_AND_ASSIGN(const proto::Job text,
                       LoadJob(Write("job.textproto", kText), {}));
  ASSERT_OK_AND_ASSIGN(const proto::Job json,
                       LoadJob(Write("job.json", kJson), {}));
  EXPECT_EQ(text.name(), "job");
  EXPECT_EQ(text.model().path(), Absolute("m.gguf"));
  EXPECT_EQ(text.data().validation(), Absolute("heldout.h5"));
  EXPECT_EQ(text.stages(0).transfer().steps(), 32);
  EXPECT_EQ(text.SerializeAsString(), json.SerializeAsString());
  // By its content, whatever it is called.
  ASSERT_OK_AND_ASSIGN(const proto::Job content,
                       LoadJob(Write("job", kJson), {}));
  EXPECT_EQ(content.SerializeAsString(), json.SerializeAsString());
}

TEST_F(JobFileTest, SkipsAByteOrderMark) {
  for (const char* text : {kText, kJson}) {
    ASSERT_OK_AND_ASSIGN(const proto::Job plain,
                         LoadJob(Write("job", text), {}));
    ASSERT_OK_AND_ASSIGN(
        const proto::Job marked,
        LoadJob(Write("job", std::string(kByteOrderMark) + text), {}));
    EXPECT_EQ(marked.SerializeAsString(), plain.SerializeAsString());
  }
  // It has no column, and is one at the beginning alone.
  const std::string bad =
      Write("job", std::string(kByteOrderMark) + "seeed: 1");
  EXPECT_THAT(LoadJob(bad, {}), StatusIs(absl::StatusCode::kInvalidArgument,
                                         HasSubstr(bad + ":1:1: seeed")));
  EXPECT_FALSE(
      LoadJob(Write("job", std::string(kText) + kByteOrderMark), {}).ok());
}

TEST_F(JobFileTest, SaysWhyAFileCantBeHad) {
  const std::string long_name(300, 'x');
  EXPECT_THAT(LoadJob(Write("job", kText), {"data.path=/" + long_name}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("data.path: stat /xxx")));
  EXPECT_THAT(LoadJob(Write("job", kText), {"data.path=/\x1b[31m"}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("'/\\x1b[31m' has a control character")));
}

TEST_F(JobFileTest, ReadsTheDesignsExample) {
  FieldLocations locations;
  std::vector<Problem> problems;
  const proto::Job job = ParseJob(kDesign, "job", &locations, &problems);
  EXPECT_TRUE(problems.empty()) << problems[0].ToString();
  EXPECT_EQ(job.preset(), "ssd");
  EXPECT_EQ(job.parallel().tensor(), 2);
  EXPECT_THAT(LoadJob(Write("job", kDesign), {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("Q4_1.gguf does not exist")));
}

TEST_F(JobFileTest, NamesFileLineAndField) {
  const std::string text =
      Write("job.textproto", std::string(kText) + "\nlora { rnak: 3 }");
  EXPECT_THAT(LoadJob(text, {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       text + ":7:8: lora.rnak: there is no such field; did "
                              "you mean 'rank'? accepted: rank, alpha, "
                              "projections"));
  const std::string json = Write("job.json", "{\n\n\"lora\": {\"rnak\": 3}}");
  EXPECT_THAT(LoadJob(json, {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("job.json:3:10: lora.rnak")));
  const std::string syntax = Write("s.textproto", "preset: 'ssd'\nlora {");
  EXPECT_THAT(LoadJob(syntax, {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       syntax + ":2:6: the block that begins here has no end: "
                                "expected '}' before the end of the file"));
}

// Also where the text can't be read as a whole; what is missing in it is not
// told, for it may be in the rest.
TEST_F(JobFileTest, TellsFaultsOfSyntaxNamesAndTypesTogether) {
  const std::string text = Write("faulty", R"(seed 1
lora { rnak: 3 }
attention { window: "x" sinks: }
threads: [1 2]
)");
  EXPECT_THAT(
      LoadJob(text, {}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("5 problems:\n"),
                     HasSubstr(text + ":1:6: expected ':' or '{' after seed"),
                     HasSubstr(text + ":3:32: expected a value, found '}'"),
                     HasSubstr(text + ":4:13: expected ',' or ']', found '2'"),
                     HasSubstr(text + ":2:8: lora.rnak: there is no such"),
                     HasSubstr(text + ":3:21: attention.window: expected a "
                                      "whole number"))));
  const std::string json =
      Write("faulty.json", R"({"lora": {"rnak": 3}, "seed": 1 "threads": 2})");
  EXPECT_THAT(LoadJob(json, {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("2 problems:\n"),
                             HasSubstr(json + ":1:33: syntax error"),
                             HasSubstr(json + ":1:11: lora.rnak: "))));
}

// What is in it, and what follows and seems to stand beside it.
TEST_F(JobFileTest, ABlockWithoutAnEndHidesNothing) {
  const std::string text = Write("open.textproto", R"(preset: "lolcatz"
attention {
  window: 0
  windw: 3
stages { finetune { lr: fast
budget { bach: 2 }
threads: -1
optimizer { beta1: 2 }
)");
  EXPECT_THAT(
      LoadJob(text, {}),
      StatusIs(
          absl::StatusCode::kInvalidArgument,
          AllOf(HasSubstr("10 problems:\n"),
                HasSubstr(text + ":2:11: the block that begins here has no"),
                HasSubstr(text + ":5:8: the block that begins here has no"),
                HasSubstr(text + ":5:19: the block that begins here has no"),
                HasSubstr(text + ":1:9: preset: there is no 'lolcatz'"),
                HasSubstr(text + ":3:11: attention.window: is 0"),
                HasSubstr(text + ":4:3: attention.windw: there is no such"),
                HasSubstr(text + ":5:25: stages[0].finetune.lr: "),
                HasSubstr(text + ":6:10: budget.bach: there is no such"),
                HasSubstr(text + ":7:10: threads: is -1"),
                HasSubstr(text + ":8:20: optimizer.beta1: is 2"))));
  const std::string json =
      Write("open.json", R"({"preset": "lolcatz", "attention": {"window": 64,
"budget": {"bach": 2}, "threads": -1})");
  EXPECT_THAT(LoadJob(json, {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("4 problems:\n"),
                             HasSubstr("for the block of line 1, column 1"),
                             HasSubstr("preset: there is no 'lolcatz'"),
                             HasSubstr(json + ":2:12: budget.bach: there is"),
                             HasSubstr("threads: is -1"))));
}

TEST_F(JobFileTest, LocatesRangesToo) {
  const std::string path = Write("job", kText);
  EXPECT_THAT(LoadJob(path, {"attention.window=0"}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "--set attention.window=0: attention.window: is 0, "
                       "must be 1 to 1048576"));
  const std::string bad =
      Write("bad", std::string(kText) + "optimizer {\n  grad_clip: -1\n}\n");
  EXPECT_THAT(LoadJob(bad, {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       bad + ":7:14: optimizer.grad_clip: is -1, must be at "
                             "least 0"));
}

// Fields that can't be read hide nothing that is wrong with the others.
TEST_F(JobFileTest, TellsEveryProblemAtOnce) {
  const std::string path =
      Write("job", std::string(kText) + "lora { rnak: 3 }\nseed: \"x\"\n");
  EXPECT_THAT(
      LoadJob(path, {"optimizer.beta1=2", "odd", "data.path=/nowhere"}),
      StatusIs(
          absl::StatusCode::kInvalidArgument,
          AllOf(HasSubstr("5 problems:\n"),
                HasSubstr("\n  " + path + ":6:8: lora.rnak: there is no such"),
                HasSubstr("\n  " + path + ":7:7: seed: "),
                HasSubstr("\n  --set odd: expected FIELD=VALUE"),
                HasSubstr("\n  --set optimizer.beta1=2: optimizer.beta1: is 2"),
                HasSubstr("data.path: /nowhere does not exist"))));
}

// Beside a model and data it is held where nothing is wrong with what they
// meet.
TEST_F(JobFileTest, WhatItMeetsIsLookedAtBesideOtherProblems) {
  const std::string path = Write("job", kText);
  const JobCheck check = [](const proto::Job&, std::vector<Problem>* problems) {
    problems->push_back({"attention.window", "is too wide", ""});
    return absl::OkStatus();
  };
  const auto load = [&](const std::string& override, const JobCheck& meets) {
    return std::string(LoadJob(path, {override}, FileSystem::Posix(), meets)
                           .status()
                           .message());
  };
  EXPECT_THAT(load("optimizer.beta1=2", check),
              AllOf(HasSubstr("beta1: is 2"), HasSubstr("is too wide")));
  EXPECT_THAT(load("attention.sinks=-1", check),
              AllOf(HasSubstr("sinks: is -1"),
                    ::testing::Not(HasSubstr("is too wide"))));
  EXPECT_THAT(load("optimizer.beta1=2",
                   [](const proto::Job&, std::vector<Problem>*) {
                     return absl::DataLossError("no model");
                   }),
              AllOf(HasSubstr("beta1: is 2"), HasSubstr("no model")));
}

// What a preset's stages take from a shorthand is told where it was written.
TEST_F(JobFileTest, LocatesShorthands) {
  const std::string ssd = Write(
      "ssd", std::string(kText) + "curriculum {\n  window { constant: 0 }\n}");
  EXPECT_THAT(
      LoadJob(ssd, {"preset=ssd"}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               ssd + ":7:22: curriculum.window.constant: is 0, must be 1 "
                     "to 1048576"));
  EXPECT_THAT(LoadJob(Write("job", kText),
                      {"preset=ssd", "curriculum.window.constant=0"}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "--set curriculum.window.constant=0: "
                       "curriculum.window.constant: is 0, must be 1 to "
                       "1048576"));
  // Both stages take it; it is said once.
  const std::string slow =
      Write("slow", std::string(kText) +
                        "schedule { plateau { factor: 2 } warmup_steps: -1 }");
  EXPECT_THAT(
      LoadJob(slow, {}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("2 problems"),
                     HasSubstr(slow + ":6:30: schedule.plateau.factor: is 2"),
                     HasSubstr(slow + ":6:48: schedule.warmup_steps: is -1"))));
  EXPECT_THAT(LoadJob(Write("job", kText), {"budget.transfer_steps=-1"}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("--set budget.transfer_steps=-1: "
                                 "budget.transfer_steps: is -1")));
  // A stage's own.
  EXPECT_THAT(
      LoadJob(Write("job", std::string(kText) + "schedule { constant {} }"),
              {"stages[0].transfer.schedule.warmup_steps=-1"}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr(" stages[0].transfer.schedule.warmup_steps: is -1")));
}

TEST_F(JobFileTest, AppliesOverridesInOrder) {
  ASSERT_OK_AND_ASSIGN(const proto::Job job,
                       LoadJob(Write("job", kText),
                               {"attention.window=32", "attention.window=16",
                                "stages[0].transfer.lr=0.5"}));
  EXPECT_EQ(job.attention().window(), 16);
  EXPECT_EQ(job.stages(0).transfer().lr(), 0.5);
  EXPECT_EQ(job.stages(0).transfer().steps(), 32);
}

// A stage's field needs the stages of the preset; what the preset is laid
// under comes before, wherever it is written.
TEST_F(JobFileTest, OverridesOfStagesSeeThePresetsOthersMade) {
  const std::string path = Write("job", kText);
  const std::string lr = "stages[1].finetune.lr=0.5";
  const std::string mode = "curriculum.drop_mode=LA_PAST";
  for (const std::vector<std::string>& overrides :
       {std::vector<std::string>{"preset=ssd", mode, lr},
        {lr, mode, "preset=ssd"}}) {
    ASSERT_OK_AND_ASSIGN(const proto::Job job, LoadJob(path, overrides));
    const proto::FinetuneStage& stage = job.stages(1).finetune();
    EXPECT_EQ(stage.lr(), 0.5);
    EXPECT_EQ(stage.curriculum().drop().step_size(), 3);
    EXPECT_EQ(stage.curriculum().drop_mode(), proto::LA_PAST);
  }
}

TEST_F(JobFileTest, ReportsMissingFiles) {
  const std::string path = Write("job", kText);
  EXPECT_THAT(
      LoadJob(path, {"data.path=/nowhere/t.h5", "model.path=/"}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("2 problems:\n"),
                     HasSubstr("data.path: /nowhere/t.h5 does not exist"),
                     HasSubstr("model.path: / has no config.json"))));
  EXPECT_THAT(LoadJob(folder_.File("none"), {}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
  EXPECT_THAT(LoadJob(folder_.path(), {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("is a folder, expected a job file")));
  EXPECT_THAT(
      LoadJob("/dev/zero", {}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("/dev/zero")));
}

TEST_F(JobFileTest, ANameThatLeavesItsFolderIsRefusedWhereItWasWritten) {
  const std::string path =
      Write("job.textproto", std::string(kText) + "name: \"../../x\"\n");
  EXPECT_THAT(LoadJob(path, {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("job.textproto:6:7: name: is '../../x'")));
  EXPECT_THAT(LoadJob(path, {"name=a/b"}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("--set name=a/b: name: is 'a/b'")));
}

TEST_F(JobFileTest, TheNameOfAnyJobFileIsAFoldersName) {
  ASSERT_OK_AND_ASSIGN(const proto::Job job,
                       LoadJob(Write("my job (2).textproto", kText), {}));
  EXPECT_EQ(job.name(), "my_job__2_");
}

TEST_F(JobFileTest, RefusesHugeFiles) {
  EXPECT_THAT(LoadJob(Write("job", std::string(2 << 20, '#')), {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("a job file has at most 1048576")));
}

TEST_F(JobFileTest, TheExpandedJobParsesBackToItself) {
  ASSERT_OK_AND_ASSIGN(
      proto::Job job,
      LoadJob(Write("job", kText), {"evaluation.prompt=na\xC3\xAFve \"x\"\n",
                                    "stages[0].transfer.lr=0.1",
                                    "optimizer.eps=1.2345678901234567e-9",
                                    "seed=18446744073709551615"}));
  const std::string saved = folder_.File("saved.textproto");
  ASSERT_OK(WriteJobText(job, saved));
  ASSERT_OK_AND_ASSIGN(const proto::Job again, LoadJob(saved, {}));
  EXPECT_EQ(again.SerializeAsString(), job.SerializeAsString());
}

}  // namespace
}  // namespace caracal
