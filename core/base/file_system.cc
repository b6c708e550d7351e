#include "core/base/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace caracal {
namespace {

class PosixMappedFile : public MappedFile {
 public:
  PosixMappedFile(void* data, size_t size) : data_(data), size_(size) {}
  ~PosixMappedFile() override {
    if (size_ > 0) munmap(data_, size_);
  }
  const uint8_t* data() const override {
    return static_cast<const uint8_t*>(data_);
  }
  size_t size() const override { return size_; }

 private:
  void* data_;
  size_t size_;
};

// Bytes that ReadFile takes of a device or a pipe.
constexpr size_t kMostOfNoFile = 64 << 20;

// Closes a file descriptor at the end of a scope.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }
  // Closes now, so that a write error that only close reports is seen.
  int Close() {
    const int result = close(fd_);
    fd_ = -1;
    return result;
  }

 private:
  int fd_;
};

absl::Status WriteAll(int fd, absl::string_view contents,
                      const std::string& path) {
  while (!contents.empty()) {
    const ssize_t n = write(fd, contents.data(), contents.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(errno, "write " + path);
    }
    contents.remove_prefix(n);
  }
  return absl::OkStatus();
}

class PosixRandomAccessFile : public RandomAccessFile {
 public:
  PosixRandomAccessFile(int fd, const std::string& path)
      : fd_(fd), path_(path) {}

  absl::StatusOr<size_t> ReadAt(uint64_t offset, size_t bytes,
                                void* out) override {
    size_t done = 0;
    while (done < bytes) {
      const ssize_t n = pread(fd_.get(), static_cast<char*>(out) + done,
                              bytes - done, static_cast<off_t>(offset + done));
      if (n == 0) break;
      if (n < 0) {
        if (errno == EINTR) continue;
        return ErrnoStatus(errno, "read " + path_);
      }
      done += n;
    }
    return done;
  }

  absl::Status WriteAt(uint64_t offset, absl::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = pwrite(fd_.get(), bytes.data(), bytes.size(),
                               static_cast<off_t>(offset));
      if (n < 0) {
        if (errno == EINTR) continue;
        return ErrnoStatus(errno, "write " + path_);
      }
      bytes.remove_prefix(n);
      offset += n;
    }
    return absl::OkStatus();
  }

  absl::StatusOr<uint64_t> Size() override {
    struct stat info;
    if (fstat(fd_.get(), &info) != 0) {
      return ErrnoStatus(errno, "stat " + path_);
    }
    return static_cast<uint64_t>(info.st_size);
  }

  absl::Status Truncate(uint64_t bytes) override {
    if (ftruncate(fd_.get(), static_cast<off_t>(bytes)) != 0) {
      return ErrnoStatus(errno, "truncate " + path_);
    }
    return absl::OkStatus();
  }

  absl::Status Close() override {
    if (fd_.get() >= 0 && fd_.Close() != 0) {
      return ErrnoStatus(errno, "close " + path_);
    }
    return absl::OkStatus();
  }

 private:
  Descriptor fd_;
  const std::string path_;
};

absl::Status SyncPath(const std::string& path, int flags) {
  Descriptor fd(open(path.c_str(), flags | O_CLOEXEC));
  if (fd.get() < 0) return ErrnoStatus(errno, "open " + path);
  // Some file systems can't sync a folder and say EINVAL.
  const bool folder = flags & O_DIRECTORY;
  if (fsync(fd.get()) != 0 && !(folder && errno == EINVAL)) {
    return ErrnoStatus(errno, "fsync " + path);
  }
  return absl::OkStatus();
}

