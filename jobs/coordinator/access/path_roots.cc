#include "jobs/coordinator/access/path_roots.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"

namespace caracal {
namespace {

std::vector<std::pair<std::string, std::string>> PathsOf(
    const proto::Job& job) {
  return {{"model.path", job.model().path()},
          {"data.path", job.data().path()},
          {"data.validation", job.data().validation()}};
}

// Of what is left when all links were followed: those that lead to nothing yet.
bool HasLink(std::filesystem::path path) {
  std::error_code error;
  for (; path.has_relative_path(); path = path.parent_path()) {
    if (std::filesystem::is_symlink(
            std::filesystem::symlink_status(path, error))) {
      return true;
    }
  }
  return false;
}

}  // namespace

absl::StatusOr<PathRoots> PathRoots::Of(
    const std::vector<std::string>& folders) {
  PathRoots out;
  for (const std::string& folder : folders) {
    std::error_code error;
    const std::filesystem::path whole =
        std::filesystem::canonical(folder, error);
    if (error || !std::filesystem::is_directory(whole, error)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--root: ", folder, " is no folder"));
    }
    out.roots_.push_back(whole.string());
  }
  return out;
}

absl::StatusOr<std::string> PathRoots::Resolve(const std::string& path) const {
  if (!confines()) return path;
  std::error_code error;
  const std::string whole =
      path.find('\0') != std::string::npos
          ? ""
          : std::filesystem::weakly_canonical(path, error).string();
  for (const std::string& root : roots_) {
    if (error || whole.empty() || HasLink(whole)) break;
    if (whole == root ||
        absl::StartsWith(whole, root == "/" ? root : root + "/")) {
      return whole;
    }
  }
  return absl::PermissionDeniedError(
      absl::StrCat("is outside of the folders that jobs may read here: ",
                   absl::StrJoin(roots_, ", ")));
}

absl::Status PathRoots::Check(const proto::Job& job) const {
  for (const auto& [field, path] : PathsOf(job)) {
    if (path.empty()) continue;
    const absl::Status status = Resolve(path).status();
    if (!status.ok()) return Annotate(status, field);
  }
  return absl::OkStatus();
}

const std::vector<std::string>& JobPathFields() {
  static const auto* const fields = [] {
    auto* names = new std::vector<std::string>;
    for (const auto& [field, path] : PathsOf(proto::Job())) {
      names->push_back(field);
    }
    return names;
  }();
  return *fields;
}

void CheckJobPaths(const proto::Job& job, const PathRoots& roots,
                   std::vector<Problem>* problems) {
  for (const auto& [field, path] : PathsOf(job)) {
    // Of a job that was only half read they may be relative still.
    if (path.empty() || path[0] != '/') continue;
    const absl::Status status = roots.Resolve(path).status();
    if (status.ok()) continue;
    problems->erase(std::remove_if(problems->begin(), problems->end(),
                                   [name = &field](const Problem& problem) {
                                     return problem.field == *name;
                                   }),
                    problems->end());
    problems->push_back({field, std::string(status.message()), ""});
  }
}

}  // namespace caracal
