#include "jobs/coordinator/service/private_socket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>

#include "absl/strings/str_cat.h"
#include "core/base/file_system.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"

namespace caracal {
namespace {

using ::testing::EndsWith;
using ::testing::StartsWith;

std::string PathOf(const PrivateSocket& socket) {
  return socket.address().substr(5);
}

TEST(PrivateSocket, LiesInTheFolderWhereItsNameIsShortEnough) {
  // The longest one, with the zero, has 108 bytes.
  const std::string name = absl::StrCat("/socket-", getpid());
  for (const size_t length : {size_t{4}, 107 - name.size()}) {
    const std::string folder = "/" + std::string(length - 1, 'a');
    ASSERT_OK_AND_ASSIGN(const PrivateSocket socket, PrivateSocket::In(folder));
    EXPECT_EQ(socket.address(), "unix:" + folder + name);
  }
}

TEST(PrivateSocket, ElseInAFolderOfItsOwnThatGoesWithIt) {
  const std::string folder = "/" + std::string(100, 'a');
  std::string path;
  {
    ASSERT_OK_AND_ASSIGN(PrivateSocket made, PrivateSocket::In(folder));
    const PrivateSocket socket = std::move(made);
    path = PathOf(socket);
    EXPECT_LT(path.size(), 108);
    EXPECT_THAT(path, EndsWith(absl::StrCat("/socket-", getpid())));
    struct stat info;
    ASSERT_EQ(stat(FolderOf(path).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0700);
    ASSERT_OK(FileSystem::Posix()->Append(path, ""));
  }
  EXPECT_FALSE(FileSystem::Posix()->Exists(FolderOf(path)));
}

TEST(PrivateSocket, WhatAKilledProcessLeftIsRemovedAndNothingElse) {
  FileSystem* const files = FileSystem::Posix();
  TemporaryFolder folder;
  const std::string left = folder.File("caracal-run-abcdef");
  ASSERT_OK(files->CreateFolder(left));
  ASSERT_OK(files->Append(JoinPath(left, "socket-7"), ""));
  ASSERT_OK(files->Append(JoinPath(left, "other"), ""));
  // Under another name, not of a file system, of some other folder.
  PrivateSocket::RemoveLeftOver("unix:" + left + "/other", "/data");
  PrivateSocket::RemoveLeftOver("127.0.0.1:7272", "/data");
  PrivateSocket::RemoveLeftOver("unix:" + folder.path() + "/socket-7", left);
  EXPECT_TRUE(files->Exists(JoinPath(left, "socket-7")));
  EXPECT_TRUE(files->Exists(JoinPath(left, "other")));
  ASSERT_OK(files->Remove(JoinPath(left, "other")));
  PrivateSocket::RemoveLeftOver("unix:" + left + "/socket-7", "/data");
  EXPECT_FALSE(files->Exists(left));
  // In the data folder, which stays.
  ASSERT_OK(files->Append(folder.File("socket-8"), ""));
  PrivateSocket::RemoveLeftOver("unix:" + folder.File("socket-8"),
                                folder.path());
  EXPECT_FALSE(files->Exists(folder.File("socket-8")));
  EXPECT_TRUE(files->Exists(folder.path()));
}

}  // namespace
}  // namespace caracal
