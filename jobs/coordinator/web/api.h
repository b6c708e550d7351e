// What the page asks for, in JSON.
#ifndef CARACAL_JOBS_COORDINATOR_WEB_API_H_
#define CARACAL_JOBS_COORDINATOR_WEB_API_H_

#include <functional>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/file_system.h"
#include "jobs/coordinator/access/access.h"
#include "jobs/coordinator/access/audit_log.h"
#include "jobs/coordinator/access/rate_limit.h"
#include "jobs/coordinator/engine/coordinator.h"
#include "jobs/coordinator/engine/evaluations.h"
#include "jobs/coordinator/rpc/event_hub.h"
#include "jobs/coordinator/rpc/log_stream.h"
#include "jobs/coordinator/rpc/submitter.h"
#include "jobs/coordinator/web/request.h"

namespace caracal {

// All outlive whoever holds it.
struct WebSources {
  Coordinator* coordinator = nullptr;
  Evaluations* evaluations = nullptr;  // null: none
  EventHub* hub = nullptr;
  Submitter* submitter = nullptr;
  LogFile log_file;
  std::string runs;             // the folder of run folders
  std::string run_folder = "";  // of all jobs, where it is not runs/ID
  FileSystem* files = nullptr;
  Access* access = nullptr;
  AuditLog* audit = nullptr;  // null: nothing is logged
  RateLimit* rate = nullptr;  // of callers, with that of gRPC; null: none
  // Whether calls come in; null: they do.
  std::function<absl::Status()> accepting = nullptr;
  std::optional<absl::Time> certificate_expires = {};  // the server's
};

// Of "/api/jobs/12/logs" 12 and "logs"; none for other paths.
struct JobPath {
  JobId id = 0;
  std::string what;  // "" of "/api/jobs/12"
};
std::optional<JobPath> ParseJobPath(absl::string_view path);

// Thread-safe. Requests that it answers were let through by CheckOrigin; it
// asks Authorize itself.
class WebApi {
 public:
  explicit WebApi(WebSources sources) : sources_(std::move(sources)) {}

  // GET  /api/jobs?state=RUNNING&from=ID&limit=50
  // POST /api/jobs    {"job", "priority", "max_retries", "after",
  //                    "idempotency_key"}
  // GET  /api/jobs/ID
  // GET  /api/jobs/ID/logs?gang=N&offset=BYTES    from the end without these
  // GET  /api/jobs/ID/checkpoints
  // GET  /api/jobs/ID/attribution
  // GET  /api/jobs/ID/report       the page that the job has written
  // POST /api/jobs/ID/cancel
  // POST /api/jobs/ID/resume       {"idempotency_key"}, as of cancel
  //
  // Other fields are refused.
  WebAnswer Handle(const WebRequest& request);

 private:
  WebAnswer Get(const WebRequest& request);
  WebAnswer Post(const WebRequest& request, const Caller& caller);
  WebAnswer List(const WebRequest& request);
  WebAnswer Submit(const WebRequest& request, const Caller& caller);
  WebAnswer Logs(const JobRecord& job, const WebRequest& request);
  WebAnswer Checkpoints(const JobRecord& job);
  WebAnswer File(const JobRecord& job, const char* name, const char* type);
  std::string RunFolder(JobId id) const;
  std::string Metrics(const JobRecord& job) const;

  const WebSources sources_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_WEB_API_H_
