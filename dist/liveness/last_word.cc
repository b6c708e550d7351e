#include "dist/liveness/last_word.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace caracal {
namespace {

static_assert(std::atomic<int>::is_always_lock_free,
              "processes share it without a lock");

}  // namespace

absl::StatusOr<std::unique_ptr<LastWord>> LastWord::Create() {
  const int fd = memfd_create("caracal-last-word", MFD_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, "memfd_create");
  std::unique_ptr<LastWord> out(new LastWord(fd));
  if (ftruncate(fd, sizeof(std::atomic<int>)) != 0) {
    return ErrnoStatus(errno, "ftruncate of a memfd");
  }
  RETURN_IF_ERROR(out->Map());
  return out;
}

absl::StatusOr<std::unique_ptr<LastWord>> LastWord::Open(int pid, int fd) {
  const std::string path = absl::StrCat("/proc/", pid, "/fd/", fd);
  const int mine = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (mine < 0) return ErrnoStatus(errno, absl::StrCat("open ", path));
  std::unique_ptr<LastWord> out(new LastWord(mine));
  RETURN_IF_ERROR(out->Map());
  return out;
}

absl::Status LastWord::Map() {
  void* const memory = mmap(nullptr, sizeof(std::atomic<int>),
                            PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  if (memory == MAP_FAILED) return ErrnoStatus(errno, "mmap of a memfd");
  // New memory is 0, and an atomic int is one word: no process constructs it.
  word_ = static_cast<std::atomic<int>*>(memory);
  return absl::OkStatus();
}

LastWord::~LastWord() {
  if (word_ != nullptr) munmap(word_, sizeof(std::atomic<int>));
  close(fd_);
}

bool LastWord::Claim(int exit_status) {
  int nothing = 0;
  return word_->compare_exchange_strong(nothing, exit_status);
}

}  // namespace caracal
