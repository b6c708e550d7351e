// An open file descriptor, closed at the end of a scope.
#ifndef CARACAL_JOBS_LAUNCH_DESCRIPTOR_H_
#define CARACAL_JOBS_LAUNCH_DESCRIPTOR_H_

#include <unistd.h>

#include <utility>

namespace caracal {

// Owns it. Not thread-safe.
class Descriptor {
 public:
  // -1: none.
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      Close();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Descriptor() { Close(); }

  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  // From now on it is the caller's.
  int Release() { return std::exchange(fd_, -1); }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_LAUNCH_DESCRIPTOR_H_
