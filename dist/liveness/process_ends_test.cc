#include "dist/liveness/process_ends.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <thread>

namespace caracal {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// A child that waits to be killed.
class Child {
 public:
  Child() : pid_(fork()) {
    while (pid_ == 0) pause();
  }
  ~Child() { Kill(); }
  int pid() const { return pid_; }
  void Kill() {
    if (pid_ > 0) kill(pid_, SIGKILL);
  }
  void Reap() {
    Kill();
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  pid_t pid_;
};

TEST(ProcessEnds, TellsOfEachEndOnce) {
  Child first, second;
  ProcessEnds ends({{3, first.pid()}, {5, second.pid()}});
  EXPECT_THAT(ends.Wait(absl::ZeroDuration()), IsEmpty());
  second.Kill();
  EXPECT_THAT(ends.Wait(absl::InfiniteDuration()), ElementsAre(5));
  EXPECT_THAT(ends.Wait(absl::ZeroDuration()), IsEmpty());
  first.Kill();
  EXPECT_THAT(ends.Wait(absl::InfiniteDuration()), ElementsAre(3));
  first.Reap();
  second.Reap();
}

TEST(ProcessEnds, OneThatIsGoneAlreadyHasEnded) {
  Child child;
  const int pid = child.pid();
  child.Reap();
  ProcessEnds ends(std::map<int, int>{{7, pid}});
  EXPECT_THAT(ends.Wait(absl::InfiniteDuration()), ElementsAre(7));
}

TEST(ProcessEnds, IsWokenByAnotherThread) {
  ProcessEnds ends(std::map<int, int>{});
  std::thread waker([&ends] { ends.Wake(); });
  EXPECT_THAT(ends.Wait(absl::InfiniteDuration()), IsEmpty());
  waker.join();
}

}  // namespace
}  // namespace caracal
