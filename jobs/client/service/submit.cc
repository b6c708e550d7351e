#include "jobs/client/service/submit.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "jobs/client/job_option.h"
#include "jobs/client/service/id_check.h"
#include "jobs/client/service/server_option.h"
#include "jobs/spec/job_file.h"
#include "jobs/spec/problem.h"

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

bool Tells(const std::vector<Problem>& problems, const Problem& problem) {
  return std::any_of(problems.begin(), problems.end(), [&](const Problem& p) {
    return p.field == problem.field && p.message == problem.message;
  });
}

// Appends what the coordinator tells that `problems`, which were found here, do
// not. What else it tells of a field follows from what is wrong here, unless it
// tells that as well: then it was asked of what stands in the file.
void AddNewProblems(const std::vector<Problem>& found,
                    std::vector<Problem>* problems) {
  std::vector<Problem> only_here;
  for (const Problem& problem : *problems) {
    if (!Tells(found, problem)) only_here.push_back(problem);
  }
  for (const Problem& problem : found) {
    if (IsAboutSame(only_here, problem.field)) continue;
    if (!Tells(*problems, problem)) problems->push_back(problem);
  }
}

// What the coordinator finds wrong with a request beside `problems`, which were
// found here, in the words of the job file. Where it can't be asked, that.
void AddCoordinatorsProblems(const SubmitOptions& o,
                             const proto::SubmitRequest& request,
                             const FieldLocations& locations,
                             std::vector<Problem>* problems) {
  const absl::StatusOr<proto::ValidateResponse> response =
      o.server.Call(&proto::Jobs::Stub::Validate, request);
  std::vector<Problem> found;
  if (!response.ok()) {
    found.push_back(
        {"",
         absl::StrCat("what the coordinator would say is not known: ",
                      response.status().message()),
         ""});
  } else {
    for (const proto::JobProblem& problem : response->problems()) {
      const std::string field = FieldAsWritten(locations, problem.field());
      found.push_back({field, problem.message(), LocationOf(locations, field)});
    }
  }
  AddNewProblems(found, problems);
}

// Puts the job into the request: whole, with absolute paths. Whether model and
// data are there the coordinator sees: it may be on another machine.
// kInvalidArgument with all that is wrong, whoever finds it.
absl::Status ReadJob(const SubmitOptions& o, proto::SubmitRequest* request,
                     FieldLocations* locations) {
  const std::string& path = o.job.path;
  ASSIGN_OR_RETURN(const std::string text,
                   ReadJobFile(path, FileSystem::Posix()));
  std::vector<Problem> problems;
  ASSIGN_OR_RETURN(const proto::Job job,
                   LoadJobText(text, path, FolderOf(path), o.job.overrides,
                               nullptr, nullptr, &problems, locations));
  if (job.has_name()) request->set_job(JobText(job));
  if (!problems.empty()) {
    AddCoordinatorsProblems(o, *request, *locations, &problems);
  }
  return ProblemsToStatus(problems, path);
}

absl::Status Submit(const SubmitOptions& o, Console& console) {
  proto::SubmitRequest request;
  request.set_priority(o.priority);
  request.set_max_retries(o.max_retries);
  request.mutable_after()->Add(o.after.begin(), o.after.end());
  request.set_idempotency_key(o.key.empty() ? NewIdempotencyKey() : o.key);
  FieldLocations locations;
  RETURN_IF_ERROR(ReadJob(o, &request, &locations));
  const absl::StatusOr<proto::SubmitResponse> response =
      o.server.Call(&proto::Jobs::Stub::Submit, request);
  if (absl::IsInvalidArgument(response.status())) {
    // Told of the whole job, whose lines nobody has seen.
    std::vector<Problem> problems;
    AddCoordinatorsProblems(o, request, locations, &problems);
    RETURN_IF_ERROR(ProblemsToStatus(problems, o.job.path));
  }
  RETURN_IF_ERROR(response.status());
  if (o.json) {
    console.out << nlohmann::ordered_json{{"id", response->id()}}.dump()
                << "\n";
  } else {
    console.out << response->id() << "\n";
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
      ->check(CheckId)
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
