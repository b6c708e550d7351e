// The command through the shell, as a user calls it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "core/base/file_system.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "jobs/client/commands.h"
#include "jobs/client/shell.h"
#include "jobs/client/testing/tiny_model.h"
#include "nlohmann/json.hpp"

namespace caracal {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// A configuration alone; no weights and no data.
constexpr char kConfig[] =
    R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama",
        "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 8, "vocab_size": 128256,
        "max_position_embeddings": 131072, "rms_norm_eps": 1e-5,
        "rope_theta": 5e5, "tie_word_embeddings": false})";

class PlanTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK(FileSystem::Posix()->CreateFolder(folder_.File("model")));
    Write("model/config.json", kConfig);
    Write("job",
          R"(preset: "lolcats"
             model { path: "model" }
             data { path: "train.h5" seq_len: 1024 }
             attention { features: 64 }
             budget { transfer_steps: 5 finetune_steps: 2 batch: 8 })");
  }

  void Write(const std::string& name, const std::string& text) {
    ASSERT_OK(
        FileSystem::Posix()->WriteFileAtomically(folder_.File(name), text));
  }

  int Run(std::vector<std::string> arguments) {
    out_.str("");
    err_.str("");
    arguments.insert(arguments.begin(), {"plan", folder_.File("job")});
    return RunShell(AllCommands(), arguments, console_);
  }

  TemporaryFolder folder_;
  std::ostringstream out_, err_;
  Console console_{out_, err_};
};

TEST_F(PlanTest, ProposesALayout) {
  ASSERT_EQ(Run({"--gpus", "8", "--gpu", "h200"}), kExitOk) << err_.str();
  EXPECT_THAT(out_.str(), StartsWith("job on 8 h200 GPUs of 139 GiB, 8 to a "
                                     "node\n8 rows of 1,024 tokens a step\n"));
  EXPECT_THAT(out_.str(),
              HasSubstr("Proposed\n"
                        "  parallel { data: 8 tensor: 1 layer: 1 }\n"
                        "  budget { micro_batch: 1 }\n"));
  EXPECT_THAT(out_.str(), Not(HasSubstr("note:")));
  for (std::istringstream lines(out_.str()); !lines.eof();) {
    std::string line;
    std::getline(lines, line);
    EXPECT_LE(line.size(), 80u) << line;
  }
}

TEST_F(PlanTest, TheProposalMakesAJob) {
  ASSERT_EQ(Run({"--gpus", "8", "--gpu", "h100", "--layer", "4", "--json"}),
            kExitOk)
      << err_.str();
  const auto json = nlohmann::json::parse(out_.str());
  EXPECT_EQ(json["gpus"], 8);
  EXPECT_EQ(json["stages"].size(), 2u);
  const auto& transfer = json["stages"][0]["proposed"];
  EXPECT_EQ(transfer["layer"], 4);
  double seconds = 0;
  for (const auto& [name, part] : transfer["time"].items()) {
    seconds += part.get<double>();
  }
  EXPECT_DOUBLE_EQ(transfer["seconds"], seconds);
  uint64_t bytes = 0;
  for (const auto& [name, part] : transfer["memory"].items()) {
    bytes += part.get<uint64_t>();
  }
  EXPECT_EQ(transfer["memory_bytes"], bytes);
  EXPECT_EQ(json["proposal"],
            "parallel { data: 2 tensor: 1 layer: 4 }\n"
            "budget { micro_batch: 1 }");
}

TEST_F(PlanTest, TheJobsOwnLayoutIsPlannedToo) {
  ASSERT_EQ(Run({"--gpus", "8", "--gpu", "h200", "--set", "parallel.data=2",
                 "--set", "parallel.layer=4"}),
            kExitOk)
      << err_.str();
  EXPECT_THAT(
      out_.str(),
      HasSubstr("the job's own, data 2 x layer 4 x tensor 1 with 4 rows"));
  EXPECT_THAT(
      out_.str(),
      HasSubstr("the job's own, data 8 x layer 1 x tensor 1 with 1 row"));
  const std::vector<std::string> tensor = {"--gpus", "2", "--set",
                                           "parallel.tensor=2", "--json"};
  ASSERT_EQ(Run(tensor), kExitOk) << err_.str();
  const auto json = nlohmann::json::parse(out_.str());
  for (const auto& stage : json["stages"]) {
    EXPECT_EQ(stage["own"]["tensor"], 2);
    for (const auto& layout : stage["layouts"]) {
      if (layout["tensor"] == 2) EXPECT_EQ(layout, stage["own"]);
    }
  }
  // A layout of another number of ranks says nothing of these.
  ASSERT_EQ(Run({"--gpus", "4", "--set", "parallel.tensor=2"}), kExitOk);
  EXPECT_THAT(out_.str(), Not(HasSubstr("own")));
  ASSERT_EQ(Run({"--gpus", "3", "--set", "parallel.data=3"}), kExitFailure);
  EXPECT_THAT(err_.str(), HasSubstr("cannot be shared out to 3 data ranks"));
}

TEST_F(PlanTest, AJobsLayoutThatDoesNotFitIsSaidToBeSo) {
  ASSERT_EQ(Run({"--gpus", "8", "--gpu", "h100", "--set", "data.seq_len=32768",
                 "--set", "parallel.data=8"}),
            kExitOk)
      << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("does not fit:"));
}

