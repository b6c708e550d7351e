// Submits many jobs on one connection.
#ifndef CARACAL_JOBS_CLIENT_SERVICE_SUBMIT_ALL_H_
#define CARACAL_JOBS_CLIENT_SERVICE_SUBMIT_ALL_H_

#include <vector>

#include "absl/status/statusor.h"
#include "jobs/client/service/server_option.h"
#include "proto/coordinator.pb.h"

namespace caracal {

// The coordinator stores what comes while it waits for its disk all at once: so
// many calls are under way, not one after the other. Each has its own deadline,
// its error as ServerOption::Call() has it.
inline constexpr int kSubmissionsUnderWay = 64;

// Returns when all are answered, in the order of the requests. Which of them the
// coordinator takes first is not said.
std::vector<absl::StatusOr<proto::SubmitResponse>> SubmitAll(
    const ServerOption& server,
    const std::vector<const proto::SubmitRequest*>& requests);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_SERVICE_SUBMIT_ALL_H_
