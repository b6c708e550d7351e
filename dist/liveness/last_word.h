// Who of a machine's ranks tells how the gang ends: one.
#ifndef CARACAL_DIST_LIVENESS_LAST_WORD_H_
#define CARACAL_DIST_LIVENESS_LAST_WORD_H_

#include <atomic>
#include <memory>

#include "absl/status/statusor.h"

namespace caracal {

// A word of memory that processes of one machine share: the exit status of the
// gang, 0 as long as nothing is said. It has no name in any file system and
// goes with the last process. Thread-safe.
class LastWord {
 public:
  // Made by one process; open() by others of its user, as long as it lives.
  static absl::StatusOr<std::unique_ptr<LastWord>> Create();
  static absl::StatusOr<std::unique_ptr<LastWord>> Open(int pid, int fd);
  LastWord(const LastWord&) = delete;
  LastWord& operator=(const LastWord&) = delete;
  ~LastWord();

  int fd() const { return fd_; }

  // True for the first caller of all processes, which then speaks.
  // `exit_status` isn't 0.
  bool Claim(int exit_status);
  // 0, or what the first caller gave.
  int exit_status() const { return *word_; }

 private:
  explicit LastWord(int fd) : fd_(fd) {}
  absl::Status Map();

  int fd_ = -1;
  std::atomic<int>* word_ = nullptr;
};

}  // namespace caracal

#endif  // CARACAL_DIST_LIVENESS_LAST_WORD_H_
