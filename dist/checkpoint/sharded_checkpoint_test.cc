// Checkpoints that several ranks write, read by any other number.
#include <gtest/gtest.h>

#include <cstring>
#include <mutex>
#include <string>
#include <vector>

#include "core/base/fault_file_system.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "core/collective/thread_collective.h"
#include "dist/checkpoint/async_checkpointer.h"
#include "dist/checkpoint/catalogue.h"
#include "dist/checkpoint/reader.h"
#include "dist/checkpoint/writer.h"

namespace caracal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint64_t kRows = 10, kColumns = 6;

float ValueAt(uint64_t row, uint64_t column) {
  return static_cast<float>(row * 100 + column);
}

// A grid of rows x columns, of which each rank has a share of the rows; a
// vector that only rank 0 has; and the state.
class RankContents {
 public:
  RankContents(int rank, int size, uint64_t step = 5) {
    const uint64_t begin = kRows * rank / size, end = kRows * (rank + 1) / size;
    for (uint64_t i = begin; i < end; ++i) {
      for (uint64_t j = 0; j < kColumns; ++j) grid_.push_back(ValueAt(i, j));
    }
    contents_.step = step;
    contents_.layout.tensor = size;
    contents_.tensors = {{"grid",
                          DType::kF32,
                          {end - begin, kColumns},
                          grid_.data(),
                          TensorShard{{kRows, kColumns}, {begin, 0}}}};
    if (rank == 0) {
      contents_.tensors.push_back(
          {"whole", DType::kF32, {kColumns}, grid_.data(), {}});
    }
    contents_.strings = {{"state", "of rank " + std::to_string(rank)}};
  }
  CheckpointContents* get() { return &contents_; }

 private:
  std::vector<float> grid_;
  CheckpointContents contents_;
};

absl::Status WriteBy(int size, FileSystem* files, const std::string& folder) {
  std::mutex mutex;
  std::vector<absl::Status> results;
  RunAsRanks(size, [&](Collective& group) {
    RankContents mine(group.rank(), size);
    const absl::Status status =
        WriteCheckpoint(files, folder, *mine.get(), &group);
    std::lock_guard<std::mutex> lock(mutex);
    results.push_back(status);
  });
  for (const absl::Status& status : results) {
    EXPECT_EQ(status.code(), results[0].code());
  }
  return results[0];
}

TEST(ShardedCheckpointTest, AnyNumberOfRanksReadsWhatAnyOtherWrote) {
  const TemporaryFolder folder;
  for (const int size : {1, 2, 3, 7}) {
    SCOPED_TRACE(size);
    const std::string path = folder.File("c" + std::to_string(size));
    ASSERT_OK(WriteBy(size, FileSystem::Posix(), path));
    ASSERT_OK_AND_ASSIGN(const auto reader,
                         CheckpointReader::Open(FileSystem::Posix(), path));
    EXPECT_EQ(reader.manifest().rank_files.size(), size);
    EXPECT_THAT(*reader.TensorNames(), ElementsAre("grid", "whole"));
    EXPECT_EQ(*reader.String("state"), "of rank 0");
    std::vector<float> all(kRows * kColumns);
    ASSERT_OK(
        reader.ReadTensor("grid", DType::kF32, {kRows, kColumns}, all.data()));
    for (uint64_t i = 0; i < all.size(); ++i) {
      EXPECT_EQ(all[i], ValueAt(i / kColumns, i % kColumns));
    }
    // Blocks that begin and end anywhere, columns too.
    for (uint64_t first = 0; first < kRows; ++first) {
      for (uint64_t column = 0; column < kColumns; column += 2) {
        const uint64_t rows = kRows - first, columns = kColumns - column;
        std::vector<float> block(rows * columns);
        ASSERT_OK(reader.ReadBlock("grid", DType::kF32, {kRows, kColumns},
                                   {first, column}, {rows, columns},
                                   block.data()));
        for (uint64_t i = 0; i < block.size(); ++i) {
          EXPECT_EQ(block[i],
                    ValueAt(first + i / columns, column + i % columns));
        }
      }
    }
  }
}

