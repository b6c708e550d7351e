#include "jobs/train/metrics_writer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"

namespace caracal {
namespace {

StepRecord Record(int64_t step) {
  StepRecord r;
  r.stage = "transfer";
  r.step = r.global_step = step;
  r.loss = 1.0 / static_cast<double>(3 * step);
  r.tokens = 64;
  return r;
}

TEST(MetricsWriter, ResumingDropsLaterAndHalfLines) {
  TemporaryFolder folder;
  const std::string path = JoinPath(folder.path(), "metrics.jsonl");
  FileSystem* files = FileSystem::Posix();
  MetricsWriter writer(files, path);
  EXPECT_OK(writer.KeepUntil(0));  // No file yet.
  for (int64_t step = 1; step <= 4; ++step) {
    ASSERT_OK(writer.Write(Record(step)));
  }
  ASSERT_OK(files->Append(path, "{\"stage\": \"tran"));
  ASSERT_OK(writer.KeepUntil(3));
  ASSERT_OK(writer.Write(Record(4)));
  ASSERT_OK_AND_ASSIGN(const std::string text, files->ReadFile(path));
  std::istringstream lines(text);
  std::string line;
  int64_t step = 0;
  while (std::getline(lines, line)) {
    const auto json = nlohmann::json::parse(line);
    ++step;
    EXPECT_EQ(json["global_step"].get<int64_t>(), step);
    EXPECT_EQ(json["loss"].get<double>(), Record(step).loss);
    EXPECT_FALSE(json.contains("validation_loss"));
  }
  EXPECT_EQ(step, 4);
}

TEST(MetricsWriter, ValidationIsOnTheStepsLine) {
  TemporaryFolder folder;
  const std::string path = JoinPath(folder.path(), "metrics.jsonl");
  MetricsWriter writer(FileSystem::Posix(), path);
  StepRecord record = Record(1);
  record.validation_loss = 0.5;
  ASSERT_OK(writer.Write(record));
  ASSERT_OK_AND_ASSIGN(const std::string text,
                       FileSystem::Posix()->ReadFile(path));
  EXPECT_EQ(nlohmann::json::parse(text)["validation_loss"].get<double>(), 0.5);
}

TEST(MetricsWriter, LaMassHasAValueForEachLayer) {
  StepRecord record = Record(1);
  EXPECT_FALSE(nlohmann::json::parse(ToJson(record)).contains("la_mass"));
  EXPECT_TRUE(std::isnan(MeanLaMass(record)));
  record.la_mass = {0.1, kNotMeasured, 0.3};
  const auto json = nlohmann::json::parse(ToJson(record));
  ASSERT_EQ(json["la_mass"].size(), 3);
  EXPECT_EQ(json["la_mass"][0].get<double>(), 0.1);
  EXPECT_TRUE(json["la_mass"][1].is_null());
  EXPECT_DOUBLE_EQ(MeanLaMass(record), 0.2);
}

}  // namespace
}  // namespace caracal
