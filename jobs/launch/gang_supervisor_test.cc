#include "jobs/launch/gang_supervisor.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>

#include "core/base/file_system.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"

namespace caracal {
namespace {

TEST(GangEndOf, TellsWhetherToTryAgain) {
  EXPECT_EQ(GangEndOf(absl::OkStatus()), GangEnd::kDone);
  EXPECT_EQ(GangEndOf(absl::CancelledError("")), GangEnd::kStopped);
  EXPECT_EQ(GangEndOf(absl::UnavailableError("")), GangEnd::kLost);
  EXPECT_EQ(GangEndOf(absl::ResourceExhaustedError("")), GangEnd::kLost);
  EXPECT_EQ(GangEndOf(absl::InternalError("")), GangEnd::kFailed);
  EXPECT_EQ(GangEndOf(absl::FailedPreconditionError("")), GangEnd::kFailed);
}

TEST(LastWords, AreTheLastLineOfARank) {
  const TemporaryFolder folder;
  const std::string file = folder.File("output.log");
  EXPECT_EQ(LastWords(file), "");
  FileSystem* const files = FileSystem::Posix();
  ASSERT_OK(files->Append(file, "step 1\n"));
  EXPECT_EQ(LastWords(file), "");
  ASSERT_OK(files->Append(file, "caracal-worker: one\ncaracal-worker: two"));
  EXPECT_EQ(LastWords(file), "two");
  ASSERT_OK(files->Append(file, "\nmpirun has noticed caracal-worker: x\n"));
  EXPECT_EQ(LastWords(file), "two");
  ASSERT_OK(files->Append(file, std::string(1 << 17, 'x')));
  EXPECT_EQ(LastWords(file), "");
}

TEST(SharedFolder, IsRemovedWithWhatItHolds) {
  const TemporaryFolder folder;
  const std::string shared = folder.File("shared");
  ASSERT_EQ(mkdir(shared.c_str(), 0700), 0);
  ASSERT_OK(FileSystem::Posix()->Append(shared + "/segment", "x"));
  RemoveSharedFolder(shared);
  EXPECT_FALSE(FileSystem::Posix()->Exists(shared));
  RemoveSharedFolder(shared);
  EXPECT_NE(SharedFolderOf(1, 2), SharedFolderOf(1, 3));
}

}  // namespace
}  // namespace caracal
