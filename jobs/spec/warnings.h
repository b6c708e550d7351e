// What a valid job is probably not meant to be.
#ifndef CARACAL_JOBS_SPEC_WARNINGS_H_
#define CARACAL_JOBS_SPEC_WARNINGS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "proto/job.pb.h"

namespace caracal {

// What a job meets: its data and its machine.
struct JobSurroundings {
  int64_t rows = 0;     // of the training data
  int64_t seq_len = 0;  // targets used of each
  int cores = 0;        // that this process may use
};

// One sentence each, beginning with the field's path, for people to read
// before they wait; nothing is refused. None for a job that looks right.
std::vector<std::string> JobWarnings(const proto::Job& expanded,
                                     const JobSurroundings& around);

}  // namespace caracal

#endif  // CARACAL_JOBS_SPEC_WARNINGS_H_
