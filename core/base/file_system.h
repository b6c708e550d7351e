// The files of this machine behind an interface, so that tests can inject
// faults (a full disk, a crash between write and fsync).
#ifndef CARACAL_CORE_BASE_FILE_SYSTEM_H_
#define CARACAL_CORE_BASE_FILE_SYSTEM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace caracal {

// A read-only memory map of a whole file. Unmaps on destruction; the bytes
// stay valid that long. Thread-safe.
class MappedFile {
 public:
  virtual ~MappedFile() = default;
  virtual const uint8_t* data() const = 0;
  virtual size_t size() const = 0;  // bytes
};

// One open file, read and written at byte offsets. The destructor closes it
// and drops errors. For one thread at a time.
class RandomAccessFile {
 public:
  virtual ~RandomAccessFile() = default;
  // The number of bytes read: fewer than asked for only at the end of the file.
  virtual absl::StatusOr<size_t> ReadAt(uint64_t offset, size_t bytes,
                                        void* out) = 0;
  // Grows the file where needed. kResourceExhausted when the disk is full.
  virtual absl::Status WriteAt(uint64_t offset, absl::string_view bytes) = 0;
  virtual absl::StatusOr<uint64_t> Size() = 0;
  // Cuts or extends (by zeros) to `bytes`.
  virtual absl::Status Truncate(uint64_t bytes) = 0;
  virtual absl::Status Close() = 0;
};

// Thread-safe. Every error names the path and what was tried.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // The real file system; never destroyed.
  static FileSystem* Posix();

  // kNotFound, kPermissionDenied, kInvalidArgument (a folder), ...
  virtual absl::StatusOr<std::unique_ptr<MappedFile>> Map(
      const std::string& path) = 0;
  virtual absl::StatusOr<std::string> ReadFile(const std::string& path) = 0;

  // For reading only.
  virtual absl::StatusOr<std::unique_ptr<RandomAccessFile>> Open(
      const std::string& path) = 0;
  // For reading and writing; an existing file is emptied.
  virtual absl::StatusOr<std::unique_ptr<RandomAccessFile>> Create(
      const std::string& path) = 0;

  // Writes path + ".tmp", fsyncs, renames over path and fsyncs the folder: a
  // crash leaves the old file or the new one, whole. kResourceExhausted when
  // the disk is full.
  virtual absl::Status WriteFileAtomically(const std::string& path,
                                           absl::string_view contents) = 0;
  // Makes an already written file durable under its final name: fsync(temp),
  // rename(temp, path), fsync(folder).
  virtual absl::Status CommitFile(const std::string& temp,
                                  const std::string& path) = 0;
  // Opens for appending at the end, writes, and closes. Not fsynced.
  virtual absl::Status Append(const std::string& path,
                              absl::string_view contents) = 0;
  // Cuts a file to `bytes`.
  virtual absl::Status Truncate(const std::string& path, uint64_t bytes) = 0;

  // Like mkdir -p; what it creates is durable.
  virtual absl::Status CreateFolder(const std::string& path) = 0;
  virtual bool Exists(const std::string& path) = 0;
  virtual bool IsFolder(const std::string& path) = 0;
  virtual absl::StatusOr<uint64_t> FileSize(const std::string& path) = 0;
  // Names (not paths) in a folder, sorted.
  virtual absl::StatusOr<std::vector<std::string>> List(
      const std::string& path) = 0;
  // OK when the file is not there.
  virtual absl::Status Remove(const std::string& path) = 0;
  // Removes an empty folder; OK when it is not there.
  virtual absl::Status RemoveFolder(const std::string& path) = 0;
  // Makes names created in and removed from a folder durable.
  virtual absl::Status SyncFolder(const std::string& path) = 0;
};

// "a/b" from "a", "b"; an absolute second part wins.
std::string JoinPath(absl::string_view folder, absl::string_view name);
// "a/b" of "a/b/c"; "." where there is no slash.
std::string FolderOf(absl::string_view path);
// "c" of "a/b/c".
std::string BaseName(absl::string_view path);

}  // namespace caracal

#endif  // CARACAL_CORE_BASE_FILE_SYSTEM_H_