TEST_F(PlanTest, WhatTheEstimateDoesNotKnowIsSaid) {
  ASSERT_EQ(Run({"--gpus", "1", "--set", "attention.features=128", "--set",
                 "preset=hedgehog"}),
            kExitOk)
      << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("note: attention with 128 features"));
  ASSERT_EQ(Run({"--gpus", "1", "--set", "preset=hedgehog"}), kExitOk);
  EXPECT_THAT(out_.str(), Not(HasSubstr("note:")));
}

TEST_F(PlanTest, LossesOnAttentionWeightsTakeTheirTime) {
  const auto transfer = [&](const std::string& preset) {
    EXPECT_EQ(Run({"--gpus", "1", "--gpu", "h200", "--json", "--set",
                   "preset=" + preset}),
              kExitOk)
        << err_.str();
    const auto json = nlohmann::json::parse(out_.str());
    return json["stages"][0]["proposed"]["time"]["attention"].get<double>();
  };
  EXPECT_GT(transfer("hedgehog"), 4 * transfer("lolcats"));
}

TEST_F(PlanTest, AsksForWhatItNeeds) {
  EXPECT_EQ(Run({}), kExitUsage);
  EXPECT_THAT(err_.str(), HasSubstr("--gpus"));
  EXPECT_EQ(Run({"--gpus", "8", "--gpu", "b200"}), kExitFailure);
  EXPECT_THAT(err_.str(), HasSubstr("use h100 or h200"));
  EXPECT_EQ(Run({"--gpus", "8", "--set", "data.seq_len=1"}), kExitFailure);
  EXPECT_THAT(err_.str(), HasSubstr("data.seq_len"));
  Write("job", R"(preset: "lolcats" model { path: "model" }
                  data { path: "train.h5" }
                  budget { transfer_steps: 5 finetune_steps: 2 })");
  EXPECT_EQ(Run({"--gpus", "8"}), kExitFailure);
  EXPECT_THAT(err_.str(), HasSubstr("train.h5 does not exist; to plan without "
                                    "it, set data.seq_len"));
  EXPECT_THAT(err_.str(), HasSubstr(":2:32: data.path: "));
  EXPECT_EQ(Run({"--gpus", "8", "--set", "model.path=/none.gguf"}),
            kExitFailure);
  EXPECT_THAT(err_.str(),
              HasSubstr("--set model.path=/none.gguf: model.path: "));
  // The rows' length is the data's, where it is there.
  ASSERT_OK(WriteTinyData(folder_.File("train.h5"), 10, 64));
  EXPECT_EQ(Run({"--gpus", "8"}), kExitOk) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("8 rows of 64 tokens a step"));
  Write("model/config.json", "{");
  EXPECT_EQ(Run({"--gpus", "8"}), kExitFailure);
  EXPECT_THAT(err_.str(), HasSubstr("model/config.json"));
}

TEST_F(PlanTest, SaysWhatAGpuDoesNotRun) {
  EXPECT_EQ(
      Run({"--gpus", "8", "--set", "preset=hedgehog", "--set",
           "attention.feature_map=exp", "--set", "attention.features=256"}),
      kExitOk)
      << err_.str();
  std::string config = kConfig;
  Write("model/config.json",
        config.insert(config.rfind('}'), R"(, "head_dim": 100)"));
  EXPECT_EQ(Run({"--gpus", "8"}), kExitFailure);
  EXPECT_THAT(err_.str(),
              HasSubstr(folder_.File("job") +
                        ": model.path: model: a head dimension of 100, no "
                        "multiple of 16, is not run on a GPU\n"));
  const std::vector<std::string> idle = {"--gpus", "8",
                                         "--set",  "budget.transfer_steps=0",
                                         "--set",  "budget.finetune_steps=0"};
  EXPECT_EQ(Run(idle), kExitFailure);
  EXPECT_THAT(err_.str(), HasSubstr("no stage takes a step"));
  config = kConfig;
  Write("model/config.json",
        config.insert(config.rfind('}'), R"(, "head_dim": 512)"));
  EXPECT_EQ(Run({"--gpus", "8"}), kExitFailure);
  EXPECT_THAT(err_.str(), HasSubstr("model.path: model: a head dimension of "
                                    "512, more than 256, is not run on a "
                                    "GPU\n"));
  config = kConfig;
  Write("model/config.json",
        config.insert(config.rfind('}'), R"(, "head_dim": 256)"));
  EXPECT_EQ(Run({"--gpus", "8", "--set", "preset=hedgehog", "--set",
                 "attention.features=256"}),
            kExitOk)
      << err_.str();
}

TEST_F(PlanTest, NothingThatFitsIsAnError) {
  EXPECT_EQ(
      Run({"--gpus", "1", "--gpu", "h100", "--set", "data.seq_len=131072"}),
      kExitFailure);
  EXPECT_THAT(err_.str(), HasSubstr("finetune: no layout of 1 GPU fits in 74.1 "
                                    "GiB (95% of 78.0 GiB); the smallest"));
  EXPECT_THAT(err_.str(), HasSubstr("activations"));
  EXPECT_EQ(out_.str(), "");
}

}  // namespace
}  // namespace caracal
