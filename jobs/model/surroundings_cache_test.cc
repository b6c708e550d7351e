#include "jobs/model/surroundings_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "jobs/model/job_surroundings.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class SurroundingsCacheTest : public ::testing::Test {
 protected:
  SurroundingsCacheTest() {
    std::filesystem::create_directory(folder_.File("model"));
    Write("model/config.json", "{}");
    Write("train.h5", "rows");
    job_.mutable_model()->set_path(folder_.File("model"));
    job_.mutable_data()->set_path(folder_.File("train.h5"));
    job_.mutable_attention()->set_window(8);
    job_.mutable_budget()->set_batch(4);
  }
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_.File(name)) << text;
  }
  std::vector<Problem> Check() {
    std::vector<Problem> problems;
    EXPECT_OK(cache_.Check(job_, &problems));
    return problems;
  }

  TemporaryFolder folder_;
  proto::Job job_;
  int reads_ = 0;
  absl::Status error_;
  bool damaged_ = false;
  SurroundingsCache cache_{
      [this](const proto::Job&, std::vector<Problem>* problems)
          -> absl::StatusOr<std::optional<JobSurroundings>> {
        ++reads_;
        if (!error_.ok()) return error_;
        if (damaged_) {
          problems->push_back({"data.path", "is damaged", ""});
          return std::nullopt;
        }
        JobSurroundings around;
        around.layers = 2;
        around.heads = around.kv_heads = 4;
        around.max_positions = 512;
        around.train = {.rows = 100, .tokens = 48};
        around.cores = 2;
        return around;
      }};
};

TEST_F(SurroundingsCacheTest, EachJobIsCheckedThoughFilesAreReadOnce) {
  EXPECT_THAT(Check(), IsEmpty());
  EXPECT_THAT(Check(), IsEmpty());
  job_.mutable_parallel()->set_tensor(7);
  const std::vector<Problem> problems = Check();
  ASSERT_FALSE(problems.empty());
  EXPECT_THAT(problems[0].ToString(), HasSubstr("parallel.tensor: is 7"));
  EXPECT_EQ(reads_, 1);
}

TEST_F(SurroundingsCacheTest, OtherFilesAreReadAgain) {
  Check();
  Write("other.h5", "rows");
  std::filesystem::rename(folder_.File("other.h5"), folder_.File("train.h5"));
  Check();
  EXPECT_EQ(reads_, 2);
  // A file in the model's folder, of the same size.
  Write("model/config.json", "[]");
  Check();
  EXPECT_EQ(reads_, 3);
  Write("model/model.safetensors", "");
  Check();
  EXPECT_EQ(reads_, 4);
  job_.mutable_data()->set_validation(folder_.File("train.h5"));
  Check();
  EXPECT_EQ(reads_, 5);
  Check();
  EXPECT_EQ(reads_, 5);
}

TEST_F(SurroundingsCacheTest, WhatCantBeReadIsReadAgain) {
  damaged_ = true;
  EXPECT_EQ(Check().size(), 1u);
  EXPECT_EQ(Check().size(), 1u);
  damaged_ = false;
  EXPECT_THAT(Check(), IsEmpty());
  EXPECT_EQ(reads_, 3);
}

TEST_F(SurroundingsCacheTest, AJobWithTextIsNotAnotherOne) {
  job_.mutable_evaluation()->set_rows(4);
  Check();
  job_.mutable_evaluation()->set_prompt("Once");
  Check();
  EXPECT_EQ(reads_, 2);
}

TEST(FieldWithTextTest, IsWhatTheReportReadsOrWrites) {
  proto::Job job;
  EXPECT_EQ(FieldWithText(job), nullptr);
  job.mutable_evaluation()->set_rows(4);
  EXPECT_EQ(FieldWithText(job), nullptr);
  job.mutable_evaluation()->set_prompt("Once");
  EXPECT_STREQ(FieldWithText(job), "evaluation.prompt");
  job.mutable_evaluation()->mutable_probe();
  EXPECT_STREQ(FieldWithText(job), "evaluation.probe");
  job.mutable_evaluation()->set_rows(0);  // no report
  EXPECT_EQ(FieldWithText(job), nullptr);
}

TEST(ReadAroundTest, EachFileIsToldByItsField) {
  TemporaryFolder folder;
  proto::Job job;
  job.mutable_model()->set_path(folder.File("model.gguf"));
  job.mutable_data()->set_path(folder.File("train.h5"));
  job.mutable_data()->set_validation(folder.File("none.h5"));
  std::ofstream(job.model().path()) << "no model";
  std::ofstream(job.data().path()) << "no rows";
  std::vector<Problem> problems;
  const auto around = ReadAround(job, FileSystem::Posix(), &problems);
  ASSERT_OK(around.status());
  EXPECT_FALSE(around->has_value());
  ASSERT_EQ(problems.size(), 3u);
  EXPECT_THAT(problems[0].ToString(),
              ::testing::AllOf(::testing::StartsWith("model.path: "),
                               HasSubstr("not a model")));
  EXPECT_THAT(problems[1].ToString(), ::testing::StartsWith("data.path: "));
  EXPECT_THAT(problems[2].ToString(),
              ::testing::StartsWith("data.validation: "));
}

TEST_F(SurroundingsCacheTest, ErrorsAreNotRemembered) {
  error_ = absl::DataLossError("damaged");
  std::vector<Problem> problems;
  EXPECT_THAT(cache_.Check(job_, &problems),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("damaged")));
  error_ = absl::OkStatus();
  EXPECT_THAT(Check(), IsEmpty());
  EXPECT_EQ(reads_, 2);
}

}  // namespace
}  // namespace caracal