TEST(ShardedCheckpointTest, FilesOfALargerLayoutAreRemoved) {
  FaultFileSystem files;
  const std::string path = "/c";
  ASSERT_OK(WriteBy(3, &files, path));
  ASSERT_OK(WriteBy(2, &files, path));
  EXPECT_THAT(*files.List(path),
              ElementsAre("manifest.json", "rank-00000.h5", "rank-00001.h5"));
}

TEST(ShardedCheckpointTest, GapsAndOverlapsAreRefused) {
  const TemporaryFolder folder;
  FileSystem* const files = FileSystem::Posix();
  const auto write = [&](const std::string& path, uint64_t second_begin) {
    RunAsRanks(2, [&](Collective& group) {
      RankContents mine(group.rank(), 2);
      if (group.rank() == 1) {
        mine.get()->tensors[0].shard->offset[0] = second_begin;
        mine.get()->tensors[0].shape[0] = 4;
      }
      EXPECT_OK(WriteCheckpoint(files, path, *mine.get(), &group));
    });
  };
  const auto read = [&](const std::string& path) -> absl::Status {
    ASSIGN_OR_RETURN(const auto reader, CheckpointReader::Open(files, path));
    std::vector<float> all(kRows * kColumns);
    return reader.ReadTensor("grid", DType::kF32, {kRows, kColumns},
                             all.data());
  };
  write(folder.File("gap"), 6);
  EXPECT_THAT(read(folder.File("gap")),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("grid: of the 60 elements of [10, 6] at "
                                 "[0, 0] the files of this checkpoint hold "
                                 "54")));
  write(folder.File("overlap"), 4);
  EXPECT_THAT(read(folder.File("overlap")),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("rank-00001.h5: tensor grid overlaps with the "
                                 "piece in ")));
}

TEST(ShardedCheckpointTest, AMissingRankFileIsNamed) {
  FaultFileSystem files;
  ASSERT_OK(WriteBy(3, &files, "/c"));
  ASSERT_OK(files.Remove("/c/rank-00002.h5"));
  EXPECT_THAT(CheckpointReader::Open(&files, "/c").status(),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("/c/rank-00002.h5: is missing")));
}

TEST(ShardedCheckpointTest, OneRanksErrorIsEverybodys) {
  FaultFileSystem files;
  ASSERT_OK(WriteBy(3, &files, "/before"));
  std::vector<absl::Status> seen(3);
  RunAsRanks(3, [&](Collective& group) {
    RankContents mine(group.rank(), 3);
    if (group.rank() == 2) mine.get()->tensors[0].name = "not usable/";
    seen[group.rank()] = WriteCheckpoint(&files, "/c", *mine.get(), &group);
  });
  for (const absl::Status& status : seen) {
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                                 HasSubstr("not usable/")));
  }
  EXPECT_THAT(std::string(seen[0].message()), HasSubstr("rank 2: "));
  EXPECT_FALSE(files.Exists("/c/manifest.json"));
  EXPECT_OK(VerifyCheckpoint(&files, "/before").status());
}

TEST(ShardedCheckpointTest, TheLayoutMustBeOfAsManyRanks) {
  FaultFileSystem files;
  RunAsRanks(2, [&](Collective& group) {
    RankContents mine(group.rank(), 2);
    mine.get()->layout.tensor = 3;
    EXPECT_THAT(WriteCheckpoint(&files, "/c", *mine.get(), &group),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("3 ranks write, not 2")));
  });
}

TEST(ShardedCheckpointTest, RanksWriteBehind) {
  const TemporaryFolder folder;
  std::vector<int> after(3);
  RunAsRanks(3, [&](Collective& group) {
    const auto count = [&](const std::string&) {
      ++after[group.rank()];
      return absl::OkStatus();
    };
    AsyncCheckpointer writer(FileSystem::Posix(), count, &group);
    for (uint64_t step : {5, 6, 7}) {
      RankContents mine(group.rank(), 3, step);
      EXPECT_OK(
          writer.Start(folder.File("c" + std::to_string(step)), *mine.get()));
    }
    EXPECT_OK(writer.Wait());
  });
  EXPECT_THAT(after, ElementsAre(3, 0, 0));
  for (int step : {5, 6, 7}) {
    EXPECT_OK(VerifyCheckpoint(FileSystem::Posix(),
                               folder.File("c" + std::to_string(step)))
                  .status());
  }
}

