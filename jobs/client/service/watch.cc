#include "jobs/client/service/watch.h"

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "core/base/status.h"
#include "jobs/client/service/event_reader.h"
#include "jobs/client/service/job_words.h"
#include "jobs/client/service/server_option.h"

namespace caracal {
namespace {

using Json = nlohmann::ordered_json;

struct WatchOptions {
  ServerOption server;
  uint64_t id = 0, after = 0;
  bool json = false;
};

// Whether the job is over with this event.
bool Ends(const proto::JobEvent& event) {
  if (event.kind() != "state") return false;
  const Json data = Json::parse(event.data(), nullptr, false);
  proto::JobState state;
  return data.is_object() && data.contains("state") &&
         data["state"].is_string() &&
         proto::JobState_Parse(data["state"].get<std::string>(), &state) &&
         HasEnded(state);
}

std::string ToJson(const proto::JobEvent& event) {
  Json data = Json::parse(event.data(), nullptr, false);
  return Json{
      {"sequence", event.sequence()},
      {"job", event.job()},
      {"time", absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", TimeOf(event.time()),
                                absl::UTCTimeZone())},
      {"kind", event.kind()},
      {"data", std::move(data)}}
      .dump();
}

absl::Status Watch(const WatchOptions& o, Console& console) {
  // An end that was followed by a resume is not the end.
  proto::GetJobRequest request;
  request.set_id(o.id);
  ASSIGN_OR_RETURN(proto::JobInfo job,
                   o.server.Call(&proto::Jobs::Stub::Get, request));
  return ReadEvents(
      o.server, {.job = o.id, .after = o.after},
      [&](const proto::JobEvent& event) {
        console.out << ToJson(event) << "\n" << std::flush;
        if (!console.out) return false;
        if (!Ends(event)) return true;
        const auto now = o.server.Call(&proto::Jobs::Stub::Get, request);
        return now.ok() && (!HasEnded(now->state()) ||
                            TimeOf(now->changed()) > TimeOf(event.time()));
      });
}

}  // namespace

CommandBody DeclareWatch(CLI::App& app) {
  auto o = std::make_shared<WatchOptions>();
  app.add_option("ID", o->id, "the job's number")->required();
  app.add_option("--after", o->after,
                 "only events after the one of this number")
      ->type_name("SEQUENCE");
  o->server.Declare(app);
  app.add_flag("--json", o->json, "print events as JSON objects, a line each");
  return [o](Console& console) { return Watch(*o, console); };
}

}  // namespace caracal
