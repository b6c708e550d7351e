// The passes that an attribution takes, in the order in which they are run.
#ifndef CARACAL_EVAL_MEASURE_PASS_LIST_H_
#define CARACAL_EVAL_MEASURE_PASS_LIST_H_

#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "core/model/llama.h"
#include "eval/measure/measure_options.h"
#include "eval/measure/pass.h"
#include "proto/measurement.pb.h"

namespace caracal {

using PassRole = proto::MeasurementPass::Role;

std::vector<std::pair<PassRole, Pass>> PassesOf(const MeasureOptions& options,
                                                const Llama& model);

// Without same_as, which hangs on the rows.
proto::MeasurementPass ToProto(PassRole role, const Pass& pass);
// kInvalidArgument for names that there are not.
absl::StatusOr<Pass> PassFromProto(const proto::MeasurementPass& pass);

}  // namespace caracal

#endif  // CARACAL_EVAL_MEASURE_PASS_LIST_H_
