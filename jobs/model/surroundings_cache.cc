#include "jobs/model/surroundings_cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <memory>

#include "absl/strings/str_cat.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "jobs/model/job_surroundings.h"

namespace caracal {
namespace {

void AppendStat(const struct stat& info, std::string* out) {
  const int64_t words[] = {static_cast<int64_t>(info.st_dev),
                           static_cast<int64_t>(info.st_ino),
                           info.st_size,
                           info.st_mtim.tv_sec,
                           info.st_mtim.tv_nsec,
                           info.st_ctim.tv_sec,
                           info.st_ctim.tv_nsec};
  out->append(reinterpret_cast<const char*>(words), sizeof(words));
}

}  // namespace

SurroundingsCache::SurroundingsCache(FileSystem* files)
    : SurroundingsCache(
          [files](const proto::Job& job, std::vector<Problem>* problems) {
            return ReadAround(job, files, problems);
          }) {}

std::string FileSignature(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return "";
  std::string out;
  AppendStat(info, &out);
  if (!S_ISDIR(info.st_mode)) return out;
  // By their names within the folder: each job asks for all of them.
  DIR* const folder = opendir(path.c_str());
  if (folder == nullptr) return "";
  std::vector<std::string> files;
  while (const dirent* entry = readdir(folder)) {
    const absl::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (fstatat(dirfd(folder), entry->d_name, &info, 0) != 0) continue;
    std::string& file = files.emplace_back(name);
    file.push_back('\0');
    AppendStat(info, &file);
  }
  closedir(folder);
  // A folder's order may change with what is there no longer.
  std::sort(files.begin(), files.end());
  for (const std::string& file : files) out += file;
  return out;
}

absl::Status SurroundingsCache::Check(const proto::Job& job,
                                      std::vector<Problem>* problems) {
  std::string key;
  for (const std::string* path :
       {&job.model().path(), &job.data().path(), &job.data().validation()}) {
    // Before the files are opened: if they change meanwhile, what was read is
    // under a name that nobody asks for again.
    const std::string signature = FileSignature(*path);
    absl::StrAppend(&key, path->size(), ":", *path, signature.size(), ":",
                    signature);
  }
  // Else a job that needs less would speak for this one.
  if (FieldWithText(job) != nullptr) key += "text";
  {
    absl::MutexLock lock(&mutex_);
    const auto found = known_.find(key);
    if (found != known_.end()) {
      CheckSurroundings(job, found->second, problems);
      return absl::OkStatus();
    }
  }
  ASSIGN_OR_RETURN(const std::optional<JobSurroundings> around,
                   reader_(job, problems));
  if (!around.has_value()) return absl::OkStatus();
  CheckSurroundings(job, *around, problems);
  absl::MutexLock lock(&mutex_);
  if (known_.size() >= kMost) known_.clear();
  known_.emplace(std::move(key), *around);
  return absl::OkStatus();
}

}  // namespace caracal
