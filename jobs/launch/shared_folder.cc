#include "jobs/launch/shared_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace caracal {
namespace {

namespace fs = std::filesystem;

constexpr char kPrefix[] = "caracal-";
constexpr char kLock[] = "lock";

// A descriptor with the folder's lock; -1: there is none, or another process
// has it.
int TakeLock(const fs::path& folder, int flags) {
  const int fd =
      open((folder / kLock).c_str(), O_RDWR | O_CLOEXEC | flags, 0600);
  if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

// A folder without a lock is one that is just being made, or another's.
void RemoveLeftovers(const std::string& parent) {
  std::error_code error;
  for (fs::directory_iterator entry(parent, error), end; !error && entry != end;
       entry.increment(error)) {
    const fs::path& path = entry->path();
    if (!absl::StartsWith(path.filename().string(), kPrefix)) continue;
    const int lock = TakeLock(path, 0);
    if (lock < 0) continue;
    std::error_code ignored;
    fs::remove_all(path, ignored);
    close(lock);
  }
}

}  // namespace

SharedFolder::SharedFolder(const std::string& parent)
    : path_(absl::StrCat(parent, "/", kPrefix, "XXXXXX")) {
  RemoveLeftovers(parent);
  if (mkdtemp(path_.data()) == nullptr) {
    path_.clear();
  } else {
    lock_ = TakeLock(path_, O_CREAT);
  }
}

SharedFolder::~SharedFolder() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
  if (lock_ >= 0) close(lock_);
}

}  // namespace caracal
