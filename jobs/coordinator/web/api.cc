#include "jobs/coordinator/web/api.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/status.h"
#include "core/base/steady_condition.h"
#include "core/base/utf8.h"
#include "core/io/json.h"
#include "jobs/coordinator/engine/checkpoint_list.h"
#include "jobs/coordinator/rpc/submission.h"
#include "jobs/coordinator/state/job_spec.h"
#include "jobs/coordinator/web/guard.h"
#include "jobs/coordinator/web/job_json.h"

namespace caracal {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kPage = 50, kLongestPage = 500;
constexpr uint64_t kLogChunk = 128 << 10;
constexpr uint64_t kLongestFile = 32 << 20;
constexpr size_t kLongestBody = 2 << 20;
// For what is to be durable before it is answered.
constexpr absl::Duration kPatience = absl::Seconds(20);
// A report brings its own styles and pictures, and nothing else.
constexpr char kReportPolicy[] =
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "frame-ancestors 'none'";

WebAnswer Answer(const Json& json, int status = 200) {
  WebAnswer answer;
  answer.status = status;
  answer.body = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  return answer;
}

WebAnswer NoSuchJob(JobId id) {
  return Refusal(absl::NotFoundError(absl::StrCat("there is no job ", id)));
}

WebAnswer NoSuchPath(const WebRequest& request) {
  return Refusal(
      absl::NotFoundError(absl::StrCat("there is no ", request.path)));
}

// Waits for an answer that comes on another thread, and may outlive the wait.
class Reply {
 public:
  void Set(WebAnswer answer) {
    absl::MutexLock lock(&mutex_);
    answer_ = std::move(answer);
    answered_.NotifyAll();
  }
  WebAnswer Await() {
    absl::MutexLock lock(&mutex_);
    const auto there = [this] { return answer_.has_value(); };
    if (answered_.WaitFor(&mutex_, kPatience, there)) {
      return *answer_;
    }
    return Refusal(absl::UnavailableError(
        "the coordinator's disk does not keep up; this may still come about"));
  }

 private:
  absl::Mutex mutex_;
  std::optional<WebAnswer> answer_ ABSL_GUARDED_BY(mutex_);
  SteadyCondition answered_;
};

Coordinator::Reply AnswerTo(std::shared_ptr<Reply> reply) {
  return [reply = std::move(reply)](const absl::Status& status) {
    reply->Set(status.ok() ? Answer(Json::object()) : Refusal(status));
  };
}

// "" is {}.
absl::StatusOr<nlohmann::json> ParseBody(const WebRequest& request) {
  if (request.body.empty()) return nlohmann::json::object();
  absl::StatusOr<nlohmann::json> body =
      ParseBoundedJson(request.body, kLongestBody);
  if (!body.ok() || !body->is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the request is no JSON object", body.ok() ? "" : ": ",
                     body.status().message()));
  }
  return body;
}

// Fields that the body has and nobody reads: a mistyped one is not to be
// without effect.
std::vector<Problem> UnknownFields(
    const nlohmann::json& body, const std::vector<absl::string_view>& known) {
  constexpr size_t kLongest = 80;
  std::vector<Problem> out;
  for (const auto& [name, value] : body.items()) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    out.push_back({AsValidUtf8(absl::string_view(name).substr(0, kLongest)),
                   absl::StrCat("there is no such field; expected ",
                                absl::StrJoin(known, ", ")),
                   ""});
  }
  return out;
}

// A number of the query; `otherwise` when it is not there.
absl::Status ReadNumber(const WebRequest& request, const char* name,
                        uint64_t* out) {
  const std::string text = request.Query(name);
  if (text.empty() || absl::SimpleAtoi(text, out)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(name, ": is '", text, "', expected a number"));
}

// Into the audit log, if there is one.
void Log(AuditLog* audit, const WebRequest& request,
         const std::optional<Caller>& caller, JobId job,
         const absl::Status& outcome) {
  if (audit == nullptr) return;
  audit->Write(
      {.caller = caller.has_value() ? caller->name : "",
       .role = caller.has_value() ? NameOf(caller->role) : "",
       .peer = "page",
       .method = absl::StrCat(request.method, " ", AsValidUtf8(request.path)),
       .job = job,
       .outcome = outcome});
}

