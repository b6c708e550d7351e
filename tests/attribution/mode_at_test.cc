// --mode-at through the commands themselves: another mode for every layer and
// head gives the losses of the float64 reference.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "core/io/dataset/packed_dataset.h"
#include "core/io/hdf5/hdf5.h"
#include "jobs/client/commands.h"
#include "jobs/client/shell.h"
#include "nlohmann/json.hpp"
#include "tests/model/golden.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;

// As in tests/model/mode_losses_test.cc.
constexpr double kLossTolerance = 1e-5;

class ModeAtTest : public ::testing::Test {
 protected:
  void SetUp() override {
    model_ = golden::ModelFolder("tiny_gqa");
    ASSERT_OK_AND_ASSIGN(expected_,
                         golden::ReadGoldenJson(model_ + "/expected.json"));
    ASSERT_OK_AND_ASSIGN(
        const golden::GoldenTensors rows,
        golden::ReadGoldenTensors(model_ + "/rows.safetensors"));
    ASSERT_OK_AND_ASSIGN(hdf5::File file,
                         hdf5::File::Create(folder_.File("rows.h5")));
    ASSERT_OK(file.Write<int32_t>(
        kTokensDataset, {4, 49}, golden::GoldenRows(rows, "tokens", 0, 4, 49)));
    ASSERT_OK(file.Close());
  }

  // The golden's student with its window and sinks.
  int Run(std::vector<std::string> arguments,
          const std::vector<std::string>& modes_at) {
    arguments.insert(
        arguments.begin() + 1,
        {model_, "--student", model_ + "/student.safetensors", "--window",
         absl::StrCat(int{expected_["terms"]["window"]}), "--sinks",
         absl::StrCat(int{expected_["terms"]["sinks"]}), "--lora-alpha",
         absl::StrCat(int{expected_["lora_alpha"]})});
    for (const std::string& at : modes_at) {
      arguments.insert(arguments.end(), {"--mode-at", at});
    }
    out_.str("");
    err_.str("");
    return RunShell(AllCommands(), arguments, console_);
  }
  int Attribute(int row, const std::vector<std::string>& modes_at) {
    return Run({"attribute", "--data", folder_.File("rows.h5"), "--rows", "1",
                "--skip", absl::StrCat(row), "--modes", "hybrid", "--json"},
               modes_at);
  }
  int Generate(const std::vector<std::string>& modes_at,
               const std::string& mode = "hybrid") {
    return Run(
        {"generate", "--prompt",
         "The quick brown fox jumps over the lazy dog and on",
         "--max-new-tokens", "12", "--ignore-eos", "--json", "--mode", mode},
        modes_at);
  }
  std::vector<int> Generated() {
    return nlohmann::json::parse(out_.str())["tokens"];
  }

  std::string model_;
  nlohmann::json expected_;
  TemporaryFolder folder_;
  std::ostringstream out_, err_;
  Console console_{out_, err_};
};

TEST_F(ModeAtTest, EveryLayerAndHeadItsOwn) {
  const nlohmann::json& mixed = expected_["terms"]["mixed"];
  for (int row = 0; row < 4; ++row) {
    std::vector<std::string> modes_at;
    std::string name = "at";
    for (size_t layer = 0; layer < mixed["modes"].size(); ++layer) {
      const nlohmann::json& heads = mixed["modes"][layer][row];
      for (size_t head = 0; head < heads.size(); ++head) {
        modes_at.push_back(absl::StrCat("layers=", layer, ":heads=", head, ":",
                                        std::string(heads[head])));
        absl::StrAppend(&name, " ", modes_at.back());
      }
    }
    ASSERT_EQ(Attribute(row, modes_at), kExitOk) << err_.str();
    const auto json = nlohmann::json::parse(out_.str());
    EXPECT_NEAR(json["modes"][name]["loss"], mixed["per_row"][row],
                kLossTolerance);
    EXPECT_GT(std::abs(double{json["modes"]["hybrid"]["loss"]} -
                       double{json["modes"][name]["loss"]}),
              100 * kLossTolerance);
  }
}

// Ranges, and what a mode for all layers is.
TEST_F(ModeAtTest, AllLayersInAModeAreThatMode) {
  for (const std::string at : {"layers=0-1:la_only", "heads=0-3:la_only"}) {
    ASSERT_EQ(Attribute(0, {"layers=1:none", at}), kExitOk) << err_.str();
    const auto json = nlohmann::json::parse(out_.str());
    const std::string name = "at layers=1:none " + at;
    ASSERT_EQ(Run({"attribute", "--data", folder_.File("rows.h5"), "--rows",
                   "1", "--modes", "la_only", "--json"},
                  {}),
              kExitOk)
        << err_.str();
    EXPECT_EQ(json["modes"][name]["loss"],
              nlohmann::json::parse(out_.str())["modes"]["la_only"]["loss"]);
  }
}

TEST_F(ModeAtTest, GenerationFollowsIt) {
  ASSERT_EQ(Generate({"layers=0-1:la_only"}), kExitOk) << err_.str();
  const std::vector<int> mixed = Generated();
  EXPECT_EQ(nlohmann::json::parse(out_.str())["mode_at"][0],
            "layers=0-1:la_only");
  ASSERT_EQ(Generate({}, "la_only"), kExitOk) << err_.str();
  EXPECT_EQ(Generated(), mixed);
  ASSERT_EQ(Generate({}), kExitOk) << err_.str();
  EXPECT_NE(Generated(), mixed);
  ASSERT_EQ(Generate({"layers=0-1:softmax"}), kExitOk) << err_.str();
  const std::vector<int> softmax = Generated();
  ASSERT_EQ(Generate({}, "softmax"), kExitOk) << err_.str();
  EXPECT_EQ(Generated(), softmax);
}

TEST_F(ModeAtTest, ErrorsNameTheFlag) {
  EXPECT_NE(Attribute(0, {"layers=2:la_only"}), kExitOk);
  EXPECT_THAT(err_.str(),
              HasSubstr("--mode-at: layers=2:la_only: there is no layer 2; the "
                        "model has layers 0 to 1"));
  EXPECT_NE(Generate({"heads=4:none"}), kExitOk);
  EXPECT_THAT(err_.str(), HasSubstr("--mode-at: heads=4:none: there is no head "
                                    "4; the model has heads 0 to 3"));
  EXPECT_NE(Generate({"layers=a:none"}), kExitOk);
  EXPECT_THAT(err_.str(),
              HasSubstr("--mode-at layers=a:none: 'a' is no number or range"));
  EXPECT_NE(Generate({"layers=0:none"}, "teacher"), kExitOk);
  EXPECT_THAT(err_.str(), HasSubstr("none has LoRA on, and teacher around it "
                                    "off"));
}

}  // namespace
}  // namespace caracal
