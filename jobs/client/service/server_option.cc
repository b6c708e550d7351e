#include "jobs/client/service/server_option.h"

#include <chrono>
#include <cstdint>
#include <random>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status.h"
#include "jobs/coordinator/rpc/endpoint.h"
#include "jobs/coordinator/rpc/wire.h"

namespace caracal {
namespace {

constexpr std::chrono::seconds kPatience{30};

}  // namespace

void ServerOption::Declare(CLI::App& app) {
  server = kDefaultAddress;
  app.add_option("--server", server,
                 "the coordinator: HOST:PORT, or the path of its "
                 "endpoint.json")
      ->type_name("SERVER")
      ->envname("CARACAL_SERVER")
      ->capture_default_str();
}

absl::StatusOr<std::unique_ptr<proto::Jobs::Stub>> ServerOption::Connect()
    const {
  Endpoint endpoint{server};
  if (absl::StrContains(server, '/')) {
    ASSIGN_OR_RETURN(endpoint, ReadEndpoint(server));
  }
  return proto::Jobs::NewStub(MakeChannel(endpoint));
}

void ServerOption::SetDeadline(grpc::ClientContext* context) {
  context->set_deadline(std::chrono::system_clock::now() + kPatience);
}

absl::Status ServerOption::Explain(const grpc::Status& status) const {
  const absl::Status plain = FromGrpc(status);
  switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE:
      return absl::UnavailableError(absl::StrCat(
          "no coordinator answers at ", server, " (", status.error_message(),
          "); start one with caracald --data DIR, or say where it is with "
          "--server or CARACAL_SERVER"));
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return absl::UnavailableError(absl::StrCat(
          "the coordinator at ", server, " did not answer in time; try again"));
    default:
      return plain;
  }
}

std::string NewIdempotencyKey() {
  std::random_device device;
  std::string key;
  for (int i = 0; i < 4; ++i) {
    absl::StrAppend(
        &key, absl::Hex(static_cast<uint32_t>(device()), absl::kZeroPad8));
  }
  return key;
}

}  // namespace caracal
