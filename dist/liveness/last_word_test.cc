#include "dist/liveness/last_word.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/status_matchers.h"

namespace caracal {
namespace {

TEST(LastWord, IsTheFirstCallers) {
  ASSERT_OK_AND_ASSIGN(const auto word, LastWord::Create());
  EXPECT_EQ(word->exit_status(), 0);
  EXPECT_TRUE(word->Claim(75));
  EXPECT_FALSE(word->Claim(1));
  EXPECT_EQ(word->exit_status(), 75);
}

TEST(LastWord, IsSharedByProcesses) {
  ASSERT_OK_AND_ASSIGN(const auto word, LastWord::Create());
  const pid_t child = fork();
  if (child == 0) {
    const auto opened = LastWord::Open(getppid(), word->fd());
    _exit(opened.ok() && (*opened)->Claim(3) ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  EXPECT_EQ(word->exit_status(), 3);
  EXPECT_FALSE(word->Claim(4));
}

TEST(LastWord, OfAProcessThatIsGoneThereIsNone) {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_FALSE(LastWord::Open(child, 3).ok());
}

}  // namespace
}  // namespace caracal
