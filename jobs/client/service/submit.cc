#include "jobs/client/service/submit.h"

#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/base/file_system.h"
#include "core/base/status.h"
#include "jobs/client/job_option.h"
#include "jobs/client/service/server_option.h"
#include "jobs/spec/job_file.h"

namespace caracal {
namespace {

struct SubmitOptions {
  JobOption job;
  ServerOption server;
  int64_t priority = 0;
  int64_t max_retries = 3;
  std::vector<uint64_t> after;
  std::string key;
  bool json = false;
};

// Whole, with absolute paths. Whether model and data are there the coordinator
// sees: it may be on another machine.
absl::StatusOr<std::string> JobTextOf(const JobOption& option) {
  ASSIGN_OR_RETURN(const std::string text,
                   ReadJobFile(option.path, FileSystem::Posix()));
  std::vector<Problem> problems;
  ASSIGN_OR_RETURN(const proto::Job job,
                   LoadJobText(text, option.path, FolderOf(option.path),
                               option.overrides, nullptr, nullptr, &problems));
  RETURN_IF_ERROR(ProblemsToStatus(problems, option.path));
  return JobText(job);
}

absl::Status Submit(const SubmitOptions& o, Console& console) {
  proto::SubmitRequest request;
  ASSIGN_OR_RETURN(*request.mutable_job(), JobTextOf(o.job));
  request.set_priority(o.priority);
  request.set_max_retries(o.max_retries);
  request.mutable_after()->Add(o.after.begin(), o.after.end());
  request.set_idempotency_key(o.key.empty() ? NewIdempotencyKey() : o.key);
  ASSIGN_OR_RETURN(const proto::SubmitResponse response,
                   o.server.Call(&proto::Jobs::Stub::Submit, request));
  if (o.json) {
    console.out << nlohmann::ordered_json{{"id", response.id()}}.dump() << "\n";
  } else {
    console.out << response.id() << "\n";
  }
  return absl::OkStatus();
}

}  // namespace

CommandBody DeclareSubmit(CLI::App& app) {
  auto o = std::make_shared<SubmitOptions>();
  o->job.Declare(app);
  app.add_option("--priority", o->priority, "higher goes first")
      ->capture_default_str();
  app.add_option("--after", o->after,
                 "start when this job has succeeded; repeatable")
      ->type_name("ID")
      ->allow_extra_args(false);
  app.add_option("--max-retries", o->max_retries,
                 "failures in a row, of the kind that may pass, without a "
                 "step between them")
      ->capture_default_str();
  app.add_option("--key", o->key,
                 "idempotency key: the same again is the same job")
      ->type_name("KEY");
  o->server.Declare(app);
  app.add_flag("--json", o->json, "print one JSON object");
  return [o](Console& console) { return Submit(*o, console); };
}

}  // namespace caracal
