#include "jobs/client/service/job_list.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "eval/report/text.h"
#include "jobs/client/fact_list.h"
#include "jobs/client/service/id_check.h"
#include "jobs/client/service/job_words.h"
#include "jobs/client/service/server_option.h"
#include "jobs/client/table.h"
#include "proto/evaluation.grpc.pb.h"

namespace caracal {
namespace {

constexpr int32_t kPage = 1000;
constexpr int kNameColumns = 12;

struct LsOptions {
  ServerOption server;
  std::string state, owner;
  int limit = 20;
  bool all = false, json = false;
};

absl::StatusOr<proto::JobState> StateOf(const std::string& name) {
  if (name.empty()) return proto::JOB_STATE_UNSPECIFIED;
  proto::JobState state;
  if (proto::JobState_Parse(absl::AsciiStrToUpper(name), &state) &&
      state != proto::JOB_STATE_UNSPECIFIED) {
    return state;
  }
  std::vector<std::string> names;
  for (int i = proto::JobState_MIN + 1; i <= proto::JobState_MAX; ++i) {
    names.push_back(StateWord(static_cast<proto::JobState>(i)));
  }
  return absl::InvalidArgumentError(absl::StrCat("--state: is '", name,
                                                 "', expected one of ",
                                                 absl::StrJoin(names, ", ")));
}

// "3 min ago by ann"; of the one user of a coordinator that asks nobody, when.
std::string SubmittedWords(const proto::JobInfo& job, absl::Time now) {
  const std::string ago = AgoWords(job.submitted(), now);
  return job.owner() == "local" ? ago : absl::StrCat(ago, " by ", job.owner());
}

// Of one that is queued also what its place is.
std::string ReasonWords(const proto::JobInfo& job) {
  std::vector<std::string> words;
  if (!job.reason().empty()) words.push_back(job.reason());
  if (job.state() == proto::QUEUED) {
    if (job.priority() != 0) {
      words.push_back(absl::StrCat("priority ", job.priority()));
    }
  }
  return absl::StrJoin(words, "; ");
}

absl::Status Ls(const LsOptions& o, Console& console) {
  proto::ListJobsRequest request;
  ASSIGN_OR_RETURN(const proto::JobState state, StateOf(o.state));
  request.set_state(state);
  request.set_owner(o.owner);
  nlohmann::ordered_json jobs = nlohmann::ordered_json::array();
  Table table({{"id", Table::Align::kRight},
               {"name", Table::Align::kLeft, true},
               {"state"},
               {"step"},
               {"submitted"},
               {"reason", Table::Align::kLeft, true}});
  const absl::Time now = Clock::Real()->WallTime();
  int64_t left = o.all ? INT64_MAX : o.limit, shown = 0;
  while (left > 0) {
    request.set_page_size(static_cast<int32_t>(std::min<int64_t>(left, kPage)));
    ASSIGN_OR_RETURN(const proto::ListJobsResponse page,
                     o.server.Call(&proto::Jobs::Stub::List, request));
    for (const proto::JobInfo& job : page.jobs()) {
      ++shown;
      --left;
      if (o.json) {
        jobs.push_back(ToJson(job));
        continue;
      }
      table.AddRow({absl::StrCat(job.id()),
                    job.name(),
                    {StateWord(job.state()), StyleOf(job.state())},
                    ProgressWords(job.progress()),
                    SubmittedWords(job, now),
                    ReasonWords(job)});
    }
    request.set_page_token(page.next_page_token());
    if (page.next_page_token().empty()) break;
  }
  if (o.json) {
    console.out << nlohmann::ordered_json{{"jobs", jobs}}.dump() << "\n";
  } else if (shown == 0) {
    console.out << "no jobs\n";
  } else {
    console.out << table.ToString(console);
    if (!request.page_token().empty()) {
      console.out << "the newest " << shown << "; --all shows all\n";
    }
  }
  return absl::OkStatus();
}

struct StatusOptions {
  ServerOption server;
  uint64_t id = 0;
  bool job = false, json = false;
};

// "3, the newest of step 32, the best of step 24"; "" before the first one.
std::string CheckpointWords(const proto::ListCheckpointsResponse& list) {
  if (list.checkpoints().empty()) return "";
  std::string words =
      absl::StrCat(list.checkpoints_size(), ", the newest of step ",
                   list.checkpoints(0).step());
  if (list.has_best_step()) {
    absl::StrAppend(&words, ", the best of step ", list.best_step());
  }
  for (const proto::CheckpointInfo& checkpoint : list.checkpoints()) {
    if (checkpoint.problem().empty()) continue;
    absl::StrAppend(&words, "; step ", checkpoint.step(), ": ",
                    checkpoint.problem());
  }
  return words;
}

nlohmann::ordered_json JsonOf(const proto::ListCheckpointsResponse& list) {
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  for (const proto::CheckpointInfo& checkpoint : list.checkpoints()) {
    nlohmann::ordered_json json = {{"step", checkpoint.step()}};
    if (checkpoint.problem().empty()) {
      json["bytes"] = checkpoint.bytes();
      json["ranks"] = checkpoint.ranks();
    } else {
      json["problem"] = checkpoint.problem();
    }
    json["best"] =
        list.has_best_step() && list.best_step() == checkpoint.step();
    out.push_back(std::move(json));
  }
  return out;
}

absl::Status Status(const StatusOptions& o, Console& console) {
  proto::GetJobRequest request;
  request.set_id(o.id);
  ASSIGN_OR_RETURN(const proto::JobInfo job,
                   o.server.Call(&proto::Jobs::Stub::Get, request));
  if (o.job) {
    console.out << Printable(job.job());
    return absl::OkStatus();
  }
  proto::ListCheckpointsRequest of_job;
  of_job.set_job(o.id);
  const absl::StatusOr<proto::ListCheckpointsResponse> checkpoints =
      o.server.Call(&proto::Checkpoints::Stub::List, of_job);
  if (o.json) {
    nlohmann::ordered_json json = ToJson(job);
    if (checkpoints.ok()) json["checkpoints"] = JsonOf(*checkpoints);
    json["job"] = job.job();
    console.out << json.dump() << "\n";
    return absl::OkStatus();
  }
  const absl::Time now = Clock::Real()->WallTime();
  console.out << "job " << job.id() << " " << Printable(job.name()) << ": "
              << Styled(StateWord(job.state()), StyleOf(job.state()),
                        console.StyledOut())
              << ", " << AgoWords(job.changed(), now) << "\n";
  FactList facts;
  facts.Add("reason", job.reason());
  facts.Add("step", ProgressWords(job.progress()));
  if (job.has_not_before()) {
    facts.Add("goes on",
              absl::FormatTime("%Y-%m-%d %H:%M:%S", TimeOf(job.not_before()),
                               absl::LocalTimeZone()));
  }
  facts.Add("go on by",
            job.resumable() ? absl::StrCat("caracal resume ", job.id()) : "");
  facts.Add("after", absl::StrJoin(job.after(), ", "));
  facts.Add("submitted",
            absl::StrCat(AgoWords(job.submitted(), now), " by ", job.owner()));
  facts.Add("priority", absl::StrCat(job.priority()));
  facts.Add("slots", absl::StrCat(job.slots()));
  facts.Add("gangs",
            job.gangs() == 0
                ? ""
                : absl::StrCat(job.gangs(), " started, ", job.retries(),
                               " retries since the last step"));
  facts.Add("ranks", HostWords({job.hosts().begin(), job.hosts().end()}));
  facts.Add("checkpoints", checkpoints.ok()
                               ? CheckpointWords(*checkpoints)
                               : std::string(checkpoints.status().message()));
  std::vector<std::string> tuned;
  if (job.has_tuned_drop_probability()) {
    tuned.push_back(absl::StrCat("p = ", job.tuned_drop_probability()));
  }
  if (job.has_tuned_window()) {
    tuned.push_back(absl::StrCat("W = ", job.tuned_window()));
  }
  facts.Add("tuned", absl::StrJoin(tuned, ", "));
  facts.Add("run", job.run_folder());
  console.out << facts.ToString(console, 2, kNameColumns);
  return absl::OkStatus();
}

}  // namespace

CommandBody DeclareLs(CLI::App& app) {
  auto o = std::make_shared<LsOptions>();
  app.add_option("--state", o->state, "only jobs in this state")
      ->type_name("STATE");
  app.add_option("--owner", o->owner, "only jobs of this user")
      ->type_name("NAME");
  app.add_option("--limit", o->limit, "the newest so many")
      ->check(CLI::Range(1, 1 << 30))
      ->capture_default_str();
  app.add_flag("--all", o->all, "all of them");
  o->server.Declare(app);
  app.add_flag("--json", o->json, "print one JSON object");
  return [o](Console& console) { return Ls(*o, console); };
}

CommandBody DeclareStatus(CLI::App& app) {
  auto o = std::make_shared<StatusOptions>();
  app.add_option("ID", o->id, "the job's number")->required()->check(CheckId);
  app.add_flag("--job", o->job, "print the whole job, as it runs");
  o->server.Declare(app);
  app.add_flag("--json", o->json, "print one JSON object");
  return [o](Console& console) { return Status(*o, console); };
}

}  // namespace caracal