class PosixFileSystem : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<MappedFile>> Map(
      const std::string& path) override {
    Descriptor fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (fd.get() < 0) return ErrnoStatus(errno, "open " + path);
    struct stat info;
    if (fstat(fd.get(), &info) != 0) return ErrnoStatus(errno, "stat " + path);
    if (S_ISDIR(info.st_mode)) {
      return absl::InvalidArgumentError(path + ": is a folder, not a file");
    }
    const size_t size = static_cast<size_t>(info.st_size);
    void* data = nullptr;
    if (size > 0) {
      data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
      if (data == MAP_FAILED) return ErrnoStatus(errno, "mmap " + path);
    }
    return std::unique_ptr<MappedFile>(new PosixMappedFile(data, size));
  }

  absl::StatusOr<std::string> ReadFile(const std::string& path) override {
    Descriptor fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (fd.get() < 0) return ErrnoStatus(errno, "open " + path);
    struct stat info;
    if (fstat(fd.get(), &info) != 0) return ErrnoStatus(errno, "stat " + path);
    // Devices and pipes may have no end.
    const bool endless = !S_ISREG(info.st_mode);
    std::string out;
    char buffer[1 << 16];
    while (true) {
      if (endless && out.size() > kMostOfNoFile) {
        return absl::InvalidArgumentError(absl::StrCat(
            path, ": is no file, and has more than ", kMostOfNoFile, " bytes"));
      }
      const ssize_t n = read(fd.get(), buffer, sizeof(buffer));
      if (n == 0) return out;
      if (n < 0) {
        if (errno == EINTR) continue;
        return ErrnoStatus(errno, "read " + path);
      }
      out.append(buffer, n);
    }
  }

  absl::StatusOr<std::unique_ptr<RandomAccessFile>> Open(
      const std::string& path) override {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return ErrnoStatus(errno, "open " + path);
    std::unique_ptr<RandomAccessFile> file =
        std::make_unique<PosixRandomAccessFile>(fd, path);
    struct stat info;
    if (fstat(fd, &info) != 0) return ErrnoStatus(errno, "stat " + path);
    if (S_ISDIR(info.st_mode)) {
      return absl::InvalidArgumentError(path + ": is a folder, not a file");
    }
    return file;
  }

  absl::StatusOr<std::unique_ptr<RandomAccessFile>> Create(
      const std::string& path) override {
    const int fd =
        open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) return ErrnoStatus(errno, "create " + path);
    return std::unique_ptr<RandomAccessFile>(
        std::make_unique<PosixRandomAccessFile>(fd, path));
  }

  absl::Status WriteFileAtomically(const std::string& path,
                                   absl::string_view contents) override {
    const std::string temp = path + ".tmp";
    Descriptor fd(
        open(temp.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (fd.get() < 0) return ErrnoStatus(errno, "create " + temp);
    absl::Status status = WriteAll(fd.get(), contents, temp);
    if (status.ok() && fd.Close() != 0) {
      status = ErrnoStatus(errno, "close " + temp);
    }
    if (status.ok()) status = CommitFile(temp, path);
    if (!status.ok()) unlink(temp.c_str());
    return status;
  }

  absl::Status CommitFile(const std::string& temp,
                          const std::string& path) override {
    RETURN_IF_ERROR(SyncPath(temp, O_RDONLY));
    if (rename(temp.c_str(), path.c_str()) != 0) {
      return ErrnoStatus(errno, "rename " + temp + " to " + path);
    }
    return SyncPath(FolderOf(path), O_RDONLY | O_DIRECTORY);
  }

  absl::Status Append(const std::string& path,
                      absl::string_view contents) override {
    Descriptor fd(
        open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    if (fd.get() < 0) return ErrnoStatus(errno, "open " + path);
    RETURN_IF_ERROR(WriteAll(fd.get(), contents, path));
    if (fd.Close() != 0) return ErrnoStatus(errno, "close " + path);
    return absl::OkStatus();
  }

  absl::Status Truncate(const std::string& path, uint64_t bytes) override {
    if (truncate(path.c_str(), static_cast<off_t>(bytes)) != 0) {
      return ErrnoStatus(errno, "truncate " + path);
    }
    return absl::OkStatus();
  }

  absl::Status CreateFolder(const std::string& path) override {
    if (IsFolder(path)) return absl::OkStatus();
    const std::string parent = FolderOf(path);
    if (parent != path) RETURN_IF_ERROR(CreateFolder(parent));
    // Somebody else may make it at the same time.
    if (mkdir(path.c_str(), 0755) != 0) {
      const int error = errno;
      if (!IsFolder(path)) return ErrnoStatus(error, "create folder " + path);
    }
    return SyncFolder(parent);
  }

  bool Exists(const std::string& path) override {
    return access(path.c_str(), F_OK) == 0;
  }

  bool IsFolder(const std::string& path) override {
    struct stat info;
    return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
  }

  absl::StatusOr<uint64_t> FileSize(const std::string& path) override {
    struct stat info;
    if (stat(path.c_str(), &info) != 0) {
      return ErrnoStatus(errno, "stat " + path);
    }
    return static_cast<uint64_t>(info.st_size);
  }

  absl::StatusOr<std::vector<std::string>> List(
      const std::string& path) override {
    DIR* folder = opendir(path.c_str());
    if (folder == nullptr) return ErrnoStatus(errno, "list " + path);
    std::vector<std::string> names;
    while (const dirent* entry = readdir(folder)) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(name);
    }
    closedir(folder);
    std::sort(names.begin(), names.end());
    return names;
  }

  absl::Status Remove(const std::string& path) override {
    if (unlink(path.c_str()) != 0 && errno != ENOENT) {
      return ErrnoStatus(errno, "remove " + path);
    }
    return absl::OkStatus();
  }

  absl::Status RemoveFolder(const std::string& path) override {
    if (rmdir(path.c_str()) != 0 && errno != ENOENT) {
      return ErrnoStatus(errno, "remove folder " + path);
    }
    return absl::OkStatus();
  }

  absl::Status SyncFolder(const std::string& path) override {
    return SyncPath(path, O_RDONLY | O_DIRECTORY);
  }
};

}  // namespace

FileSystem* FileSystem::Posix() {
  static PosixFileSystem* const posix = new PosixFileSystem;
  return posix;
}

std::string JoinPath(absl::string_view folder, absl::string_view name) {
  if (folder.empty() || (!name.empty() && name[0] == '/')) {
    return std::string(name);
  }
  if (folder.back() == '/') return absl::StrCat(folder, name);
  return absl::StrCat(folder, "/", name);
}

std::string FolderOf(absl::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == absl::string_view::npos) return ".";
  if (slash == 0) return "/";
  return std::string(path.substr(0, slash));
}

std::string BaseName(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return std::string(slash == absl::string_view::npos ? path
                                                      : path.substr(slash + 1));
}

}  // namespace caracal
