// All that is wrong with a job before anything is started.
#ifndef CARACAL_JOBS_SPEC_VALIDATE_H_
#define CARACAL_JOBS_SPEC_VALIDATE_H_

#include <vector>

#include "core/base/file_system.h"
#include "jobs/spec/problem.h"
#include "proto/job.pb.h"

namespace caracal {

// Checks an expanded job: ranges, names, fields that exclude or need each
// other, and features that this version does not run. Every problem found is
// appended, with the path of its field.
void ValidateJob(const proto::Job& expanded, std::vector<Problem>* problems);

// Checks that the model and the data are there: the model a file or a folder
// with a config.json, the data files. Paths are taken as they are.
void CheckJobFiles(const proto::Job& expanded, FileSystem* files,
                   std::vector<Problem>* problems);

}  // namespace caracal

#endif  // CARACAL_JOBS_SPEC_VALIDATE_H_
