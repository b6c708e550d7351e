// A submitted job, from the wire to what the coordinator takes.
#ifndef CARACAL_JOBS_COORDINATOR_RPC_SUBMISSION_H_
#define CARACAL_JOBS_COORDINATOR_RPC_SUBMISSION_H_

#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"
#include "jobs/coordinator/access/rooted_file_system.h"
#include "jobs/coordinator/state/job_record.h"
#include "proto/coordinator.pb.h"

namespace caracal {

// Reads, expands and checks the job, beside its model and data, and fills
// `out` but for the owner. `slots`: of all gangs together. INVALID_ARGUMENT has
// every problem, a line each, and as violations of a google.rpc.BadRequest in
// its details; paths outside of the roots of `files` are among them.
grpc::Status ReadSubmission(const proto::SubmitRequest& request, int64_t slots,
                            RootedFileSystem* files, JobRequest* out);

// kInvalidArgument for an idempotency key that is too long.
absl::Status CheckKey(const std::string& idempotency_key);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_RPC_SUBMISSION_H_
