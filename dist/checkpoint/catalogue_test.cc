#include "dist/checkpoint/catalogue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/base/fault_file_system.h"
#include "core/base/status_matchers.h"
#include "dist/checkpoint/sample_contents.h"
#include "dist/checkpoint/writer.h"

namespace caracal {
namespace {

using ::testing::_;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kRun[] = "/run";

class CatalogueTest : public ::testing::Test {
 protected:
  void Write(uint64_t step) {
    ASSERT_OK(WriteCheckpoint(&files_, CheckpointFolder(kRun, step),
                              SampleContents(step).get()));
  }
  std::vector<uint64_t> List() { return *ListCheckpoints(&files_, kRun); }

  FaultFileSystem files_;
};

TEST_F(CatalogueTest, Paths) {
  EXPECT_EQ(CheckpointFolder("run", 12), "run/checkpoints/checkpoint-00000012");
  EXPECT_EQ(CheckpointFolder("run", 1234567890),
            "run/checkpoints/checkpoint-1234567890");
}

TEST_F(CatalogueTest, EmptyRun) {
  EXPECT_THAT(List(), IsEmpty());
  ASSERT_OK_AND_ASSIGN(const auto latest, LatestCheckpoint(&files_, kRun));
  EXPECT_FALSE(latest.step.has_value());
  EXPECT_THAT(latest.warnings, IsEmpty());
  EXPECT_OK(PruneCheckpoints(&files_, kRun, 1));
  ASSERT_OK_AND_ASSIGN(const auto best, ReadBestCheckpoint(&files_, kRun));
  EXPECT_FALSE(best.has_value());
}

TEST_F(CatalogueTest, ListsByStepAndIgnoresOtherNames) {
  for (const uint64_t step : {20, 3, 100000000}) Write(step);
  ASSERT_OK(files_.CreateFolder("/run/checkpoints/checkpoint-7"));
  ASSERT_OK(files_.CreateFolder("/run/checkpoints/checkpoint-0000000x"));
  ASSERT_OK(files_.CreateFolder("/run/checkpoints/other"));
  ASSERT_OK(files_.CreateFolder(CheckpointFolder(kRun, 9)));  // no manifest
  EXPECT_THAT(List(), ElementsAre(3, 20, 100000000));
}

TEST_F(CatalogueTest, LatestPassesOverWhatIsDamaged) {
  for (const uint64_t step : {1, 2, 3, 4}) Write(step);
  ASSERT_OK(files_.CreateFolder(CheckpointFolder(kRun, 5)));
  files_.FlipBits(CheckpointFolder(kRun, 4) + "/rank-00000.h5", 1000, 1);
  ASSERT_OK(files_.Remove(CheckpointFolder(kRun, 3) + "/rank-00000.h5"));
  ASSERT_OK_AND_ASSIGN(const auto latest, LatestCheckpoint(&files_, kRun));
  EXPECT_EQ(latest.step, 2);
  EXPECT_EQ(latest.folder, CheckpointFolder(kRun, 2));
  EXPECT_THAT(latest.warnings,
              ElementsAre(HasSubstr("checkpoint-00000005/manifest.json"),
                          HasSubstr("checkpoint-00000004/rank-00000.h5"),
                          HasSubstr("checkpoint-00000003/rank-00000.h5")));
}

TEST_F(CatalogueTest, LatestPassesOverAMisnamedFolder) {
  Write(1);
  ASSERT_OK(WriteCheckpoint(&files_, CheckpointFolder(kRun, 9),
                            SampleContents(2).get()));
  ASSERT_OK_AND_ASSIGN(const auto latest, LatestCheckpoint(&files_, kRun));
  EXPECT_EQ(latest.step, 1);
  EXPECT_THAT(latest.warnings, ElementsAre(HasSubstr("is of step 2")));
}

TEST_F(CatalogueTest, PruneKeepsTheNewestTheWantedAndTheBest) {
  for (uint64_t step = 1; step <= 6; ++step) Write(step);
  ASSERT_OK(MarkBestCheckpoint(&files_, kRun, {.step = 2, .score = 0.5}));
  ASSERT_OK(PruneCheckpoints(&files_, kRun, 2, {4, 77}));
  EXPECT_THAT(List(), ElementsAre(2, 4, 5, 6));
  ASSERT_OK(PruneCheckpoints(&files_, kRun, 0));
  EXPECT_THAT(List(), ElementsAre(2));
  EXPECT_THAT(*files_.List(CheckpointsFolder(kRun)),
              ElementsAre("best.json", "checkpoint-00000002"));
}

TEST_F(CatalogueTest, PruneRemovesOldLeftoversOnly) {
  Write(5);
  for (const uint64_t step : {4, 6}) {
    ASSERT_OK(files_.CreateFolder(CheckpointFolder(kRun, step)));
    ASSERT_OK(
        files_.Append(CheckpointFolder(kRun, step) + "/rank-00000.h5.tmp", ""));
  }
  ASSERT_OK(PruneCheckpoints(&files_, kRun, 3));
  EXPECT_FALSE(files_.Exists(CheckpointFolder(kRun, 4)));
  EXPECT_TRUE(files_.Exists(CheckpointFolder(kRun, 6)));
}

TEST_F(CatalogueTest, BestMarker) {
  for (const uint64_t step : {1, 2}) Write(step);
  ASSERT_OK(MarkBestCheckpoint(&files_, kRun, {.step = 1, .score = 1.5}));
  ASSERT_OK(MarkBestCheckpoint(&files_, kRun, {.step = 2, .score = 0.1}));
  ASSERT_OK_AND_ASSIGN(const auto best, ReadBestCheckpoint(&files_, kRun));
  ASSERT_TRUE(best.has_value());
  EXPECT_EQ(best->step, 2);
  EXPECT_EQ(best->score, 0.1);
  EXPECT_THAT(MarkBestCheckpoint(&files_, kRun, {.step = 3, .score = 0}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("00000003")));
  EXPECT_THAT(MarkBestCheckpoint(&files_, kRun, {.step = 1, .score = NAN}),
              StatusIs(absl::StatusCode::kInvalidArgument, _));

  ASSERT_OK(files_.Remove(CheckpointFolder(kRun, 2) + "/manifest.json"));
  EXPECT_THAT(ReadBestCheckpoint(&files_, kRun),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("best.json")));
}

TEST_F(CatalogueTest, DamagedMarkerStopsPruning) {
  for (const uint64_t step : {1, 2}) Write(step);
  for (const char* text : {"", "[]", "{\"step\": 1}", "{\"step\": -1}",
                           "{\"step\": 1, \"score\": null}"}) {
    ASSERT_OK(files_.WriteFileAtomically("/run/checkpoints/best.json", text));
    EXPECT_THAT(ReadBestCheckpoint(&files_, kRun),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("best.json")));
    EXPECT_THAT(PruneCheckpoints(&files_, kRun, 1),
                StatusIs(absl::StatusCode::kDataLoss, _));
  }
  EXPECT_THAT(List(), ElementsAre(1, 2));
}

