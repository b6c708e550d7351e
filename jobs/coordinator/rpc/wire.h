// Between our types and those of the wire (proto/coordinator.proto).
#ifndef CARACAL_JOBS_COORDINATOR_RPC_WIRE_H_
#define CARACAL_JOBS_COORDINATOR_RPC_WIRE_H_

#include <grpcpp/support/status.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "jobs/coordinator/state/job_record.h"
#include "jobs/coordinator/store/job_store.h"
#include "jobs/spec/problem.h"
#include "proto/coordinator.pb.h"

namespace caracal {

// The codes are the same. Text that is not UTF-8 is made so. UNAVAILABLE has a
// google.rpc.Status as details, which gRPC's own has not.
grpc::Status ToGrpc(const absl::Status& status);
absl::Status FromGrpc(const grpc::Status& status);
// Whether there was nobody to answer, rather than a service that can't.
bool IsAway(const grpc::Status& status);

// To the microsecond.
void SetTime(absl::Time time, google::protobuf::Timestamp* out);

proto::JobState ToProto(JobState state);
// None for JOB_STATE_UNSPECIFIED and numbers of newer programs.
std::optional<JobState> FromProto(proto::JobState state);

// Without the job itself and its run folder.
proto::JobInfo ToProto(const JobRecord& job);
proto::JobEvent ToProto(const StoredEvent& event);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_RPC_WIRE_H_
