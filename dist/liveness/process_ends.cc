#include "dist/liveness/process_ends.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <limits>
#include <utility>

#include "kernels/common/check.h"

namespace caracal {
namespace {

int OpenPidFd(int pid) {
#ifdef SYS_pidfd_open
  return static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
#else
  errno = ENOSYS;
  return -1;
#endif
}

}  // namespace

ProcessEnds::ProcessEnds(const std::map<int, int>& pids)
    : wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  CARACAL_CHECK(wake_ >= 0) << "eventfd: errno " << errno;
  for (const auto& [name, pid] : pids) {
    const int fd = OpenPidFd(pid);
    if (fd >= 0) {
      watched_[name] = fd;
    } else if (errno == ESRCH) {
      gone_.push_back(name);
    }
  }
}

ProcessEnds::~ProcessEnds() {
  for (const auto& [name, fd] : watched_) close(fd);
  close(wake_);
}

std::vector<int> ProcessEnds::Wait(absl::Duration timeout) {
  if (!gone_.empty()) return std::exchange(gone_, {});
  std::vector<pollfd> polled = {{wake_, POLLIN, 0}};
  std::vector<int> names = {-1};
  for (const auto& [name, fd] : watched_) {
    polled.push_back({fd, POLLIN, 0});
    names.push_back(name);
  }
  // Rounded up: poll's milliseconds would else be waited for in a busy loop.
  const int64_t ms =
      absl::ToInt64Milliseconds(absl::Ceil(timeout, absl::Milliseconds(1)));
  const int bounded = static_cast<int>(
      std::clamp<int64_t>(ms, 0, std::numeric_limits<int>::max()));
  std::vector<int> ended;
  // Interrupted by a signal, it comes back early: as good as a Wake().
  if (poll(polled.data(), polled.size(), bounded) <= 0) {
    return ended;
  }
  if (polled[0].revents != 0) {
    uint64_t count = 0;
    (void)!read(wake_, &count, sizeof(count));
  }
  for (size_t i = 1; i < polled.size(); ++i) {
    if (polled[i].revents == 0) continue;
    ended.push_back(names[i]);
    close(polled[i].fd);
    watched_.erase(names[i]);
  }
  return ended;
}

void ProcessEnds::Wake() {
  const uint64_t one = 1;
  (void)!write(wake_, &one, sizeof(one));
}

}  // namespace caracal
