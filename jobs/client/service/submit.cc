#include "jobs/client/service/submit.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "jobs/client/job_option.h"
#include "jobs/client/service/id_check.h"
#include "jobs/client/service/server_option.h"
#include "jobs/client/service/submit_all.h"
#include "jobs/spec/job_file.h"
#include "jobs/spec/problem.h"

namespace caracal {
namespace {

struct SubmitOptions {
  std::vector<std::string> paths;
  JobOption job;  // its overrides: of each
  ServerOption server;
  int64_t priority = 0;
  int64_t max_retries = 3;
  std::vector<uint64_t> after;
  std::string key;
  bool json = false;
};

// Of one file.
struct Submission {
  proto::SubmitRequest request;
  FieldLocations locations;
  absl::StatusOr<proto::SubmitResponse> answer;  // or what is wrong with it
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
absl::Status ReadJob(const SubmitOptions& o, const std::string& path,
                     proto::SubmitRequest* request, FieldLocations* locations) {
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

absl::Status ReadSubmission(const SubmitOptions& o, const std::string& path,
                            Submission* submission) {
  proto::SubmitRequest& request = submission->request;
  request.set_priority(o.priority);
  request.set_max_retries(o.max_retries);
  request.mutable_after()->Add(o.after.begin(), o.after.end());
  request.set_idempotency_key(o.key.empty() ? NewIdempotencyKey() : o.key);
  return ReadJob(o, path, &request, &submission->locations);
}

// What is read is sent, whatever is wrong with other files.
void SendThoseThatAreRead(const SubmitOptions& o,
                          std::vector<Submission>* submissions) {
  std::vector<const proto::SubmitRequest*> requests;
  std::vector<size_t> of;
  for (size_t i = 0; i < submissions->size(); ++i) {
    if (!(*submissions)[i].answer.ok()) continue;
    requests.push_back(&(*submissions)[i].request);
    of.push_back(i);
  }
  auto answers = SubmitAll(o.server, requests);
  for (size_t i = 0; i < answers.size(); ++i) {
    Submission& submission = (*submissions)[of[i]];
    submission.answer = std::move(answers[i]);
    if (!absl::IsInvalidArgument(submission.answer.status())) continue;
    // Told of the whole job, whose lines nobody has seen.
    std::vector<Problem> problems;
    AddCoordinatorsProblems(o, submission.request, submission.locations,
                            &problems);
    const absl::Status status = ProblemsToStatus(problems, o.paths[of[i]]);
    if (!status.ok()) submission.answer = status;
  }
}

// Of several files, each with its own.
absl::Status ErrorOf(const SubmitOptions& o,
                     const std::vector<Submission>& submissions) {
  absl::Status first;
  std::string messages;
  int failed = 0;
  for (size_t i = 0; i < submissions.size(); ++i) {
    const absl::Status& status = submissions[i].answer.status();
    if (status.ok()) continue;
    if (failed++ == 0) first = status;
    const bool named = absl::StartsWith(status.message(), o.paths[i]);
    absl::StrAppend(&messages, "\n", named ? "" : o.paths[i] + ": ",
                    status.message());
  }
  if (failed == 0 || submissions.size() == 1) return first;
  return absl::Status(first.code(),
                      absl::StrCat(failed, " of ", submissions.size(),
                                   " jobs were not taken in", messages));
}

// A job that is known by its key keeps its priority; who asks for another one
// is not to think that it has it.
void TellOtherPriority(const SubmitOptions& o, uint64_t id, Console& console) {
  proto::GetJobRequest request;
  request.set_id(id);
  const absl::StatusOr<proto::JobInfo> job =
      o.server.Call(&proto::Jobs::Stub::Get, request);
  if (!job.ok() || job->priority() == o.priority) return;
  console.err << "caracal: job " << id << ", known by this key, has priority "
              << job->priority() << ", not " << o.priority
              << ": caracal priority " << id << " " << o.priority
              << " changes it\n";
}

void PrintJson(const SubmitOptions& o,
               const std::vector<Submission>& submissions, Console& console) {
  using Json = nlohmann::ordered_json;
  Json jobs = Json::array();
  for (size_t i = 0; i < submissions.size(); ++i) {
    const absl::StatusOr<proto::SubmitResponse>& answer = submissions[i].answer;
    if (submissions.size() == 1) {
      if (answer.ok()) console.out << Json{{"id", answer->id()}}.dump() << "\n";
      return;
    }
    Json job = {{"file", o.paths[i]}};
    if (answer.ok()) job["id"] = answer->id();
    jobs.push_back(std::move(job));
  }
  console.out << Json{{"jobs", std::move(jobs)}}.dump() << "\n";
}

absl::Status Submit(const SubmitOptions& o, Console& console) {
  if (!o.key.empty() && o.paths.size() > 1) {
    return absl::InvalidArgumentError("--key is for one job");
  }
  std::vector<Submission> submissions(o.paths.size());
  for (size_t i = 0; i < o.paths.size(); ++i) {
    const absl::Status read = ReadSubmission(o, o.paths[i], &submissions[i]);
    if (read.ok()) {
      submissions[i].answer = proto::SubmitResponse();
    } else {
      submissions[i].answer = read;
    }
  }
  SendThoseThatAreRead(o, &submissions);
  if (o.json) {
    PrintJson(o, submissions, console);
  } else {
    for (const Submission& submission : submissions) {
      if (submission.answer.ok())
        console.out << submission.answer->id() << "\n";
    }
  }
  if (!o.key.empty() && submissions[0].answer.ok()) {
    TellOtherPriority(o, submissions[0].answer->id(), console);
  }
  return ErrorOf(o, submissions);
}

}  // namespace

CommandBody DeclareSubmit(CLI::App& app) {
  auto o = std::make_shared<SubmitOptions>();
  app.add_option(
         "JOB", o->paths,
         "job files, text format or JSON; several are sent at once, and "
         "their numbers told in the order of the files")
      ->type_name("FILE")
      ->required();
  o->job.DeclareOverrides(app);
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
                 "idempotency key: the same again is the same job, which "
                 "keeps its priority")
      ->type_name("KEY");
  o->server.Declare(app);
  app.add_flag("--json", o->json, "print one JSON object");
  return [o](Console& console) { return Submit(*o, console); };
}

}  // namespace caracal