// Every rank has a disk of its own here, on which all files of the other's
// share are damaged, and perhaps one of its own: just that one is seen.
TEST(ShardedCheckpointTest, RanksShareOutWhatIsVerified) {
  for (const int damaged : {0, 1, 2, 3, -1}) {
    SCOPED_TRACE(damaged);
    RunAsRanks(2, [&](Collective& group) {
      FaultFileSystem files;
      const std::string folder = CheckpointFolder("/run", 5);
      EXPECT_OK(WriteBy(4, &files, folder));
      for (int file = 0; file < 4; ++file) {
        if (file != damaged && file % 2 == group.rank()) continue;
        files.FlipBits(JoinPath(folder, RankFileName(file)), 100, 1);
      }
      ASSERT_OK_AND_ASSIGN(const LatestCheckpointResult latest,
                           LatestCheckpoint(&files, "/run", &group));
      EXPECT_EQ(latest.step.has_value(), damaged < 0);
      ASSERT_EQ(latest.warnings.size(), damaged < 0 ? 0 : 1);
      if (damaged >= 0) {
        EXPECT_THAT(latest.warnings[0],
                    HasSubstr(absl::StrCat(RankFileName(damaged), ": has")));
      }
    });
  }
}

TEST(ShardedCheckpointTest, RanksLookAtWhatTheFirstOneSees) {
  RunAsRanks(3, [](Collective& group) {
    FaultFileSystem files;
    EXPECT_OK(WriteBy(2, &files, CheckpointFolder("/run", 5)));
    if (group.rank() != 0) {
      EXPECT_OK(WriteBy(2, &files, CheckpointFolder("/run", 6)));
    }
    ASSERT_OK_AND_ASSIGN(const LatestCheckpointResult latest,
                         LatestCheckpoint(&files, "/run", &group));
    EXPECT_EQ(latest.step, 5);
    EXPECT_EQ(latest.manifest.rank_files.size(), 2);
  });
}

// Rank 1 of two that sees no error of rank 0's, and loses it after some calls.
class LosingGroup : public SingleProcessCollective {
 public:
  explicit LosingGroup(int calls) : calls_(calls) {}
  int rank() const override { return 1; }
  int size() const override { return 2; }
  absl::Status AllGatherBytes(const void*, size_t bytes, void* all) override {
    if (calls_-- <= 0) return Lost();
    std::memset(all, 0, 2 * bytes);
    return absl::OkStatus();
  }
  absl::Status Barrier() override {
    return calls_ < 0 ? Lost() : absl::OkStatus();
  }

 private:
  static absl::Status Lost() { return absl::UnavailableError("lost rank 0"); }
  int calls_;
};

// Rank 0 may have written the manifest before it was lost.
TEST(ShardedCheckpointTest, ARankThatIsLeftAloneRemovesNothing) {
  int files_left = 0;
  for (int calls = 0;; ++calls) {
    SCOPED_TRACE(calls);
    FaultFileSystem files;
    ASSERT_OK(files.CreateFolder("/c"));
    ASSERT_OK(files.WriteFileAtomically("/c/manifest.json", "of rank 0"));
    LosingGroup group(calls);
    RankContents mine(1, 2);
    const absl::Status status =
        WriteCheckpoint(&files, "/c", *mine.get(), &group);
    EXPECT_TRUE(files.Exists("/c/manifest.json"));
    if (files.Exists("/c/rank-00001.h5")) ++files_left;
    if (status.ok()) break;
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  }
  // As one that loses nobody, and from when on its file was written.
  EXPECT_GE(files_left, 3);
}

}  // namespace
}  // namespace caracal
