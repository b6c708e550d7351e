// Whether a job may go on with the run that a folder holds.
#ifndef CARACAL_JOBS_CONVERT_SAME_JOB_H_
#define CARACAL_JOBS_CONVERT_SAME_JOB_H_

#include "absl/status/status.h"
#include "core/base/file_system.h"
#include "jobs/convert/run_folder.h"
#include "proto/job.pb.h"

namespace caracal {

// kFailedPrecondition naming what differs from the job that the run was started
// with. Fills in the features of `job`, which may be the model's to say. OK
// where no job was written: checkpoints say of themselves which job they are
// of. Errors of the job's file.
absl::Status CheckSameJob(FileSystem* files, const RunFolder& folder,
                          proto::Job* job);

}  // namespace caracal

#endif  // CARACAL_JOBS_CONVERT_SAME_JOB_H_
