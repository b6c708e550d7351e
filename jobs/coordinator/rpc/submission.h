// A submitted job, from the wire to what the coordinator takes.
#ifndef CARACAL_JOBS_COORDINATOR_RPC_SUBMISSION_H_
#define CARACAL_JOBS_COORDINATOR_RPC_SUBMISSION_H_

#include <grpcpp/support/status.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "jobs/coordinator/access/rooted_file_system.h"
#include "jobs/coordinator/state/job_record.h"
#include "jobs/model/surroundings_cache.h"
#include "jobs/spec/problem.h"
#include "proto/coordinator.pb.h"

namespace caracal {

// Reads, expands and checks the job, beside its model and data, and fills
// `out` but for the owner. `slots`: of a job that names no threads.
// kInvalidArgument has every problem, a line each, and `problems` gets them as
// well; paths outside of the roots of `files` are among them.
absl::Status ReadSubmission(const proto::SubmitRequest& request, int64_t slots,
                            RootedFileSystem* files,
                            SurroundingsCache* surroundings, JobRequest* out,
                            std::vector<Problem>* problems);

// For the wire: problems as violations of a google.rpc.BadRequest in the
// details.
grpc::Status ToGrpc(const absl::Status& status,
                    const std::vector<Problem>& problems);

// kInvalidArgument for an idempotency key that is too long.
absl::Status CheckKey(const std::string& idempotency_key);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_RPC_SUBMISSION_H_
