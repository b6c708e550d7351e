// How every command that talks to a coordinator finds it, and says who calls.
#ifndef CARACAL_JOBS_CLIENT_SERVICE_SERVER_OPTION_H_
#define CARACAL_JOBS_CLIENT_SERVICE_SERVER_OPTION_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "jobs/coordinator/rpc/endpoint.h"
#include "proto/coordinator.grpc.pb.h"

namespace caracal {

// Outlives the app it is declared on.
struct ServerOption {
  std::string server;  // host:port, an endpoint file, or a folder with one
  std::string ca;      // PEM files; "": as the endpoint file says
  std::string certificate, key;
  std::string token_file;  // "": CARACAL_TOKEN, ~/.config/caracal/token, none

  void Declare(CLI::App& app);
  // For commands that can do without: `server` stays empty unless --server is
  // given, whatever the environment says.
  void DeclareOptional(CLI::App& app, const std::string& help);

  // A stub, connected unless that takes long. Errors of the endpoint file and of
  // others, not of a coordinator that is away: calls tell that.
  absl::StatusOr<std::unique_ptr<proto::Jobs::Stub>> Connect() const;

  // One call, with a deadline. Errors say who was asked.
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(
      grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                   Response*),
      const Request& request) const {
    auto channel = Channel();
    if (!channel.ok()) return channel.status();
    grpc::ClientContext context;
    SetDeadline(&context);
    if (absl::Status status = AddToken(&context); !status.ok()) return status;
    Response response;
    Stub stub(*channel);
    const grpc::Status status = (stub.*method)(&context, request, &response);
    if (!status.ok()) return Explain(status);
    return response;
  }

  static void SetDeadline(grpc::ClientContext* context);
  // For calls that are made otherwise: the user's token, if there is one.
  // kFailedPrecondition when it would go over a network without TLS, or lies in
  // a file that others can read.
  absl::Status AddToken(grpc::ClientContext* context) const;
  // For people: who can't be reached, or refuses whom; what to do.
  absl::Status Explain(const grpc::Status& status) const;

 private:
  void DeclareCredentials(CLI::App& app);
  absl::StatusOr<std::shared_ptr<grpc::Channel>> Channel() const;
  absl::StatusOr<Endpoint> FindEndpoint() const;
  absl::StatusOr<ClientIdentity> FindIdentity(const Endpoint& endpoint) const;
  absl::Status ExplainFolder(const std::string& why) const;
  absl::Status ExplainAway(const std::string& why) const;
};

// A key that nobody else has: the same request again is the same request.
std::string NewIdempotencyKey();

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_SERVICE_SERVER_OPTION_H_
