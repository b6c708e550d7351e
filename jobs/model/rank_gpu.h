// Which GPU a rank of a gang takes.
#ifndef CARACAL_JOBS_MODEL_RANK_GPU_H_
#define CARACAL_JOBS_MODEL_RANK_GPU_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "dist/gang/gang.h"

namespace caracal {

// Its index among `bus_ids`, the GPUs that this process sees (CudaBusIds()):
// the only one, as where a scheduler gives each rank one, or the one that has
// the rank's number among the ranks of its host. All ranks call; each gets the
// first error by rank: kNotFound where a host has fewer GPUs than ranks,
// kFailedPrecondition where two ranks would share one.
absl::StatusOr<int> GpuOfRank(Gang& gang,
                              const std::vector<std::string>& bus_ids);

}  // namespace caracal

#endif  // CARACAL_JOBS_MODEL_RANK_GPU_H_
