#include "jobs/client/service/evaluation_list.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "jobs/client/service/id_check.h"
#include "jobs/client/service/job_words.h"
#include "jobs/client/service/part_counts.h"
#include "jobs/client/service/server_option.h"
#include "jobs/client/table.h"
#include "proto/evaluation.grpc.pb.h"

namespace caracal {
namespace {

using Stub = proto::Evaluations::Stub;

constexpr int32_t kPage = 1000;

struct ListOptions {
  ServerOption server;
  int limit = 20;
  bool all = false, json = false;
};

// "measuring"; "unknown" for those of a newer coordinator.
std::string StateWord(proto::EvaluationState state) {
  const std::string& name = proto::EvaluationState_Name(state);
  if (name.empty() || state == proto::EVALUATION_STATE_UNSPECIFIED) {
    return "unknown";
  }
  return absl::AsciiStrToLower(absl::StripPrefix(name, "EVALUATION_"));
}

Style StyleOf(proto::EvaluationState state) {
  switch (state) {
    case proto::EVALUATION_SUCCEEDED:
      return Style::kGood;
    case proto::EVALUATION_FAILED:
      return Style::kBad;
    default:
      return Style::kPlain;
  }
}

nlohmann::ordered_json ToJson(const proto::EvaluationInfo& info) {
  const PartCounts counts = CountsOf(info).value_or(PartCounts{});
  return {{"id", info.id()},
          {"owner", info.owner()},
          {"state", StateWord(info.state())},
          {"reason", info.reason()},
          {"model", info.spec().model()},
          {"data", info.spec().data()},
          {"parts", counts.all},
          {"leased", info.leased()},
          {"done", counts.measured},
          {"created", JsonDate(info.created())},
          {"changed", JsonDate(info.changed())}};
}

absl::Status List(const ListOptions& o, Console& console) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  Table table({{"id", Table::Align::kRight},
               {"model", Table::Align::kLeft, true},
               {"state"},
               {"parts"},
               {"measured by"},
               {"created"},
               {"reason", Table::Align::kLeft, true}});
  const absl::Time now = Clock::Real()->WallTime();
  proto::ListEvaluationsRequest request;
  int64_t left = o.all ? INT64_MAX : o.limit;
  bool more = true;
  while (more && left > 0) {
    request.set_page_size(static_cast<int32_t>(std::min<int64_t>(left, kPage)));
    ASSIGN_OR_RETURN(const proto::ListEvaluationsResponse page,
                     o.server.Call(&Stub::List, request));
    for (const proto::EvaluationInfo& info : page.evaluations()) {
      --left;
      const std::optional<PartCounts> counts = CountsOf(info);
      json.push_back(ToJson(info));
      table.AddRow(
          {absl::StrCat(info.id()),
           info.spec().model(),
           {StateWord(info.state()), StyleOf(info.state())},
           counts.has_value() ? absl::StrCat(counts->measured, "/", counts->all)
                              : "",
           info.leased() == 0
               ? ""
               : absl::StrCat(info.leased(),
                              info.leased() == 1 ? " worker" : " workers"),
           AgoWords(info.created(), now),
           info.reason()});
    }
    request.set_page_token(page.next_page_token());
    more = !page.next_page_token().empty();
  }
  if (o.json) {
    console.out << nlohmann::ordered_json{{"evaluations", json}}.dump() << "\n";
  } else if (json.empty()) {
    console.out << "no evaluations\n";
  } else {
    console.out << table.ToString(console);
    if (more)
      console.out << "the newest " << json.size() << "; --all shows all\n";
  }
  return absl::OkStatus();
}

}  // namespace

CommandBody DeclareEvaluationList(CLI::App& app) {
  auto o = std::make_shared<ListOptions>();
  app.add_option("--limit", o->limit, "the newest so many")
      ->check(CLI::Range(1, 1 << 30))
      ->capture_default_str();
  app.add_flag("--all", o->all, "all of them");
  app.add_flag("--json", o->json, "print one JSON object");
  o->server.Declare(app);
  return [o](Console& console) { return List(*o, console); };
}

CommandBody DeclareEvaluationCancel(CLI::App& app) {
  struct Options {
    ServerOption server;
    std::vector<uint64_t> ids;
  };
  auto o = std::make_shared<Options>();
  app.add_option("ID", o->ids, "numbers of evaluations")
      ->required()
      ->check(CheckId);
  o->server.Declare(app);
  return [o](Console&) -> absl::Status {
    for (const uint64_t id : o->ids) {
      proto::CancelEvaluationRequest request;
      request.set_id(id);
      RETURN_IF_ERROR(o->server.Call(&Stub::Cancel, request).status());
    }
    return absl::OkStatus();
  };
}

}  // namespace caracal
