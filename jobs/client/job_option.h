// JOB and --set, as every command that takes a job has them.
#ifndef CARACAL_JOBS_CLIENT_JOB_OPTION_H_
#define CARACAL_JOBS_CLIENT_JOB_OPTION_H_

#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "proto/job.pb.h"

namespace caracal {

// Outlives the app it is declared on.
struct JobOption {
  std::string path;
  std::vector<std::string> overrides;

  void Declare(CLI::App& app);
  // --set alone, of a command that has its JOBs otherwise.
  void DeclareOverrides(CLI::App& app);
  // The expanded job, checked by itself and against the headers of its model
  // and data.
  absl::StatusOr<proto::Job> Load() const;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_JOB_OPTION_H_
