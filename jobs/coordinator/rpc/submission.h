// A submitted job, from the wire to what the coordinator takes.
#ifndef CARACAL_JOBS_COORDINATOR_RPC_SUBMISSION_H_
#define CARACAL_JOBS_COORDINATOR_RPC_SUBMISSION_H_

#include <grpcpp/support/status.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "jobs/coordinator/access/rooted_file_system.h"
#include "jobs/coordinator/access/slurm_rules.h"
#include "jobs/coordinator/state/job_record.h"
#include "jobs/model/surroundings_cache.h"
#include "jobs/spec/problem.h"
#include "proto/coordinator.pb.h"

namespace caracal {

// Of a coordinator of one run: what it takes in, and what goes on with it.
inline constexpr char kOneJob[] =
    "this coordinator runs the job of its `caracal run` alone; submit to a "
    "caracald";
inline constexpr char kResumeByCommand[] =
    "this coordinator is that of a `caracal run`, and ends with it: go on with "
    "the run by the same command and --resume";
inline constexpr char kNoEvaluations[] =
    "this coordinator runs the job of its `caracal run` alone, and no worker "
    "measures for it: ask a caracald, or leave --server out";

// What problems of a submitted job call it.
inline constexpr char kSubmittedJob[] = "job";

// Reads, expands and checks the job, beside its model and data, and fills
// `out`: the owner apart, and, where there are problems, what depends on the
// job. `slots`: of a job that names no threads. Every problem goes to
// `problems`, paths outside of the roots of `files` and what `slurm` forbids
// among them; errors are those of reading model and data, and of the
// idempotency key.
absl::Status ReadSubmission(const proto::SubmitRequest& request, int64_t slots,
                            const SlurmRules& slurm, RootedFileSystem* files,
                            SurroundingsCache* surroundings, JobRequest* out,
                            std::vector<Problem>* problems);

// For the wire: problems as violations of a google.rpc.BadRequest in the
// details. As many of them as an error has room for; the message says how many
// more there are.
grpc::Status ToGrpc(const absl::Status& status,
                    const std::vector<Problem>& problems);

// kInvalidArgument for an idempotency key that is too long.
absl::Status CheckKey(const std::string& idempotency_key);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_RPC_SUBMISSION_H_
