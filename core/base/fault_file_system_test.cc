#include "core/base/fault_file_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/status_matchers.h"

namespace caracal {
namespace {

using ::testing::_;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Unsynced = FaultFileSystem::Unsynced;

TEST(FaultFileSystemTest, BehavesLikeAFileSystem) {
  FaultFileSystem files;
  EXPECT_THAT(files.Create("/a/b"), StatusIs(absl::StatusCode::kNotFound, _));
  EXPECT_OK(files.CreateFolder("/a/sub/"));
  ASSERT_OK_AND_ASSIGN(const auto file, files.Create("/a/b"));
  EXPECT_OK(file->WriteAt(2, "cd"));
  char buffer[8];
  ASSERT_OK_AND_ASSIGN(const size_t n, file->ReadAt(1, 8, buffer));
  EXPECT_EQ(std::string(buffer, n), std::string("\0cd", 3));
  EXPECT_OK(file->Close());
  EXPECT_FALSE(file->WriteAt(0, "x").ok());
  EXPECT_OK(files.Append("/a/b", "ef"));
  EXPECT_OK(files.Truncate("/a/b", 5));
  ASSERT_OK_AND_ASSIGN(const std::string text, files.ReadFile("/a/b"));
  EXPECT_EQ(text, std::string("\0\0cde", 5));
  ASSERT_OK_AND_ASSIGN(const auto names, files.List("/a"));
  EXPECT_THAT(names, ElementsAre("b", "sub"));
  EXPECT_FALSE(files.RemoveFolder("/a").ok());
  EXPECT_OK(files.Remove("/a/b"));
  EXPECT_OK(files.RemoveFolder("/a/sub"));
  EXPECT_OK(files.RemoveFolder("/a"));
  EXPECT_FALSE(files.Exists("/a"));
}

TEST(FaultFileSystemTest, PowerCutLosesWhatWasNotSynced) {
  for (const Unsynced unsynced :
       {Unsynced::kLost, Unsynced::kNamesKept, Unsynced::kKept}) {
    FaultFileSystem files;
    EXPECT_OK(files.CreateFolder("/d"));
    EXPECT_OK(files.WriteFileAtomically("/d/synced", "whole"));
    EXPECT_OK(files.Append("/d/synced", "+tail"));
    EXPECT_OK(files.Append("/d/new", "data"));
    files.Crash(unsynced);
    ASSERT_OK_AND_ASSIGN(const std::string text, files.ReadFile("/d/synced"));
    ASSERT_OK_AND_ASSIGN(const auto names, files.List("/d"));
    switch (unsynced) {
      case Unsynced::kLost:
        EXPECT_EQ(text, "whole");
        EXPECT_THAT(names, ElementsAre("synced"));
        break;
      case Unsynced::kNamesKept:
        EXPECT_EQ(text, "whole");
        EXPECT_THAT(names, ElementsAre("new", "synced"));
        EXPECT_EQ(*files.ReadFile("/d/new"), "");
        break;
      case Unsynced::kKept:
        EXPECT_EQ(text, "whole+tail");
        EXPECT_EQ(*files.ReadFile("/d/new"), "data");
        break;
    }
  }
}

TEST(FaultFileSystemTest, RemovalIsUndoneUntilTheFolderIsSynced) {
  FaultFileSystem files;
  EXPECT_OK(files.WriteFileAtomically("/f", "x"));
  EXPECT_OK(files.Remove("/f"));
  files.Crash(Unsynced::kLost);
  EXPECT_TRUE(files.Exists("/f"));
  EXPECT_OK(files.Remove("/f"));
  EXPECT_OK(files.SyncFolder("/"));
  files.Crash(Unsynced::kLost);
  EXPECT_FALSE(files.Exists("/f"));
}

// At every step of replacing a file the old or the new one is there, whole.
TEST(FaultFileSystemTest, AtomicWriteIsAtomicAtEveryStep) {
  for (const Unsynced unsynced :
       {Unsynced::kLost, Unsynced::kNamesKept, Unsynced::kKept}) {
    bool finished = false;
    int64_t step = 0;
    for (; !finished; ++step) {
      FaultFileSystem files;
      EXPECT_OK(files.WriteFileAtomically("/f", "old"));
      files.StopAfter(step);
      const absl::Status status = files.WriteFileAtomically("/f", "new");
      finished = status.ok();
      if (!finished) {
        EXPECT_THAT(status, StatusIs(absl::StatusCode::kAborted, _));
      }
      files.Crash(unsynced);
      ASSERT_OK_AND_ASSIGN(const std::string text, files.ReadFile("/f"));
      if (finished) {
        EXPECT_EQ(text, "new");
      } else {
        EXPECT_TRUE(text == "old" || text == "new") << text;
      }
    }
    EXPECT_EQ(step, 6);  // create, write, fsync, rename, sync; then all of it
  }
}

TEST(FaultFileSystemTest, RunsOutOfSpace) {
  FaultFileSystem files;
  files.RunOutOfSpaceAfter(1);
  EXPECT_OK(files.Append("/a", "1234"));
  EXPECT_THAT(files.Append("/a", "5678"),
              StatusIs(absl::StatusCode::kResourceExhausted, _));
  EXPECT_EQ(*files.ReadFile("/a"), "123456");
  EXPECT_FALSE(files.WriteFileAtomically("/b", "x").ok());
  EXPECT_FALSE(files.Exists("/b"));
  EXPECT_FALSE(files.Exists("/b.tmp"));
  EXPECT_OK(files.Remove("/a"));  // needs no space
  files.RunOutOfSpaceAfter(-1);
  EXPECT_OK(files.Append("/a", "x"));
}

TEST(FaultFileSystemTest, OpenFilesFailAfterACrash) {
  FaultFileSystem files;
  ASSERT_OK_AND_ASSIGN(const auto file, files.Create("/a"));
  files.Crash(Unsynced::kKept);
  EXPECT_FALSE(file->WriteAt(0, "x").ok());
  EXPECT_FALSE(file->Size().ok());
}

}  // namespace
}  // namespace caracal
