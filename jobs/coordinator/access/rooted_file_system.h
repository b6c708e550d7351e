// A file system that is not there outside of some folders.
#ifndef CARACAL_JOBS_COORDINATOR_ACCESS_ROOTED_FILE_SYSTEM_H_
#define CARACAL_JOBS_COORDINATOR_ACCESS_ROOTED_FILE_SYSTEM_H_

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/base/file_system.h"
#include "jobs/coordinator/access/path_roots.h"

namespace caracal {

// For reading what callers name. Every path is resolved before it is used, and
// what it was resolved to is used: links that lead out, out of a model's
// folder say, lead nowhere. kPermissionDenied for paths outside of the roots
// and for whatever writes; there, nothing exists. Nor do pipes and devices
// anywhere, which a reader could wait for without end: kInvalidArgument.
class RootedFileSystem : public FileSystem {
 public:
  // `files` outlives it.
  RootedFileSystem(PathRoots roots, FileSystem* files)
      : roots_(std::move(roots)), files_(files) {}

  const PathRoots& roots() const { return roots_; }

  absl::StatusOr<std::unique_ptr<MappedFile>> Map(
      const std::string& path) override;
  absl::StatusOr<std::string> ReadFile(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<RandomAccessFile>> Open(
      const std::string& path) override;
  bool Exists(const std::string& path) override;
  bool IsFolder(const std::string& path) override;
  absl::StatusOr<uint64_t> FileSize(const std::string& path) override;
  absl::StatusOr<std::vector<std::string>> List(
      const std::string& path) override;

  absl::StatusOr<std::unique_ptr<RandomAccessFile>> Create(
      const std::string& path) override;
  absl::Status WriteFileAtomically(const std::string& path,
                                   absl::string_view contents) override;
  absl::Status CommitFile(const std::string& temp,
                          const std::string& path) override;
  absl::Status Append(const std::string& path,
                      absl::string_view contents) override;
  absl::Status Truncate(const std::string& path, uint64_t bytes) override;
  absl::Status CreateFolder(const std::string& path) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status RemoveFolder(const std::string& path) override;
  absl::Status SyncFolder(const std::string& path) override;

 private:
  // `kind`: what is there, or that nothing is.
  absl::StatusOr<std::string> Resolve(
      const std::string& path,
      std::filesystem::file_type* kind = nullptr) const;

  const PathRoots roots_;
  FileSystem* const files_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_ACCESS_ROOTED_FILE_SYSTEM_H_
