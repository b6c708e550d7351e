// --server, as every command that talks to a coordinator has it.
#ifndef CARACAL_JOBS_CLIENT_SERVICE_SERVER_OPTION_H_
#define CARACAL_JOBS_CLIENT_SERVICE_SERVER_OPTION_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/coordinator.grpc.pb.h"

namespace caracal {

// Outlives the app it is declared on.
struct ServerOption {
  std::string server;  // host:port, or an endpoint file

  void Declare(CLI::App& app);

  // A stub, not connected yet. Errors of the endpoint file.
  absl::StatusOr<std::unique_ptr<proto::Jobs::Stub>> Connect() const;

  // One call, with a deadline. Errors say who was asked.
  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(
      grpc::Status (proto::Jobs::Stub::*method)(grpc::ClientContext*,
                                                const Request&, Response*),
      const Request& request) const {
    auto stub = Connect();
    if (!stub.ok()) return stub.status();
    grpc::ClientContext context;
    SetDeadline(&context);
    Response response;
    const grpc::Status status =
        ((**stub).*method)(&context, request, &response);
    if (!status.ok()) return Explain(status);
    return response;
  }

  static void SetDeadline(grpc::ClientContext* context);
  // For people: who can't be reached, what to do.
  absl::Status Explain(const grpc::Status& status) const;
};

// A key that nobody else has: the same request again is the same request.
std::string NewIdempotencyKey();

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_SERVICE_SERVER_OPTION_H_
