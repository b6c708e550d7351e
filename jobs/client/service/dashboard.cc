#include "jobs/client/service/dashboard.h"

#include <memory>
#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "core/base/status.h"
#include "jobs/client/service/server_option.h"

namespace caracal {
namespace {

struct DashboardOptions {
  ServerOption server;
  bool json = false;
};

absl::Status Dashboard(const DashboardOptions& o, Console& console) {
  ASSIGN_OR_RETURN(
      const proto::ServerInfo info,
      o.server.Call(&proto::Jobs::Stub::Info, proto::ServerInfoRequest()));
  if (info.web().empty()) {
    return absl::FailedPreconditionError(
        "this coordinator has no page: it was started with --web '', or is a "
        "`caracal run` without --page");
  }
  const std::string url = "http://" + info.web() + "/";
  if (o.json) {
    console.out << nlohmann::ordered_json{{"url", url}}.dump() << "\n";
  } else {
    console.out << url << "\n";
  }
  return absl::OkStatus();
}

}  // namespace

CommandBody DeclareDashboard(CLI::App& app) {
  auto o = std::make_shared<DashboardOptions>();
  o->server.Declare(app);
  app.add_flag("--json", o->json, "print one JSON object");
  return [o](Console& console) { return Dashboard(*o, console); };
}

}  // namespace caracal