TEST_F(CatalogueTest, EveryByteOfTheMarkerCounts) {
  Write(1);
  ASSERT_OK(MarkBestCheckpoint(&files_, kRun, {.step = 1, .score = 0.125}));
  const std::string path = "/run/checkpoints/best.json";
  const std::string text = *files_.ReadFile(path);
  for (size_t i = 0; i < text.size(); ++i) {
    for (const uint8_t mask : {1, 2, 4, 8, 16, 32, 64, 128}) {
      files_.FlipBits(path, i, mask);
      EXPECT_THAT(VerifyBestMarker(&files_, kRun),
                  StatusIs(absl::StatusCode::kDataLoss, HasSubstr(path)))
          << i << " " << *files_.ReadFile(path);
      files_.FlipBits(path, i, mask);
    }
  }
  EXPECT_OK(VerifyBestMarker(&files_, kRun));
}

TEST_F(CatalogueTest, MarkersOfOlderProgramsHaveNoChecksum) {
  Write(1);
  ASSERT_OK(files_.WriteFileAtomically(
      "/run/checkpoints/best.json",
      R"({"checkpoint": "checkpoint-00000001", "step": 1, "score": 0.5})"));
  ASSERT_OK_AND_ASSIGN(const auto best, ReadBestCheckpoint(&files_, kRun));
  ASSERT_TRUE(best.has_value());
  EXPECT_EQ(best->score, 0.5);
}

// Steps 3 and 4 are damaged, say: whoever goes on from 2 and writes 3 anew.
TEST_F(CatalogueTest, PruningLeavesWhatIsNewerThanTheNewestAlone) {
  for (const uint64_t step : {1, 2, 3, 4}) Write(step);
  ASSERT_OK(PruneCheckpoints(&files_, kRun, 1, {}, 3));
  EXPECT_THAT(List(), ElementsAre(3, 4));
  ASSERT_OK(PruneCheckpoints(&files_, kRun, 1, {}, 2));
  EXPECT_THAT(List(), ElementsAre(3, 4));
}

}  // namespace
}  // namespace caracal
