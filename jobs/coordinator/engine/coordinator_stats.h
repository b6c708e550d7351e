// Figures of a coordinator, for those who watch it.
#ifndef CARACAL_JOBS_COORDINATOR_ENGINE_COORDINATOR_STATS_H_
#define CARACAL_JOBS_COORDINATOR_ENGINE_COORDINATOR_STATS_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "jobs/coordinator/state/job_record.h"

namespace caracal {

// Metrics that not every step measures.
inline constexpr std::array<const char*, 2> kNowAndThen = {"validation_loss",
                                                           "r"};

// One gang that holds slots.
struct GangStats {
  JobId job = 0;
  std::string name;
  JobProgress progress;
  // Since it was last heard of, by this process: since that began, at most.
  absl::Duration silent_for = {};
  // The last line of them, a JSON object; "": none yet.
  std::string metrics = {};
  // The last line that has a number for each of kNowAndThen; "": none yet.
  std::array<std::string, kNowAndThen.size()> last_with = {};
};

struct CoordinatorStats {
  std::array<int64_t, kJobStates> jobs = {};  // now, by state
  // Into each state, since this process began.
  std::array<uint64_t, kJobStates> transitions = {};
  int64_t slots = 0, used_slots = 0;
  uint64_t events = 0;  // ever
  std::vector<GangStats> gangs;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_ENGINE_COORDINATOR_STATS_H_
