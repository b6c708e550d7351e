#include "jobs/data/pipe_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/base/status.h"

namespace caracal {
namespace {

class PipeSource : public ByteSource {
 public:
  PipeSource(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  ~PipeSource() override { close(fd_); }
  PipeSource(const PipeSource&) = delete;
  PipeSource& operator=(const PipeSource&) = delete;

  absl::StatusOr<size_t> Read(char* out, size_t bytes) override {
    while (true) {
      const ssize_t n = read(fd_, out, bytes);
      if (n >= 0) {
        taken_ += n;
        return static_cast<size_t>(n);
      }
      if (errno != EINTR) return ErrnoStatus(errno, "read " + path_);
    }
  }
  int64_t file_bytes() const override { return taken_; }

 private:
  const std::string path_;
  const int fd_;
  int64_t taken_ = 0;
};

}  // namespace

bool IsPipe(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode) &&
         !S_ISDIR(info.st_mode);
}

absl::StatusOr<std::unique_ptr<ByteSource>> OpenPipe(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, "open " + path);
  return std::unique_ptr<ByteSource>(std::make_unique<PipeSource>(path, fd));
}

}  // namespace caracal
