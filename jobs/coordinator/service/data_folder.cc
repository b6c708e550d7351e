#include "jobs/coordinator/service/data_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/file_system.h"
#include "core/base/status.h"

namespace caracal {

absl::StatusOr<DataFolder> DataFolder::Open(const std::string& path) {
  FileSystem* const files = FileSystem::Posix();
  const bool fresh = !files->Exists(path);
  RETURN_IF_ERROR(files->CreateFolder(path));
  // What is in it are the jobs of all users; one that was there is as its
  // owner wants it.
  if (fresh && chmod(path.c_str(), 0700) != 0) {
    return ErrnoStatus(errno, "chmod " + path);
  }
  std::error_code error;
  const std::string whole = std::filesystem::canonical(path, error);
  if (error)
    return absl::InternalError(absl::StrCat(path, ": ", error.message()));
  const std::string lock_path = JoinPath(whole, "caracald.lock");
  Descriptor lock(open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock.is_open()) return ErrnoStatus(errno, "open " + lock_path);
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        whole, ": another caracald uses this folder; give --data another one"));
  }
  DataFolder folder(whole, std::move(lock));
  for (const char* name : {"jobs", "gangs", "runs"}) {
    RETURN_IF_ERROR(files->CreateFolder(JoinPath(whole, name)));
  }
  return folder;
}

std::string DataFolder::endpoint() const {
  return JoinPath(path_, "endpoint.json");
}
std::string DataFolder::audit() const { return JoinPath(path_, "audit.jsonl"); }
std::string DataFolder::gangs() const { return JoinPath(path_, "gangs"); }
std::string DataFolder::runs() const { return JoinPath(path_, "runs"); }
std::string DataFolder::job(JobId id) const {
  return absl::StrCat(path_, "/jobs/", id, ".textproto");
}
std::string DataFolder::run(JobId id) const {
  return run_.empty() ? absl::StrCat(path_, "/runs/", id) : run_;
}

}  // namespace caracal
