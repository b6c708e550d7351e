#include "jobs/client/service/job_changes.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "jobs/client/service/id_check.h"
#include "jobs/client/service/job_words.h"
#include "jobs/client/service/server_option.h"

namespace caracal {
namespace {

struct TuneOptions {
  ServerOption server;
  uint64_t id = 0;
  std::optional<double> drop;
  std::optional<int64_t> window;
  bool clear = false;
};

absl::Status Tune(const TuneOptions& o) {
  if (!o.clear && !o.drop.has_value() && !o.window.has_value()) {
    return absl::InvalidArgumentError(
        "nothing to tune; expected --drop, --window or --clear");
  }
  proto::TuneRequest request;
  request.set_id(o.id);
  request.set_idempotency_key(NewIdempotencyKey());
  if (!o.clear) {
    // What was tuned before and is not named now stays.
    proto::GetJobRequest get;
    get.set_id(o.id);
    ASSIGN_OR_RETURN(const proto::JobInfo job,
                     o.server.Call(&proto::Jobs::Stub::Get, get));
    if (job.has_tuned_drop_probability()) {
      request.set_drop_probability(job.tuned_drop_probability());
    }
    if (job.has_tuned_window()) request.set_window(job.tuned_window());
  }
  if (o.drop.has_value()) request.set_drop_probability(*o.drop);
  if (o.window.has_value()) request.set_window(*o.window);
  return o.server.Call(&proto::Jobs::Stub::Tune, request).status();
}

struct ChangeOptions {
  ServerOption server;
  std::vector<uint64_t> ids;
  int64_t priority = 0;
};

// All of them are tried; every error is told, with the first one's code.
template <typename Change>
absl::Status ForEach(const ChangeOptions& o, Change change) {
  absl::Status status;
  for (const uint64_t id : o.ids) {
    const absl::Status one = change(id);
    if (absl::IsUnavailable(one)) return one;
    if (one.ok()) continue;
    // Those that name the job say which it is.
    const std::string job = absl::StrCat("job ", id);
    const std::string told =
        o.ids.size() == 1 || absl::StrContains(one.message(), job)
            ? std::string(one.message())
            : absl::StrCat(job, ": ", one.message());
    status = status.ok()
                 ? absl::Status(one.code(), told)
                 : absl::Status(status.code(),
                                absl::StrCat(status.message(), "; ", told));
  }
  return status;
}

std::shared_ptr<ChangeOptions> Declare(CLI::App& app) {
  auto o = std::make_shared<ChangeOptions>();
  app.add_option("ID", o->ids, "numbers of jobs")->required()->check(CheckId);
  o->server.Declare(app);
  return o;
}

}  // namespace

CommandBody DeclareCancel(CLI::App& app) {
  const auto o = Declare(app);
  return [o](Console& console) {
    return ForEach(*o, [&](uint64_t id) -> absl::Status {
      proto::CancelJobRequest request;
      request.set_id(id);
      request.set_idempotency_key(NewIdempotencyKey());
      RETURN_IF_ERROR(
          o->server.Call(&proto::Jobs::Stub::Cancel, request).status());
      // One that had ended is as it was, which is not what was asked for.
      proto::GetJobRequest get;
      get.set_id(id);
      ASSIGN_OR_RETURN(const proto::JobInfo job,
                       o->server.Call(&proto::Jobs::Stub::Get, get));
      console.out << "job " << id << " is " << StateWord(job.state()) << "\n";
      return absl::OkStatus();
    });
  };
}

CommandBody DeclareResume(CLI::App& app) {
  const auto o = Declare(app);
  return [o](Console&) {
    return ForEach(*o, [&](uint64_t id) {
      proto::ResumeJobRequest request;
      request.set_id(id);
      request.set_idempotency_key(NewIdempotencyKey());
      return o->server.Call(&proto::Jobs::Stub::Resume, request).status();
    });
  };
}

CommandBody DeclareRm(CLI::App& app) {
  const auto o = Declare(app);
  return [o](Console& console) {
    return ForEach(*o, [&](uint64_t id) -> absl::Status {
      proto::RemoveJobRequest request;
      request.set_id(id);
      ASSIGN_OR_RETURN(const proto::RemoveJobResponse removed,
                       o->server.Call(&proto::Jobs::Stub::Remove, request));
      console.out << RemovalWords(id, removed) << "\n";
      return absl::OkStatus();
    });
  };
}

CommandBody DeclarePriority(CLI::App& app) {
  auto o = std::make_shared<ChangeOptions>();
  o->ids.resize(1);
  app.add_option("ID", o->ids[0], "the job's number")
      ->required()
      ->check(CheckId);
  app.add_option("PRIORITY", o->priority, "higher goes first")->required();
  o->server.Declare(app);
  return [o](Console&) {
    proto::SetPriorityRequest request;
    request.set_id(o->ids[0]);
    request.set_priority(o->priority);
    request.set_idempotency_key(NewIdempotencyKey());
    return o->server.Call(&proto::Jobs::Stub::SetPriority, request).status();
  };
}

CommandBody DeclareTune(CLI::App& app) {
  auto o = std::make_shared<TuneOptions>();
  app.add_option("ID", o->id, "the job's number")->required()->check(CheckId);
  app.add_option("--drop", o->drop,
                 "the drop probability from the next steps on, whatever the "
                 "curriculum says")
      ->type_name("P");
  app.add_option("--window", o->window, "likewise, the window")
      ->type_name("TOKENS");
  app.add_flag("--clear", o->clear,
               "follow the curriculum again, but for what is given beside it");
  o->server.Declare(app);
  return [o](Console&) { return Tune(*o); };
}

}  // namespace caracal
