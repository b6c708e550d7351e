#include "jobs/model/surroundings_cache.h"

#include <sys/stat.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "core/io/weight_source.h"
#include "jobs/model/job_surroundings.h"

namespace caracal {
namespace {

std::string StatWords(const struct stat& info) {
  return absl::StrCat(info.st_dev, ".", info.st_ino, ".", info.st_size, ".",
                      info.st_mtim.tv_sec, ".", info.st_mtim.tv_nsec, ".",
                      info.st_ctim.tv_sec, ".", info.st_ctim.tv_nsec);
}

}  // namespace

SurroundingsCache::SurroundingsCache(FileSystem* files)
    : SurroundingsCache(
          [files](const proto::Job& job) -> absl::StatusOr<JobSurroundings> {
            ASSIGN_OR_RETURN(const auto model,
                             OpenModel(job.model().path(), files));
            return ReadSurroundings(job, model->config(), files);
          }) {}

std::string FileSignature(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return "";
  std::string out = StatWords(info);
  if (!S_ISDIR(info.st_mode)) return out;
  const auto names = FileSystem::Posix()->List(path);
  if (!names.ok()) return "";
  for (const std::string& name : *names) {
    if (stat(JoinPath(path, name).c_str(), &info) != 0) continue;
    absl::StrAppend(&out, "/", name, "=", StatWords(info));
  }
  return out;
}

absl::Status SurroundingsCache::Check(const proto::Job& job,
                                      std::vector<Problem>* problems) {
  std::string key;
  for (const std::string* path :
       {&job.model().path(), &job.data().path(), &job.data().validation()}) {
    // Before the files are opened: if they change meanwhile, what was read is
    // under a name that nobody asks for again.
    absl::StrAppend(&key, path->size(), ":", *path, FileSignature(*path), "\n");
  }
  {
    absl::MutexLock lock(&mutex_);
    const auto found = known_.find(key);
    if (found != known_.end()) {
      CheckSurroundings(job, found->second, problems);
      return absl::OkStatus();
    }
  }
  ASSIGN_OR_RETURN(const JobSurroundings around, reader_(job));
  CheckSurroundings(job, around, problems);
  absl::MutexLock lock(&mutex_);
  if (known_.size() >= kMost) known_.clear();
  known_.emplace(std::move(key), around);
  return absl::OkStatus();
}

}  // namespace caracal