// The jobs of "after", as ReadSubmit() has it.
void ReadAfter(const nlohmann::json& after, proto::SubmitRequest* submit,
               std::vector<Problem>* unread) {
  constexpr size_t kLongest = 80;
  const auto refuse = [&](const nlohmann::json& found) {
    const std::string text =
        found.dump(-1, ' ', true, Json::error_handler_t::replace);
    unread->push_back({"after",
                       absl::StrCat("found ", text.substr(0, kLongest),
                                    ", expected numbers of jobs"),
                       ""});
  };
  if (!after.is_array()) return refuse(after);
  for (const nlohmann::json& id : after) {
    if (id.is_number_unsigned()) {
      submit->add_after(id.get<JobId>());
    } else {
      refuse(id);
    }
  }
}

// Fields that there are none of, or of another type than theirs, are left out
// and told in `unread`.
// kInvalidArgument: there is no job to be looked at.
absl::Status ReadSubmit(const WebRequest& request, proto::SubmitRequest* submit,
                        std::vector<Problem>* unread) {
  ASSIGN_OR_RETURN(const nlohmann::json body, ParseBody(request));
  *unread = UnknownFields(
      body, {"job", "priority", "max_retries", "after", "idempotency_key"});
  const JsonFields fields(body);
  RETURN_IF_ERROR(fields.Require("job"));
  RETURN_IF_ERROR(fields.Get("job", submit->mutable_job()));
  RETURN_IF_ERROR(
      fields.Get("idempotency_key", submit->mutable_idempotency_key()));
  const auto number = [&](const char* field) -> std::optional<int64_t> {
    if (fields.Find(field) == nullptr) return std::nullopt;
    int64_t value = 0;
    const absl::Status read = fields.Get(field, &value);
    if (read.ok()) return value;
    // It begins with the field's name.
    absl::string_view why = read.message();
    absl::ConsumePrefix(&why, absl::StrCat(field, " "));
    unread->push_back({field, std::string(why), ""});
    return std::nullopt;
  };
  if (const auto priority = number("priority")) submit->set_priority(*priority);
  if (const auto retries = number("max_retries")) {
    submit->set_max_retries(*retries);
  }
  if (const nlohmann::json* after = fields.Find("after")) {
    ReadAfter(*after, submit, unread);
  }
  return absl::OkStatus();
}

}  // namespace

std::optional<JobPath> ParseJobPath(absl::string_view path) {
  const std::vector<absl::string_view> parts = absl::StrSplit(path, '/');
  JobPath out;
  if (parts.size() < 4 || parts.size() > 5 || parts[1] != "api" ||
      parts[2] != "jobs" || !absl::SimpleAtoi(parts[3], &out.id)) {
    return std::nullopt;
  }
  if (parts.size() == 5) out.what = std::string(parts[4]);
  return out;
}

WebAnswer WebApi::Handle(const WebRequest& request) {
  const bool post = request.method == "POST";
  const absl::StatusOr<Caller> caller = Authorize(
      request, *sources_.access, post ? Role::kSubmitter : Role::kViewer);
  if (!caller.ok()) {
    // Somebody whose role does not suffice is known all the same.
    const auto who = Authorize(request, *sources_.access, Role::kViewer);
    const std::optional<JobPath> path = ParseJobPath(request.path);
    Log(sources_.audit, request,
        who.ok() ? std::make_optional(*who) : std::nullopt,
        path.has_value() ? path->id : 0, caller.status());
    return Refusal(caller.status());
  }
  return post ? Post(request, *caller) : Get(request);
}

WebAnswer WebApi::Get(const WebRequest& request) {
  if (request.path == "/api/jobs") return List(request);
  const std::optional<JobPath> path = ParseJobPath(request.path);
  if (!path.has_value()) return NoSuchPath(request);
  const std::optional<JobRecord> job = sources_.coordinator->Get(path->id);
  if (!job.has_value()) return NoSuchJob(path->id);
  if (path->what.empty()) {
    Json json = ToJson(*job, Metrics(*job));
    json["run_folder"] = RunFolder(job->id);
    json["job"] = AsValidUtf8(SpecText(job->request.spec.str()));
    json["hosts"] = job->hosts;
    const CoordinatorStats stats = sources_.coordinator->Stats();
    json["service"] = {{"slots", stats.slots},
                       {"used_slots", stats.used_slots}};
    json["has_report"] =
        sources_.files->Exists(JoinPath(RunFolder(job->id), "report.html"));
    return Answer(json);
  }
  if (path->what == "logs") return Logs(*job, request);
  if (path->what == "checkpoints") return Checkpoints(*job);
  if (path->what == "attribution") {
    return File(*job, "attribution.json", "application/json");
  }
  if (path->what == "report") {
    WebAnswer answer = File(*job, "report.html", "text/html; charset=utf-8");
    answer.headers.push_back({"Content-Security-Policy", kReportPolicy});
    return answer;
  }
  return NoSuchPath(request);
}

