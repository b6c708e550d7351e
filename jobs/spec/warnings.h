// What a valid job is probably not meant to be.
#ifndef CARACAL_JOBS_SPEC_WARNINGS_H_
#define CARACAL_JOBS_SPEC_WARNINGS_H_

#include <string>
#include <vector>

#include "jobs/spec/surroundings.h"
#include "proto/job.pb.h"

namespace caracal {

// One sentence each, beginning with the field's path, for people to read
// before they wait; nothing is refused. None for a job that looks right.
std::vector<std::string> JobWarnings(const proto::Job& expanded,
                                     const JobSurroundings& around);

}  // namespace caracal

#endif  // CARACAL_JOBS_SPEC_WARNINGS_H_
