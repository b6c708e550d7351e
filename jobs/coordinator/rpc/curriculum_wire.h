// Curricula between our types and those of the wire, for both ends of it.
#ifndef CARACAL_JOBS_COORDINATOR_RPC_CURRICULUM_WIRE_H_
#define CARACAL_JOBS_COORDINATOR_RPC_CURRICULUM_WIRE_H_

#include <cstdint>

#include "jobs/curriculum/director.h"
#include "proto/coordinator.pb.h"

namespace caracal {

CurriculumPoint PointFromProto(const proto::DirectRequest& request);
// All but the gang's fields.
proto::DirectRequest ToProto(const CurriculumPoint& point);

// Without the decision: whoever measured makes it out of the place of the loop.
proto::DirectResponse ToProto(const CurriculumWindow& window, uint64_t tunings);
CurriculumWindow WindowFromProto(const proto::DirectResponse& response,
                                 int64_t first_step);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_RPC_CURRICULUM_WIRE_H_