WebAnswer WebApi::Post(const WebRequest& request, const Caller& caller) {
  if (request.path == "/api/jobs") return Submit(request, caller);
  const std::optional<JobPath> path = ParseJobPath(request.path);
  if (!path.has_value()) return NoSuchPath(request);
  if (path->what != "cancel" && path->what != "resume") {
    return NoSuchPath(request);
  }
  const std::optional<JobRecord> job = sources_.coordinator->Get(path->id);
  if (!job.has_value()) return NoSuchJob(path->id);
  if (const absl::Status status = CheckOwner(caller, job->request.owner);
      !status.ok()) {
    Log(sources_.audit, request, caller, path->id, status);
    return Refusal(status);
  }
  const auto reply = std::make_shared<Reply>();
  const Coordinator::Reply answer =
      [audit = sources_.audit, request, caller, id = path->id,
       tell = AnswerTo(reply)](const absl::Status& status) {
        Log(audit, request, caller, id, status);
        tell(status);
      };
  const bool cancels = path->what == "cancel";
  std::string key;
  const absl::Status status = [&]() -> absl::Status {
    if (!cancels && !sources_.run_folder.empty()) {
      return absl::FailedPreconditionError(kResumeByCommand);
    }
    ASSIGN_OR_RETURN(const nlohmann::json body, ParseBody(request));
    RETURN_IF_ERROR(
        ProblemsToStatus(UnknownFields(body, {"idempotency_key"}), "request"));
    RETURN_IF_ERROR(JsonFields(body).Get("idempotency_key", &key));
    return CheckKey(key);
  }();
  if (!status.ok()) return Refusal(status);
  if (cancels) {
    sources_.coordinator->Cancel(path->id, caller.name, answer, key);
  } else {
    sources_.coordinator->Resume(path->id, key, answer);
  }
  return reply->Await();
}

WebAnswer WebApi::List(const WebRequest& request) {
  JobFilter filter;
  uint64_t from = 0, limit = kPage;
  const absl::Status status = [&] {
    RETURN_IF_ERROR(ReadNumber(request, "from", &from));
    RETURN_IF_ERROR(ReadNumber(request, "limit", &limit));
    const std::string name = request.Query("state");
    for (int i = 0; i < kJobStates; ++i) {
      const auto state = static_cast<JobState>(i);
      if (name == NameOf(state)) filter.state = state;
    }
    if (!name.empty() && !filter.state.has_value()) {
      return absl::InvalidArgumentError(
          absl::StrCat("state: is '", name, "', which is none"));
    }
    return absl::OkStatus();
  }();
  if (!status.ok()) return Refusal(status);
  const JobPage page = sources_.coordinator->List(
      filter, from,
      std::clamp<int64_t>(static_cast<int64_t>(limit), 1, kLongestPage));
  const CoordinatorStats stats = sources_.coordinator->Stats();
  Json json = {{"jobs", Json::array()}};
  for (const JobRecord& job : page.jobs) {
    json["jobs"].push_back(ToJson(job, Metrics(job)));
  }
  if (page.next != 0) json["next"] = page.next;
  for (int i = 0; i < kJobStates; ++i) {
    json["counts"][NameOf(static_cast<JobState>(i))] = stats.jobs[i];
  }
  json["slots"] = stats.slots;
  json["used_slots"] = stats.used_slots;
  json["health"] = std::string(sources_.coordinator->Health().message());
  return Answer(json);
}

