// Jobs and events as the page gets them.
#ifndef CARACAL_JOBS_COORDINATOR_WEB_JOB_JSON_H_
#define CARACAL_JOBS_COORDINATOR_WEB_JOB_JSON_H_

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/strings/string_view.h"
#include "core/base/file_system.h"
#include "jobs/coordinator/state/job_record.h"
#include "jobs/coordinator/store/job_store.h"

namespace caracal {

// Without the job's text. Times are in milliseconds since 1970; `metrics` is
// the last line of them, or null.
nlohmann::ordered_json ToJson(const JobRecord& job, absl::string_view metrics);

// One message of Server-Sent Events: its id is the sequence number, its data
// {"sequence", "time", "kind", "data"} on one line.
std::string ToServerSentEvent(const StoredEvent& event);

// The last whole line of a file that lines are appended to; "" without one.
std::string LastLine(FileSystem* files, const std::string& path);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_WEB_JOB_JSON_H_
