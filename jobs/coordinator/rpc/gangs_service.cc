#include "jobs/coordinator/rpc/gangs_service.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/base/utf8.h"
#include "core/io/json.h"
#include "jobs/coordinator/access/token.h"
#include "jobs/coordinator/rpc/curriculum_wire.h"
#include "jobs/coordinator/rpc/unary.h"
#include "jobs/coordinator/rpc/wire.h"

namespace caracal {
namespace {

// More gangs than run at a time.
constexpr size_t kMostKnown = 4096;
constexpr int kMostLines = 1024;
constexpr size_t kLongestLine = 16 << 10;
constexpr size_t kLongestStage = 64;
constexpr int kMostRanks = 16 << 10;
constexpr size_t kLongestHost = 255;

// Fills the response and ends the call.
template <typename Response>
Coordinator::GangReply FinishWith(grpc::ServerUnaryReactor* reactor,
                                  Response* response) {
  return [reactor, response](const absl::StatusOr<GangAnswer>& answer) {
    if (answer.ok()) {
      response->set_stop(!answer->go_on);
      response->set_lines(static_cast<uint64_t>(answer->lines));
      response->set_tunings(answer->tunings);
    }
    reactor->Finish(ToGrpc(answer.status()));
  };
}

absl::StatusOr<std::vector<std::string>> ReadHosts(
    const proto::RegisterRequest& request) {
  if (request.hosts_size() > kMostRanks) {
    return absl::InvalidArgumentError(
        absl::StrCat("hosts: ", request.hosts_size(),
                     " of them, expected at "
                     "most ",
                     kMostRanks));
  }
  std::vector<std::string> hosts;
  for (const std::string& host : request.hosts()) {
    if (host.size() > kLongestHost) {
      return absl::InvalidArgumentError("hosts: a name is too long");
    }
    hosts.push_back(AsValidUtf8(host));
  }
  return hosts;
}

absl::StatusOr<GangReport> ReadReport(const proto::HeartbeatRequest& request) {
  GangReport report;
  const proto::JobProgress& progress = request.progress();
  if (progress.stage().size() > kLongestStage) {
    return absl::InvalidArgumentError("progress.stage: is too long");
  }
  report.progress = {progress.stage(), progress.global_step(),
                     progress.total_steps()};
  if (request.metrics_size() > kMostLines) {
    return absl::InvalidArgumentError(
        absl::StrCat("metrics: ", request.metrics_size(),
                     " lines, expected at most ", kMostLines));
  }
  report.first = static_cast<int64_t>(request.first_line());
  for (const std::string& line : request.metrics()) {
    const absl::StatusOr<nlohmann::json> json =
        ParseBoundedJson(line, kLongestLine);
    if (!json.ok()) return Annotate(json.status(), "metrics");
    if (!json->is_object()) {
      return absl::InvalidArgumentError("metrics: a line is no JSON object");
    }
    report.lines.push_back(line);
  }
  return report;
}

}  // namespace

absl::Status GangsService::Check(const GangId& id,
                                 const std::string& credential) {
  const auto refuse = [&] {
    return absl::PermissionDeniedError(
        absl::StrCat("this is not the credential of gang ", ToString(id)));
  };
  {
    absl::MutexLock lock(&mutex_);
    const auto known = known_.find(id);
    if (known != known_.end()) {
      return SameSecret(known->second, credential) ? absl::OkStatus()
                                                   : refuse();
    }
  }
  // Whoever asks for what never was learns no more than that.
  absl::StatusOr<std::string> secret = credentials_(id);
  if (!secret.ok() || !SameSecret(*secret, credential)) return refuse();
  absl::MutexLock lock(&mutex_);
  if (known_.size() >= kMostKnown) known_.clear();
  known_.emplace(id, *std::move(secret));
  return absl::OkStatus();
}

template <typename Request>
absl::Status GangsService::Enter(grpc::CallbackServerContext* context,
                                 const char* method, const Request& request) {
  const GangId id = {request.job(), request.epoch()};
  return door_->EnterGang(context, method, ToString(id), id.job,
                          Check(id, request.credential()));
}

grpc::ServerUnaryReactor* GangsService::Register(
    grpc::CallbackServerContext* context, const proto::RegisterRequest* request,
    proto::RegisterResponse* response) {
  const GangId id = {request->job(), request->epoch()};
  if (const absl::Status status = Enter(context, "Gangs.Register", *request);
      !status.ok()) {
    return Answer(context, status);
  }
  const absl::StatusOr<std::vector<std::string>> hosts = ReadHosts(*request);
  if (!hosts.ok()) return Answer(context, hosts.status());
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  coordinator_->Register(id.job, id.epoch, FinishWith(reactor, response),
                         *hosts);
  return reactor;
}

grpc::ServerUnaryReactor* GangsService::Heartbeat(
    grpc::CallbackServerContext* context,
    const proto::HeartbeatRequest* request,
    proto::HeartbeatResponse* response) {
  const GangId id = {request->job(), request->epoch()};
  if (const absl::Status status = Enter(context, "Gangs.Heartbeat", *request);
      !status.ok()) {
    return Answer(context, status);
  }
  const absl::StatusOr<GangReport> report = ReadReport(*request);
  if (!report.ok()) return Answer(context, report.status());
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  coordinator_->Heartbeat(id.job, id.epoch, *report,
                          FinishWith(reactor, response));
  return reactor;
}

grpc::ServerUnaryReactor* GangsService::Direct(
    grpc::CallbackServerContext* context, const proto::DirectRequest* request,
    proto::DirectResponse* response) {
  const GangId id = {request->job(), request->epoch()};
  if (const absl::Status status = Enter(context, "Gangs.Direct", *request);
      !status.ok()) {
    return Answer(context, status);
  }
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  coordinator_->Direct(
      id.job, id.epoch, PointFromProto(*request),
      [reactor, response](const absl::StatusOr<GangDirectives>& answer) {
        if (answer.ok()) *response = ToProto(answer->window, answer->tunings);
        reactor->Finish(ToGrpc(answer.status()));
      });
  return reactor;
}

}  // namespace caracal
