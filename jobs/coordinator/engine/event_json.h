// What happened to a job as JSON, for those who watch.
#ifndef CARACAL_JOBS_COORDINATOR_ENGINE_EVENT_JSON_H_
#define CARACAL_JOBS_COORDINATOR_ENGINE_EVENT_JSON_H_

#include <string>

#include "jobs/coordinator/state/effects.h"

namespace caracal {

// Of kind "state": {"state": "RUNNING", "because": ..., "reason": ...}.
std::string ToJson(const JobTransition& transition);

// Of kind "tuned": {"drop_probability": 0.6, "window": 32, "by": ...}, without
// what was taken back.
std::string ToJson(const JobTuned& tuned);

// Of kind "gang": {"gang": 3, "hosts": ["node1", "node1", "node2"]}, a host for
// each rank.
std::string ToJson(const JobGang& gang);

// Of kind "curriculum": {"stage", "stage_index", "first_step", "steps",
// "because": "schedule", "closed loop" or "tuned", "by", "u", "u_star", "r",
// "values": [{"step", "drop_probability", "window"}, ...]}, with a value where
// it changes. Steps are of the stage, from 1, as in metrics.
std::string ToJson(const CurriculumDecision& decision);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_ENGINE_EVENT_JSON_H_
