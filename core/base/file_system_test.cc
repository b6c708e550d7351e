#include "core/base/file_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"

namespace caracal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class FileSystemTest : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  FileSystem* const files_ = FileSystem::Posix();
};

TEST_F(FileSystemTest, WritesAtomicallyAndReadsBack) {
  const std::string path = folder_.File("a");
  EXPECT_OK(files_->WriteFileAtomically(path, "one"));
  EXPECT_OK(files_->WriteFileAtomically(path, std::string("t\0wo", 4)));
  ASSERT_OK_AND_ASSIGN(const std::string text, files_->ReadFile(path));
  EXPECT_EQ(text, std::string("t\0wo", 4));
  ASSERT_OK_AND_ASSIGN(const auto names, files_->List(folder_.path()));
  EXPECT_THAT(names, ElementsAre("a"));  // no temporary file is left
}

TEST_F(FileSystemTest, FailedAtomicWriteLeavesTheTargetAlone) {
  // The target is a folder that isn't empty: the rename fails.
  const std::string path = folder_.File("a");
  EXPECT_OK(files_->CreateFolder(path + "/b"));
  EXPECT_THAT(files_->WriteFileAtomically(path, "x").ToString(),
              HasSubstr(path));
  EXPECT_TRUE(files_->IsFolder(path + "/b"));
  EXPECT_FALSE(files_->Exists(path + ".tmp"));
  EXPECT_THAT(files_->WriteFileAtomically(folder_.File("no/such"), "x"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no/such")));
}

TEST_F(FileSystemTest, MapsFiles) {
  const std::string path = folder_.File("a");
  EXPECT_OK(files_->WriteFileAtomically(path, "bytes"));
  ASSERT_OK_AND_ASSIGN(const auto file, files_->Map(path));
  EXPECT_EQ(std::string(file->data(), file->data() + file->size()), "bytes");
  EXPECT_OK(files_->WriteFileAtomically(path, ""));
  ASSERT_OK_AND_ASSIGN(const auto empty, files_->Map(path));
  EXPECT_EQ(empty->size(), 0);
}

TEST_F(FileSystemTest, AppendsAndTruncates) {
  const std::string path = folder_.File("log");
  EXPECT_OK(files_->Append(path, "one\n"));
  EXPECT_OK(files_->Append(path, "two\n"));
  ASSERT_OK_AND_ASSIGN(const uint64_t size, files_->FileSize(path));
  EXPECT_EQ(size, 8);
  EXPECT_OK(files_->Truncate(path, 4));
  ASSERT_OK_AND_ASSIGN(const std::string text, files_->ReadFile(path));
  EXPECT_EQ(text, "one\n");
}

TEST_F(FileSystemTest, RandomAccess) {
  const std::string path = folder_.File("a");
  ASSERT_OK_AND_ASSIGN(const auto file, files_->Create(path));
  EXPECT_OK(file->WriteAt(4, "efgh"));
  EXPECT_OK(file->WriteAt(0, "ab"));
  char buffer[16];
  ASSERT_OK_AND_ASSIGN(const size_t n, file->ReadAt(0, 16, buffer));
  EXPECT_EQ(std::string(buffer, n), std::string("ab\0\0efgh", 8));
  EXPECT_OK(file->Truncate(5));
  ASSERT_OK_AND_ASSIGN(const uint64_t size, file->Size());
  EXPECT_EQ(size, 5);
  EXPECT_OK(file->Close());
  EXPECT_OK(file->Close());

  ASSERT_OK_AND_ASSIGN(const auto again, files_->Open(path));
  ASSERT_OK_AND_ASSIGN(const size_t tail, again->ReadAt(4, 16, buffer));
  EXPECT_EQ(std::string(buffer, tail), "e");
  ASSERT_OK_AND_ASSIGN(const size_t beyond, again->ReadAt(100, 1, buffer));
  EXPECT_EQ(beyond, 0);
  EXPECT_FALSE(again->WriteAt(0, "x").ok());  // for reading only

  ASSERT_OK_AND_ASSIGN(const auto emptied, files_->Create(path));
  ASSERT_OK_AND_ASSIGN(const uint64_t no_bytes, emptied->Size());
  EXPECT_EQ(no_bytes, 0);
}

TEST_F(FileSystemTest, AFullDiskIsResourceExhausted) {
  EXPECT_THAT(
      files_->Append("/dev/full", "x"),
      StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("/dev/full")));
}

TEST_F(FileSystemTest, CommitMovesTheFile) {
  EXPECT_OK(files_->Append(folder_.File("a.tmp"), "new"));
  EXPECT_OK(files_->Append(folder_.File("a"), "old"));
  EXPECT_OK(files_->CommitFile(folder_.File("a.tmp"), folder_.File("a")));
  ASSERT_OK_AND_ASSIGN(const auto names, files_->List(folder_.path()));
  EXPECT_THAT(names, ElementsAre("a"));
  ASSERT_OK_AND_ASSIGN(const auto text, files_->ReadFile(folder_.File("a")));
  EXPECT_EQ(text, "new");
  EXPECT_THAT(files_->CommitFile(folder_.File("none"), folder_.File("a")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
}

TEST_F(FileSystemTest, Folders) {
  const std::string deep = folder_.File("a/b//c/");
  EXPECT_OK(files_->CreateFolder(deep));
  EXPECT_OK(files_->CreateFolder(deep));
  EXPECT_TRUE(files_->IsFolder(folder_.File("a/b/c")));
  EXPECT_OK(files_->SyncFolder(folder_.File("a")));
  EXPECT_FALSE(files_->RemoveFolder(folder_.File("a")).ok());
  EXPECT_OK(files_->RemoveFolder(folder_.File("a/b/c")));
  EXPECT_OK(files_->RemoveFolder(folder_.File("a/b/c")));
  ASSERT_OK_AND_ASSIGN(const auto names, files_->List(folder_.File("a/b")));
  EXPECT_THAT(names, IsEmpty());

  EXPECT_OK(files_->Append(folder_.File("file"), ""));
  EXPECT_FALSE(files_->IsFolder(folder_.File("file")));
  EXPECT_FALSE(files_->CreateFolder(folder_.File("file")).ok());
  EXPECT_FALSE(files_->CreateFolder(folder_.File("file/in")).ok());
  EXPECT_FALSE(files_->RemoveFolder(folder_.File("file")).ok());
}

TEST_F(FileSystemTest, ADeviceWithoutEndIsGivenUp) {
  EXPECT_THAT(files_->ReadFile("/dev/zero"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("/dev/zero: is no file")));
  ASSERT_OK_AND_ASSIGN(const std::string text, files_->ReadFile("/dev/null"));
  EXPECT_EQ(text, "");
}

TEST_F(FileSystemTest, ErrorsNameThePath) {
  const std::string path = folder_.File("missing");
  const auto missing =
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("missing"));
  EXPECT_THAT(files_->ReadFile(path), missing);
  EXPECT_THAT(files_->Map(path), missing);
  EXPECT_THAT(files_->Open(path), missing);
  EXPECT_THAT(files_->FileSize(path), missing);
  EXPECT_THAT(files_->List(path), missing);
  EXPECT_THAT(files_->Truncate(path, 0), missing);
  EXPECT_THAT(files_->SyncFolder(path), missing);
  EXPECT_THAT(files_->Create(path + "/file"), missing);
  EXPECT_OK(files_->Remove(path));
  const auto a_folder =
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is a folder"));
  EXPECT_THAT(files_->Map(folder_.path()), a_folder);
  EXPECT_THAT(files_->Open(folder_.path()), a_folder);
}

TEST(PathTest, JoinsAndSplits) {
  EXPECT_EQ(JoinPath("a", "b"), "a/b");
  EXPECT_EQ(JoinPath("a/", "b"), "a/b");
  EXPECT_EQ(JoinPath("a", "/b"), "/b");
  EXPECT_EQ(JoinPath("", "b"), "b");
  EXPECT_EQ(FolderOf("a/b/c"), "a/b");
  EXPECT_EQ(FolderOf("/a"), "/");
  EXPECT_EQ(FolderOf("a"), ".");
  EXPECT_EQ(BaseName("a/b/c"), "c");
  EXPECT_EQ(BaseName("c"), "c");
}

}  // namespace
}  // namespace caracal
