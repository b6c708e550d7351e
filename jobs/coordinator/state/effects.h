// What is to be done because of an event: by whom the state machine is driven.
#ifndef CARACAL_JOBS_COORDINATOR_STATE_EFFECTS_H_
#define CARACAL_JOBS_COORDINATOR_STATE_EFFECTS_H_

#include <string>
#include <vector>

#include "jobs/coordinator/state/job_record.h"

namespace caracal {

enum class GangOrderKind {
  kStart,  // a gang of this epoch
  kStop,   // ask it to save and end
  kKill,   // end it
  kFind,   // after a restart: tell whether it is there, or how it ended
};

struct GangOrder {
  GangOrderKind kind;
  JobId job = 0;
  uint64_t epoch = 0;
  bool operator==(const GangOrder&) const = default;
};

// A job's change of state, for those who watch.
struct JobTransition {
  JobId job = 0;
  JobState from, to;
  JobCause cause;
  std::string reason;
};

// A line of a gang's metrics.
struct JobMetrics {
  JobId job = 0;
  std::string line;  // a JSON object
};

// What was decided for a job's curriculum, for those who watch.
struct CurriculumDecision {
  JobId job = 0;
  int stage = 0;
  std::string stage_name;
  CurriculumWindow window;
  Tuning tuning;  // that was in force
};
struct JobTuned {
  JobId job = 0;
  Tuning tuning;
};

// A gang that was heard of: where its ranks are.
struct JobGang {
  JobId job = 0;
  uint64_t epoch = 0;
  std::vector<std::string> hosts;  // in the ranks' order
};

// Orders go out only after `saved` and `removed` are durable: a coordinator
// that is killed in between finds what it meant to do.
struct Effects {
  // Whether there is nothing to store, to tell or to do at once.
  bool empty() const {
    return saved.empty() && removed.empty() && orders.empty() &&
           transitions.empty() && gangs.empty() && metrics.empty() &&
           decisions.empty() && tuned.empty();
  }

  std::vector<JobId> saved;       // whose record changed
  std::vector<JobId> progressed;  // whose `progress` alone did: no need to sync
  std::vector<JobId> removed;     // whose record is gone
  std::vector<GangOrder> orders;
  std::vector<JobTransition> transitions;
  std::vector<JobGang> gangs;
  std::vector<JobMetrics> metrics;
  std::vector<CurriculumDecision> decisions;
  std::vector<JobTuned> tuned;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_STATE_EFFECTS_H_
