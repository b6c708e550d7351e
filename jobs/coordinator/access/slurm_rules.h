// What jobs may ask of Slurm of this coordinator.
#ifndef CARACAL_JOBS_COORDINATOR_ACCESS_SLURM_RULES_H_
#define CARACAL_JOBS_COORDINATOR_ACCESS_SLURM_RULES_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "jobs/spec/problem.h"
#include "proto/job.pb.h"

namespace caracal {

struct SlurmRules {
  // Whether gangs are Slurm jobs. Where they are not, nothing may be asked.
  bool has_slurm = false;
  // How long before its time limit a gang is asked to save
  // (SlurmOptions::save_before_limit).
  absl::Duration save_before_limit = absl::ZeroDuration();
  // The names that a job may give. None: any; empty: it may give none.
  std::optional<std::vector<std::string>> partitions = {}, accounts = {},
                                          qos = {}, reservations = {};
};

// Appends what these rules forbid of an expanded job. Fields that have a
// problem already are left out.
void CheckSlurmRules(const proto::Job& expanded, const SlurmRules& rules,
                     std::vector<Problem>* problems);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_ACCESS_SLURM_RULES_H_