WebAnswer WebApi::Submit(const WebRequest& request, const Caller& caller) {
  proto::SubmitRequest submit;
  std::vector<Problem> unread;
  const absl::Status status = ReadSubmit(request, &submit, &unread);
  if (!status.ok()) return Refusal(status);
  if (!unread.empty()) {
    // Together with what is wrong with the rest.
    std::vector<Problem> problems;
    absl::Status refused =
        sources_.submitter->Validate(submit, caller.name, &problems);
    if (refused.ok()) {
      problems.insert(problems.begin(), unread.begin(), unread.end());
      refused = ProblemsToStatus(problems, "request");
    }
    Log(sources_.audit, request, caller, 0, refused);
    return Refusal(refused, problems);
  }
  const auto reply = std::make_shared<Reply>();
  sources_.submitter->Submit(
      submit, caller.name,
      [audit = sources_.audit, request, caller, reply](
          const absl::StatusOr<JobId>& id,
          const std::vector<Problem>& problems) {
        Log(audit, request, caller, id.value_or(0), id.status());
        reply->Set(id.ok() ? Answer({{"id", *id}}, 201)
                           : Refusal(id.status(), problems));
      });
  return reply->Await();
}

WebAnswer WebApi::Logs(const JobRecord& job, const WebRequest& request) {
  uint64_t gang = job.epoch, offset = 0;
  const bool tail = request.Query("offset").empty();
  const absl::Status status = [&] {
    RETURN_IF_ERROR(ReadNumber(request, "gang", &gang));
    return ReadNumber(request, "offset", &offset);
  }();
  if (!status.ok()) return Refusal(status);
  Json json = {{"gang", gang}, {"gangs", job.epoch}, {"offset", 0},
               {"next", 0},    {"size", 0},          {"text", ""}};
  if (gang == 0 || gang > job.epoch) return Answer(json);
  // One that has not printed yet, or that is gone, has printed nothing.
  const std::string path = sources_.log_file(job.id, gang);
  const auto size = sources_.files->FileSize(path);
  const auto file = sources_.files->Open(path);
  if (!size.ok() || !file.ok()) return Answer(json);
  if (tail) offset = *size - std::min(*size, kLogChunk);
  std::string text(kLogChunk, '\0');
  const auto got = (*file)->ReadAt(offset, kLogChunk, text.data());
  text.resize(got.ok() ? *got : 0);
  json["offset"] = offset;
  json["next"] = offset + text.size();
  json["size"] = *size;
  json["text"] = AsValidUtf8(text);
  return Answer(json);
}

WebAnswer WebApi::Checkpoints(const JobRecord& job) {
  const auto list = ReadCheckpointList(sources_.files, RunFolder(job.id));
  if (!list.ok()) return Refusal(list.status());
  Json json = {{"checkpoints", Json::array()}, {"best", nullptr}};
  for (const ListedCheckpoint& checkpoint : list->checkpoints) {
    Json entry = {{"step", checkpoint.step}};
    if (checkpoint.problem.empty()) {
      entry["bytes"] = checkpoint.bytes;
      entry["ranks"] = checkpoint.ranks;
    } else {
      entry["problem"] = checkpoint.problem;
    }
    json["checkpoints"].push_back(std::move(entry));
  }
  if (list->best.has_value()) {
    json["best"] = {{"step", list->best->step}, {"score", list->best->score}};
  }
  return Answer(json);
}

WebAnswer WebApi::File(const JobRecord& job, const char* name,
                       const char* type) {
  const std::string path = JoinPath(RunFolder(job.id), name);
  const auto size = sources_.files->FileSize(path);
  if (!size.ok()) {
    return Refusal(absl::NotFoundError(
        absl::StrCat("job ", job.id, " has no ", name, " yet")));
  }
  if (*size > kLongestFile) {
    return Refusal(absl::ResourceExhaustedError(
        absl::StrCat(path, ": has ", *size, " bytes, too many to show")));
  }
  auto text = sources_.files->ReadFile(path);
  if (!text.ok()) return Refusal(text.status());
  WebAnswer answer;
  answer.type = type;
  answer.body = *std::move(text);
  return answer;
}

std::string WebApi::RunFolder(JobId id) const {
  return sources_.run_folder.empty() ? JoinPath(sources_.runs, absl::StrCat(id))
                                     : sources_.run_folder;
}

std::string WebApi::Metrics(const JobRecord& job) const {
  if (job.epoch == 0) return "";
  std::string line = sources_.coordinator->LastMetrics(job.id);
  // Told to a coordinator before this one.
  if (line.empty()) {
    line =
        LastLine(sources_.files, JoinPath(RunFolder(job.id), "metrics.jsonl"));
  }
  return line;
}

}  // namespace caracal
