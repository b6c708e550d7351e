#include "jobs/coordinator/service/service.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/server_builder_option.h>
#include <grpcpp/impl/server_builder_plugin.h>

#include <chrono>
#include <iostream>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "jobs/coordinator/access/access.h"
#include "jobs/coordinator/access/admin_notice.h"
#include "jobs/coordinator/access/token_book.h"
#include "jobs/coordinator/engine/evaluations.h"
#include "jobs/coordinator/rpc/checkpoints_service.h"
#include "jobs/coordinator/rpc/evaluations_service.h"
#include "jobs/coordinator/rpc/event_hub.h"
#include "jobs/coordinator/rpc/gangs_service.h"
#include "jobs/coordinator/rpc/jobs_service.h"
#include "jobs/coordinator/rpc/submission.h"
#include "jobs/coordinator/rpc/tokens_service.h"
#include "jobs/coordinator/service/data_folder.h"
#include "jobs/coordinator/service/gang_orders.h"
#include "jobs/coordinator/service/listener.h"
#include "jobs/coordinator/service/private_socket.h"
#include "jobs/coordinator/store/job_store.h"
#include "jobs/coordinator/web/web_server.h"
#include "jobs/launch/gang_folder.h"
#include "jobs/launch/local_launcher.h"
#include "jobs/launch/slurm/slurm_launcher.h"

namespace caracal {
namespace {

// A job and the metrics of a heartbeat fit in.
constexpr int kLongestRequest = 4 << 20;
constexpr int kKeepAliveMs = 30'000;
constexpr int kMostCalls = 2048;  // at a time, of a connection
constexpr int kHandshakeMs = 10'000;
constexpr std::chrono::seconds kPatience{2};
constexpr auto kFromDescriptor =
    grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD;

// Of "host:0", the port that was given.
std::string AddressOf(const std::string& listen, int port) {
  if (IsUnixAddress(listen)) return listen;
  return absl::StrCat(listen.substr(0, listen.rfind(':') + 1), port);
}

absl::StatusOr<std::unique_ptr<Launcher>> OpenLauncher(
    const ServiceOptions& options, const DataFolder& folder,
    LauncherEvents* events) {
  if (options.make_launcher) {
    return options.make_launcher(folder.gangs(), events);
  }
  if (!options.slurm.has_value()) {
    return LocalLauncher::Open({.gangs_folder = folder.gangs()}, events);
  }
  return SlurmLauncher::Open(
      {.gangs_folder = folder.gangs(), .slurm = *options.slurm}, events);
}

SlurmRules RulesOf(const ServiceOptions& options) {
  SlurmRules rules = options.slurm_rules;
  rules.has_slurm = options.slurm.has_value();
  if (rules.has_slurm) {
    rules.save_before_limit = options.slurm->save_before_limit;
  }
  return rules;
}

// What evaluations may read: what jobs may, and runs.
absl::StatusOr<PathRoots> EvaluationRoots(const ServiceOptions& options,
                                          const std::string& runs) {
  std::vector<std::string> roots = options.security.roots;
  if (!roots.empty()) roots.push_back(runs);
  return PathRoots::Of(roots);
}

// In the log, unless it was the last that was told.
void TellOnce(std::string notice, std::string* told) {
  if (!notice.empty() && notice != *told) {
    std::clog << absl::StrCat("caracald: ", notice, "\n") << std::flush;
  }
  *told = std::move(notice);
}

// Gangs of this machine come by a socket of their own: they need no certificate
// of the server, which may expire while they train. None where clients come
// without one as well, or gangs run elsewhere.
absl::StatusOr<std::optional<PrivateSocket>> GangSocket(
    const ServiceOptions& options, const DataFolder& folder) {
  if (options.security.tls.certificate.empty() || options.slurm.has_value()) {
    return std::nullopt;
  }
  ASSIGN_OR_RETURN(PrivateSocket socket, PrivateSocket::In(folder.path()));
  // Of a coordinator that was killed.
  const auto before = ReadEndpoint(folder.gang_endpoint());
  if (before.ok() && before->address != socket.address()) {
    PrivateSocket::RemoveLeftOver(before->address, folder.path());
  }
  return std::optional<PrivateSocket>(std::move(socket));
}

// Being linked to is enough for gRPC's reflection to be in every server.
class WithoutReflection : public grpc::ServerBuilderOption {
 public:
  void UpdateArguments(grpc::ChannelArguments*) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>*
                         plugins) override {
    std::erase_if(*plugins, [](const auto& plugin) {
      return plugin->name() == "proto_server_reflection";
    });
  }
};

}  // namespace

