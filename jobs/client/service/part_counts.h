// How far an evaluation is, as people count it.
#ifndef CARACAL_JOBS_CLIENT_SERVICE_PART_COUNTS_H_
#define CARACAL_JOBS_CLIENT_SERVICE_PART_COUNTS_H_

#include <cstdint>
#include <optional>

#include "proto/evaluation.pb.h"

namespace caracal {

// Without the plan, which for the coordinator is the first part.
struct PartCounts {
  int64_t measured = 0, all = 0;
};

// None as long as there is no plan, which says how many there are.
inline std::optional<PartCounts> CountsOf(const proto::EvaluationInfo& info) {
  if (info.parts() <= 1) return std::nullopt;
  return PartCounts{info.done() - 1, info.parts() - 1};
}

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_SERVICE_PART_COUNTS_H_
