// An attribution that a coordinator's workers measure.
#ifndef CARACAL_JOBS_CLIENT_SERVICE_EVALUATE_H_
#define CARACAL_JOBS_CLIENT_SERVICE_EVALUATE_H_

#include <atomic>
#include <vector>

#include "absl/status/statusor.h"
#include "jobs/client/console.h"
#include "jobs/client/service/server_option.h"
#include "proto/evaluation.pb.h"

namespace caracal {

// Creates the evaluation, tells of its progress on console.err, and gives its
// parts, the plan first. A coordinator that goes away is waited for, five
// minutes at a time. When
// `stop` is set it cancels the evaluation: kCancelled. kAborted when it failed
// or somebody else cancelled it.
absl::StatusOr<std::vector<proto::EvaluationPart>> Evaluate(
    const proto::EvaluationSpec& spec, const ServerOption& server,
    const std::atomic<bool>* stop, Console& console);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_SERVICE_EVALUATE_H_
