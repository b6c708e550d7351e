#include "jobs/coordinator/embedded/private_socket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <optional>

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
  // The longest one: "/socket" and a zero make 108 bytes of it.
  for (const size_t length : {4, 100}) {
    const std::string folder = "/" + std::string(length - 1, 'a');
    ASSERT_OK_AND_ASSIGN(const PrivateSocket socket, PrivateSocket::In(folder));
    EXPECT_EQ(socket.address(), "unix:" + folder + "/socket");
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
    EXPECT_THAT(path, EndsWith("/socket"));
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
  ASSERT_OK(files->Append(JoinPath(left, "socket"), ""));
  // In the data folder itself, under another name, not of a file system.
  PrivateSocket::RemoveLeftOver("unix:" + left + "/socket", left);
  PrivateSocket::RemoveLeftOver("unix:" + left + "/other", "/data");
  PrivateSocket::RemoveLeftOver("127.0.0.1:7272", "/data");
  EXPECT_TRUE(files->Exists(JoinPath(left, "socket")));
  PrivateSocket::RemoveLeftOver("unix:" + left + "/socket", "/data");
  EXPECT_FALSE(files->Exists(left));
}

}  // namespace
}  // namespace caracal
