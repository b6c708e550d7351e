#include "jobs/coordinator/service/data_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/base/file_system.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"

namespace caracal {
namespace {

using absl::StatusCode;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class DataFolderTest : public ::testing::Test {
 protected:
  TemporaryFolder root_;
  const std::string whole_ = std::filesystem::canonical(root_.path());
  const std::string data_ = whole_ + "/data", nfs_ = whole_ + "/nfs";
};

TEST_F(DataFolderTest, IsOneFolderByDefault) {
  const auto folder = DataFolder::Open(data_);
  ASSERT_OK(folder.status());
  EXPECT_EQ(folder->shared(), folder->path());
  EXPECT_THAT(folder->endpoints(), ElementsAre(data_ + "/endpoint.json"));
  EXPECT_EQ(folder->run(7), data_ + "/runs/7");
  EXPECT_THAT(DataFolder::Open(data_).status(),
              StatusIs(StatusCode::kFailedPrecondition, HasSubstr("--data")));
}

TEST_F(DataFolderTest, WhatGangsSeeCanBeApart) {
  {
    const auto folder = DataFolder::Open(data_, nfs_);
    ASSERT_OK(folder.status());
    EXPECT_EQ(folder->path(), data_);
    EXPECT_EQ(folder->run(7), nfs_ + "/runs/7");
    EXPECT_EQ(folder->gangs(), nfs_ + "/gangs");
    EXPECT_EQ(folder->job(7), nfs_ + "/jobs/7.textproto");
    EXPECT_EQ(folder->audit(), data_ + "/audit.jsonl");
    EXPECT_EQ(folder->endpoint(), nfs_ + "/endpoint.json");
    EXPECT_THAT(folder->endpoints(),
                ElementsAre(nfs_ + "/endpoint.json", data_ + "/endpoint.json"));
    EXPECT_FALSE(FileSystem::Posix()->Exists(data_ + "/runs"));
    // Of another coordinator, too.
    EXPECT_THAT(
        DataFolder::Open(root_.File("other"), nfs_).status(),
        StatusIs(StatusCode::kFailedPrecondition, HasSubstr("--shared")));
  }
  // It is remembered: else jobs would be without their runs.
  EXPECT_EQ(DataFolder::Open(data_)->run(7), nfs_ + "/runs/7");
  EXPECT_EQ(DataFolder::Open(data_, data_)->run(7), data_ + "/runs/7");
  EXPECT_EQ(DataFolder::Open(data_)->run(7), data_ + "/runs/7");
}

TEST_F(DataFolderTest, BelongsToOneDatabase) {
  {
    const auto folder = DataFolder::Open(data_, nfs_);
    ASSERT_OK(folder.status());
    EXPECT_OK(folder->Claim(17, false));
    EXPECT_OK(folder->Claim(17, false));
    EXPECT_THAT(
        folder->Claim(18, false),
        StatusIs(StatusCode::kFailedPrecondition, HasSubstr("another")));
  }
  EXPECT_THAT(DataFolder::Open(root_.File("other"), nfs_)->Claim(18, false),
              StatusIs(StatusCode::kFailedPrecondition, HasSubstr(nfs_)));
}

TEST_F(DataFolderTest, IsNotTakenForFreshWhenItsFileSystemIsNotMounted) {
  const auto folder = DataFolder::Open(data_, nfs_);
  ASSERT_OK(folder.status());
  EXPECT_THAT(folder->Claim(17, true),
              StatusIs(StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr(nfs_), HasSubstr("mounted"))));
  // It stays so, until somebody says that they are lost.
  EXPECT_FALSE(FileSystem::Posix()->Exists(nfs_ + "/database"));
  ASSERT_OK(
      FileSystem::Posix()->WriteFileAtomically(nfs_ + "/database", "17\n"));
  EXPECT_OK(folder->Claim(17, true));
}

TEST_F(DataFolderTest, RunsOfABackUpNeedNoMark) {
  const auto folder = DataFolder::Open(data_);
  ASSERT_OK(folder.status());
  ASSERT_OK(FileSystem::Posix()->CreateFolder(folder->run(7)));
  EXPECT_OK(folder->Claim(17, true));
  EXPECT_TRUE(FileSystem::Posix()->Exists(data_ + "/database"));
}

TEST_F(DataFolderTest, KnowsWhichNumbersAreTaken) {
  const auto folder = DataFolder::Open(data_);
  ASSERT_OK(folder.status());
  EXPECT_EQ(folder->FirstFreeJob(), 1u);
  for (const char* path : {"/runs/7", "/gangs/9-12", "/gangs/3-40", "/runs/x",
                           "/gangs/-5", "/runs/8.old"}) {
    ASSERT_OK(FileSystem::Posix()->CreateFolder(data_ + path));
  }
  EXPECT_EQ(folder->FirstFreeJob(), 10u);
}

TEST_F(DataFolderTest, RunsAreMovedFirst) {
  const std::string run = DataFolder::Open(data_)->run(7);
  ASSERT_OK(FileSystem::Posix()->CreateFolder(run));
  EXPECT_THAT(DataFolder::Open(data_, nfs_).status(),
              StatusIs(StatusCode::kFailedPrecondition, HasSubstr("move it")));
  ASSERT_OK(FileSystem::Posix()->RemoveFolder(run));
  EXPECT_OK(DataFolder::Open(data_, nfs_).status());
  // Back as well.
  ASSERT_OK(FileSystem::Posix()->CreateFolder(nfs_ + "/runs/7"));
  EXPECT_THAT(DataFolder::Open(data_, data_).status(),
              StatusIs(StatusCode::kFailedPrecondition, HasSubstr("move it")));
  EXPECT_OK(DataFolder::Open(data_).status());
}

}  // namespace
}  // namespace caracal