// Declared in the order in which they need each other.
struct Service::Parts {
  explicit Parts(DataFolder data) : folder(std::move(data)) {}
  // Callers first, then what they call; the launcher before whom it tells.
  ~Parts() {
    web = nullptr;
    listener = nullptr;
    gang_listener = nullptr;
    if (server != nullptr) {
      server->Shutdown(std::chrono::system_clock::now() + kPatience);
      server->Wait();
    }
    if (orders.has_value()) orders->Stop();
    launcher = nullptr;
    if (orders.has_value()) orders->OnRemoved(nullptr);
    housekeeping = nullptr;
    coordinator.reset();
  }

  DataFolder folder;
  std::unique_ptr<JobStore> store;
  std::unique_ptr<Security> security;
  EventHub hub;
  std::optional<GangOrders> orders;
  std::optional<Coordinator> coordinator;
  std::unique_ptr<Launcher> launcher;
  std::optional<JobsService> jobs;
  std::optional<GangsService> gangs;
  std::optional<TokensService> tokens;
  std::optional<Evaluations> evaluations;
  std::optional<EvaluationsService> evaluations_service;
  std::optional<CheckpointsService> checkpoints;
  std::unique_ptr<grpc::Server> server;
  std::optional<PrivateSocket> gang_socket;
  std::unique_ptr<Listener> listener, gang_listener;
  std::optional<TokenBook> web_tokens;  // none: those of `security`
  std::optional<Access> web_access;
  std::unique_ptr<WebServer> web;
  std::unique_ptr<Housekeeping> housekeeping;
};

