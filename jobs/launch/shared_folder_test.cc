#include "jobs/launch/shared_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>

#include "core/base/temporary_folder.h"

namespace caracal {
namespace {

namespace fs = std::filesystem;

TEST(SharedFolder, LivesAsLongAsItsProcess) {
  const TemporaryFolder parent;
  fs::create_directory(parent.File("caracal-others"));
  // A process that is killed with one.
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const SharedFolder folder(parent.path());
    std::ofstream(folder.path() + "/segment") << "x";
    (void)!write(ready[1], folder.path().data(), folder.path().size());
    pause();
    _exit(1);
  }
  char path[4096] = "";
  ASSERT_GT(read(ready[0], path, sizeof(path) - 1), 0);
  std::optional<SharedFolder> mine(parent.path());
  EXPECT_TRUE(fs::exists(path)) << "its process lives";
  const std::string own = mine->path();
  EXPECT_TRUE(fs::exists(own));
  EXPECT_NE(own, path);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(fs::exists(path));
  {
    const SharedFolder next(parent.path());
    EXPECT_FALSE(fs::exists(path));
    EXPECT_TRUE(fs::exists(own));
    EXPECT_TRUE(fs::exists(parent.File("caracal-others")));
  }
  mine.reset();
  EXPECT_FALSE(fs::exists(own));
  close(ready[0]);
  close(ready[1]);
}

TEST(SharedFolder, ThereMayBeNone) {
  EXPECT_EQ(SharedFolder("/no/such/folder").path(), "");
}

}  // namespace
}  // namespace caracal
