#include "jobs/convert/same_job.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "jobs/spec/fingerprint.h"
#include "jobs/spec/job_file.h"
#include "jobs/spec/problem.h"

namespace caracal {

absl::Status CheckSameJob(FileSystem* files, const RunFolder& folder,
                          proto::Job* job) {
  if (!files->Exists(folder.job())) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::string text, files->ReadFile(folder.job()));
  std::vector<Problem> problems;
  const proto::Job before = ParseJob(text, folder.job(), nullptr, &problems);
  RETURN_IF_ERROR(ProblemsToStatus(problems, folder.job()));
  // F may have been filled in from the model.
  if (!job->attention().has_features()) {
    job->mutable_attention()->set_features(before.attention().features());
  }
  const std::vector<std::string> differences = JobDifferences(before, *job);
  if (differences.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      folder.path, ": the run there was started with another job: ",
      absl::StrJoin(differences, "; ")));
}

}  // namespace caracal
