// The folders that jobs may read.
#ifndef CARACAL_JOBS_COORDINATOR_ACCESS_PATH_ROOTS_H_
#define CARACAL_JOBS_COORDINATOR_ACCESS_PATH_ROOTS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "jobs/spec/problem.h"
#include "proto/job.pb.h"

namespace caracal {

// Immutable.
class PathRoots {
 public:
  // Every path is inside.
  PathRoots() = default;
  // kInvalidArgument for one that is no folder. None: every path is inside.
  static absl::StatusOr<PathRoots> Of(const std::vector<std::string>& folders);

  bool confines() const { return !roots_.empty(); }

  // The path with all links and dots followed, as far as it exists.
  // kPermissionDenied when that is outside of all roots, or can't be told; the
  // message is the same whether or not something is there.
  absl::StatusOr<std::string> Resolve(const std::string& path) const;

  // kPermissionDenied when the job reads outside of the roots: for the moment
  // of use, after CheckJobPaths.
  absl::Status Check(const proto::Job& job) const;

 private:
  std::vector<std::string> roots_;  // canonical
};

// The fields of a job that are paths: "model.path", ...
const std::vector<std::string>& JobPathFields();

// Replaces what is said about paths outside of the roots by that: what else
// there is to say about them is nobody's business.
void CheckJobPaths(const proto::Job& job, const PathRoots& roots,
                   std::vector<Problem>* problems);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_ACCESS_PATH_ROOTS_H_
