#include "jobs/coordinator/service/data_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/file_system.h"
#include "core/base/status.h"

namespace caracal {

namespace {

// Made if need be; its canonical path.
absl::StatusOr<std::string> Make(const std::string& path) {
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
  return whole;
}

absl::StatusOr<Descriptor> Lock(const std::string& folder,
                                const std::string& option) {
  const std::string path = JoinPath(folder, "caracald.lock");
  Descriptor lock(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock.is_open()) return ErrnoStatus(errno, "open " + path);
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(folder, ": another caracald uses this folder; give ",
                     option, " another one"));
  }
  return lock;
}

// Or not there.
bool IsEmpty(const std::string& folder) {
  const auto held = FileSystem::Posix()->List(folder);
  return !held.ok() || held->empty();
}

// Where the shared folder of the data folder is: `asked`, or as it was.
absl::StatusOr<std::string> SharedOf(const std::string& data,
                                     const std::string& asked) {
  FileSystem* const files = FileSystem::Posix();
  const std::string note = JoinPath(data, "shared");
  std::string before;
  if (files->Exists(note)) {
    ASSIGN_OR_RETURN(before, files->ReadFile(note));
    before = std::string(absl::StripAsciiWhitespace(before));
  }
  if (asked.empty()) return before.empty() ? data : Make(before);
  ASSIGN_OR_RETURN(std::string shared, Make(asked));
  if (before.empty()) before = data;
  if (shared == before) return shared;
  for (const char* name : {"runs", "gangs"}) {
    if (!IsEmpty(JoinPath(before, name))) {
      return absl::FailedPreconditionError(absl::StrCat(
          JoinPath(before, name), ": is not empty, but --shared says that it ",
          "is in ", shared, ": move it there first"));
    }
  }
  if (shared == data) {
    RETURN_IF_ERROR(files->Remove(note));
    return shared;
  }
  RETURN_IF_ERROR(files->WriteFileAtomically(note, shared + "\n"));
  return shared;
}

}  // namespace

absl::StatusOr<DataFolder> DataFolder::Open(const std::string& path,
                                            const std::string& shared) {
  ASSIGN_OR_RETURN(const std::string data, Make(path));
  std::vector<Descriptor> locks;
  ASSIGN_OR_RETURN(locks.emplace_back(), Lock(data, "--data"));
  ASSIGN_OR_RETURN(const std::string other, SharedOf(data, shared));
  if (other != data) {
    ASSIGN_OR_RETURN(locks.emplace_back(), Lock(other, "--shared"));
  }
  for (const char* name : {"jobs", "gangs", "runs"}) {
    RETURN_IF_ERROR(FileSystem::Posix()->CreateFolder(JoinPath(other, name)));
  }
  return DataFolder(data, other, std::move(locks));
}

absl::Status DataFolder::Claim(uint64_t database, bool had_gangs) const {
  FileSystem* const files = FileSystem::Posix();
  const std::string path = JoinPath(shared_, "database");
  const std::string mine = absl::StrCat(database, "\n");
  if (!files->Exists(path)) {
    if (had_gangs && IsEmpty(runs()) && IsEmpty(gangs())) {
      return absl::FailedPreconditionError(absl::StrCat(
          shared_, ": the runs and gangs of ", path_,
          "/coordinator.sqlite are not there: is its file system mounted? "
          "Where they are lost for good, and jobs are to begin again: echo ",
          database, " > ", path));
    }
    return files->WriteFileAtomically(path, mine);
  }
  ASSIGN_OR_RETURN(const std::string whose, files->ReadFile(path));
  if (whose == mine) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      shared_, ": its runs and gangs are those of another database than ",
      path_, "/coordinator.sqlite; put that one back, or use other folders"));
}

JobId DataFolder::FirstFreeJob() const {
  JobId free = 1;
  for (const std::string& folder : {runs(), gangs()}) {
    const auto names = FileSystem::Posix()->List(folder);
    if (!names.ok()) continue;
    for (const std::string& name : *names) {
      JobId job = 0;
      // "12" of a run, "12-3" of a gang.
      if (absl::SimpleAtoi(name.substr(0, name.find('-')), &job)) {
        free = std::max(free, job + 1);
      }
    }
  }
  return free;
}

std::string DataFolder::endpoint() const {
  return JoinPath(shared_, "endpoint.json");
}
std::vector<std::string> DataFolder::endpoints() const {
  std::vector<std::string> out = {endpoint()};
  if (shared_ != path_) out.push_back(JoinPath(path_, "endpoint.json"));
  return out;
}
std::string DataFolder::gang_endpoint() const {
  return JoinPath(path_, "gang_endpoint.json");
}
std::string DataFolder::audit() const { return JoinPath(path_, "audit.jsonl"); }
std::string DataFolder::gangs() const { return JoinPath(shared_, "gangs"); }
std::string DataFolder::runs() const { return JoinPath(shared_, "runs"); }
std::string DataFolder::job(JobId id) const {
  return absl::StrCat(shared_, "/jobs/", id, ".textproto");
}
std::string DataFolder::run(JobId id) const {
  return run_.empty() ? absl::StrCat(shared_, "/runs/", id) : run_;
}

}  // namespace caracal