Service::Service(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Service::~Service() {
  stop_ = true;
  if (ticks_.joinable()) {
    coordinator().WakeTicks();
    ticks_.join();
  }
}

Coordinator& Service::coordinator() { return *parts_->coordinator; }

std::shared_ptr<grpc::Channel> Service::InProcessChannel() {
  return parts_->server->InProcessChannel(grpc::ChannelArguments());
}

absl::StatusOr<std::unique_ptr<Service>> Service::Start(
    const ServiceOptions& options) {
  ASSIGN_OR_RETURN(DataFolder folder, DataFolder::Open(options.data_folder,
                                                       options.shared_folder));
  folder.SetRun(options.run_folder);
  std::unique_ptr<Service> service(
      new Service(std::make_unique<Parts>(std::move(folder))));
  Parts& p = *service->parts_;
  ASSIGN_OR_RETURN(p.store, JobStore::Open(p.folder.path()));
  ASSIGN_OR_RETURN(
      p.security,
      Security::Open(options.security, options.listen, p.folder.audit(),
                     p.store->database(), Clock::Real()));
  const int64_t job_slots = options.job_slots > 0       ? options.job_slots
                            : options.slurm.has_value() ? 1
                                                        : options.limits.slots;
  const SlurmRules slurm_rules = RulesOf(options);
  ASSIGN_OR_RETURN(std::optional<PrivateSocket> gang_socket,
                   GangSocket(options, p.folder));
  if (gang_socket.has_value()) p.gang_socket.emplace(*std::move(gang_socket));
  p.orders.emplace(
      &p.folder, &p.hub,
      GangRules{.slots = job_slots,
                .roots = p.security->files().roots(),
                .slurm = slurm_rules,
                .endpoint =
                    p.gang_socket.has_value() ? p.folder.gang_endpoint() : ""});
  p.coordinator.emplace(options.limits, p.store.get(), Clock::Real(),
                        &*p.orders);
  p.hub.SetReader([&p](auto... arguments) {
    p.coordinator->Events(std::move(arguments)...);
  });
  RETURN_IF_ERROR(p.coordinator->Load());
  RETURN_IF_ERROR(
      p.folder.Claim(p.coordinator->database(), p.coordinator->had_gangs()));
  ASSIGN_OR_RETURN(p.launcher, OpenLauncher(options, p.folder, &*p.orders));
  p.coordinator->NumberFrom(p.folder.FirstFreeJob());
  EvaluationLimits evaluation_limits;
  evaluation_limits.lease = options.evaluation_lease;
  evaluation_limits.retention = options.limits.retention;
  p.evaluations.emplace(evaluation_limits, &*p.coordinator, Clock::Real());
  RETURN_IF_ERROR(p.evaluations->Load(p.store->database()));
  p.security->StoreUseIn(&*p.coordinator);

  const auto gang_folder = [gangs = p.folder.gangs()](const GangId& id) {
    return GangFolder(JoinPath(gangs, ToString(id)));
  };
  const LogFile log_file = [gang_folder](JobId job, uint64_t epoch) {
    return gang_folder({job, epoch}).output();
  };
  const auto gang_files = [gang_folder](const JobRecord& job) {
    GangFiles files;
    for (uint64_t epoch = 1; epoch <= job.epoch; ++epoch) {
      const std::optional<int64_t> bytes = gang_folder({job.id, epoch}).Bytes();
      if (!bytes.has_value()) continue;
      ++files.folders;
      files.bytes += *bytes;
    }
    return files;
  };
  p.jobs.emplace(JobsServiceOptions{.runs = p.folder.runs(),
                                    .gang_files = gang_files,
                                    .run_folder = options.run_folder,
                                    .slots = job_slots,
                                    .slurm = slurm_rules},
                 &*p.coordinator, &p.hub, log_file, &p.security->files(),
                 &p.security->door());
  p.gangs.emplace(
      &*p.coordinator,
      [gang_folder](const GangId& id) {
        return gang_folder(id).ReadCredential();
      },
      &p.security->door());
  p.tokens.emplace(&*p.coordinator, &p.security->tokens(), Clock::Real(),
                   &p.security->door(),
                   p.security->access().HasAdminByCertificate());
  ASSIGN_OR_RETURN(PathRoots roots, EvaluationRoots(options, p.folder.runs()));
  p.evaluations_service.emplace(
      &*p.evaluations, std::move(roots), &p.security->door(),
      options.run_folder.empty() ? "" : kNoEvaluations);
  p.checkpoints.emplace([&p](JobId id) { return p.folder.run(id); },
                        &*p.coordinator, FileSystem::Posix(),
                        &p.security->door());

  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  // Where callers have to say who they are, there is nothing for the others.
  if (!p.security->access().IsOpen()) {
    builder.SetOption(std::make_unique<WithoutReflection>());
  }
  ASSIGN_OR_RETURN(p.listener, Listener::Open(options.listen));
  std::unique_ptr<Listener::Acceptor> acceptor =
      builder.experimental().AddExternalConnectionAcceptor(
          kFromDescriptor, p.security->Credentials());
  std::unique_ptr<Listener::Acceptor> gang_acceptor;
  if (p.gang_socket.has_value()) {
    ASSIGN_OR_RETURN(p.gang_listener, Listener::Open(p.gang_socket->address()));
    gang_acceptor = builder.experimental().AddExternalConnectionAcceptor(
        kFromDescriptor, grpc::InsecureServerCredentials());
  }
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepAliveMs);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMostCalls);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                             kHandshakeMs);
  builder.SetMaxReceiveMessageSize(kLongestRequest);
  builder.RegisterService(&*p.jobs);
  builder.RegisterService(&*p.gangs);
  builder.RegisterService(&*p.tokens);
  builder.RegisterService(&*p.evaluations_service);
  builder.RegisterService(&*p.checkpoints);
  p.server = builder.BuildAndStart();
  if (p.server == nullptr) {
    return absl::InternalError("gRPC can't start its server");
  }
  p.listener->Start(std::move(acceptor));
  if (p.gang_socket.has_value())
    p.gang_listener->Start(std::move(gang_acceptor));
  p.security->TellHealth(p.server->GetHealthCheckService());
  service->endpoint_ =
      p.security->EndpointOn(AddressOf(options.listen, p.listener->port()));
  if (!options.web.empty()) {
    if (!options.web_token.empty()) {
      TokenRecord token;
      token.id = 1;
      token.name = kLocalUser;
      token.role = Role::kAdmin;
      token.hash = HashOfToken(options.web_token);
      p.web_tokens.emplace(std::vector<TokenRecord>{token});
      p.web_access.emplace(AccessOptions{.require_credentials = true},
                           &*p.web_tokens, Clock::Real());
    }
    ASSIGN_OR_RETURN(
        p.web, WebServer::Start(
                   {.listen = options.web},
                   {.coordinator = &*p.coordinator,
                    .evaluations = &*p.evaluations,
                    .hub = &p.hub,
                    .submitter = &p.jobs->submitter(),
                    .log_file = log_file,
                    .runs = p.folder.runs(),
                    .run_folder = options.run_folder,
                    .files = FileSystem::Posix(),
                    .access = p.web_access.has_value() ? &*p.web_access
                                                       : &p.security->access(),
                    .audit = &p.security->audit(),
                    .rate = &p.security->rate(),
                    .accepting = [&p] { return p.listener->Health(); },
                    .certificate_expires = p.security->CertificateExpiry()}));
    service->endpoint_.web = p.web->address();
    p.jobs->SetWeb(p.web->address());
  }
  // What was going on is found again, and acted upon; whoever has called
  // meanwhile is answered.
  p.orders->Start(&*p.coordinator, p.launcher.get());
  HousekeepingOptions housekeeping = options.housekeeping;
  // At the start, when somebody may look, however long it is until then.
  housekeeping.also = [&p, told = std::string(),
                       told_of_certificate = std::string(),
                       ahead = absl::InfiniteDuration()]() mutable {
    TellOnce(p.security->AdminNotice(ahead), &told);
    TellOnce(p.security->CertificateNotice(), &told_of_certificate);
    ahead = kAdminNoticeTime;
    return p.security->UntilLastAdminExpires();
  };
  p.housekeeping = std::make_unique<Housekeeping>(
      std::move(housekeeping), &p.folder, &*p.coordinator, Clock::Real());
  p.orders->OnRemoved([&p] { p.housekeeping->Wake(); });
  p.coordinator->Recover();
  if (options.announce) {
    for (const std::string& path : p.folder.endpoints()) {
      RETURN_IF_ERROR(WriteEndpoint(service->endpoint_, path));
    }
    // Also for gangs that were told it by a coordinator with another start.
    const std::string path = p.folder.gang_endpoint();
    if (p.gang_socket.has_value()) {
      RETURN_IF_ERROR(
          WriteEndpoint({.address = p.gang_socket->address()}, path));
    } else if (FileSystem::Posix()->Exists(path)) {
      RETURN_IF_ERROR(WriteEndpoint(service->endpoint_, path));
    }
  }
  if (!options.public_endpoint.empty()) {
    RETURN_IF_ERROR(
        WritePublicEndpoint(service->endpoint_, options.public_endpoint));
  }
  service->ticks_ = std::thread([s = service.get()] {
    Evaluations& evaluations = *s->parts_->evaluations;
    s->coordinator().TickUntil(
        s->stop_, [&](absl::Duration next) { evaluations.Tick(next); });
  });
  return service;
}

}  // namespace caracal
