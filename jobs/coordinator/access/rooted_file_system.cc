#include "jobs/coordinator/access/rooted_file_system.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace caracal {
namespace {

absl::Status ReadsOnly(const std::string& path) {
  return absl::PermissionDeniedError(
      absl::StrCat(path, ": jobs' files are only read"));
}

}  // namespace

absl::StatusOr<std::string> RootedFileSystem::Resolve(
    const std::string& path, std::filesystem::file_type* found) const {
  absl::StatusOr<std::string> whole = roots_.Resolve(path);
  if (!whole.ok()) return Annotate(whole.status(), path);
  std::error_code error;
  const auto kind = std::filesystem::status(*whole, error).type();
  if (kind == std::filesystem::file_type::fifo ||
      kind == std::filesystem::file_type::socket ||
      kind == std::filesystem::file_type::character ||
      kind == std::filesystem::file_type::block) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": is neither a file nor a folder"));
  }
  if (found != nullptr) *found = kind;
  return whole;
}

absl::StatusOr<std::unique_ptr<MappedFile>> RootedFileSystem::Map(
    const std::string& path) {
  ASSIGN_OR_RETURN(const std::string whole, Resolve(path));
  return files_->Map(whole);
}
absl::StatusOr<std::string> RootedFileSystem::ReadFile(
    const std::string& path) {
  ASSIGN_OR_RETURN(const std::string whole, Resolve(path));
  return files_->ReadFile(whole);
}
absl::StatusOr<std::unique_ptr<RandomAccessFile>> RootedFileSystem::Open(
    const std::string& path) {
  ASSIGN_OR_RETURN(const std::string whole, Resolve(path));
  return files_->Open(whole);
}
bool RootedFileSystem::Exists(const std::string& path) {
  // Each submission asks: what was looked at already is not asked for again.
  auto found = std::filesystem::file_type::none;
  return Resolve(path, &found).ok() &&
         found != std::filesystem::file_type::none &&
         found != std::filesystem::file_type::not_found;
}
bool RootedFileSystem::IsFolder(const std::string& path) {
  auto found = std::filesystem::file_type::none;
  return Resolve(path, &found).ok() &&
         found == std::filesystem::file_type::directory;
}
absl::StatusOr<uint64_t> RootedFileSystem::FileSize(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string whole, Resolve(path));
  return files_->FileSize(whole);
}
absl::StatusOr<std::vector<std::string>> RootedFileSystem::List(
    const std::string& path) {
  ASSIGN_OR_RETURN(const std::string whole, Resolve(path));
  return files_->List(whole);
}

absl::StatusOr<std::unique_ptr<RandomAccessFile>> RootedFileSystem::Create(
    const std::string& path) {
  return ReadsOnly(path);
}
absl::Status RootedFileSystem::WriteFileAtomically(const std::string& path,
                                                   absl::string_view) {
  return ReadsOnly(path);
}
absl::Status RootedFileSystem::CommitFile(const std::string&,
                                          const std::string& path) {
  return ReadsOnly(path);
}
absl::Status RootedFileSystem::Append(const std::string& path,
                                      absl::string_view) {
  return ReadsOnly(path);
}
absl::Status RootedFileSystem::Truncate(const std::string& path, uint64_t) {
  return ReadsOnly(path);
}
absl::Status RootedFileSystem::CreateFolder(const std::string& path) {
  return ReadsOnly(path);
}
absl::Status RootedFileSystem::Remove(const std::string& path) {
  return ReadsOnly(path);
}
absl::Status RootedFileSystem::RemoveFolder(const std::string& path) {
  return ReadsOnly(path);
}
absl::Status RootedFileSystem::SyncFolder(const std::string& path) {
  return ReadsOnly(path);
}

}  // namespace caracal
