// What no client of ours would send, to a coordinator that runs: messages that
// are none, are too long, or go to methods that there are not. All have to be
// answered by errors.
//
//   hostile_client ENDPOINT_JSON CA_PEM <token
#include <chrono>
#include <iostream>
#include <random>
#include <string>

#include "core/base/file_system.h"
#include "core/base/status.h"
#include "jobs/coordinator/rpc/endpoint.h"
#include "jobs/coordinator/rpc/testing/raw_call.h"
#include "kernels/common/check.h"

namespace caracal {
namespace {

using grpc::StatusCode;

constexpr char kService[] = "/caracal.proto.";
constexpr const char* kMethods[] = {
    "Jobs/Submit",          "Jobs/Tune",
    "Jobs/Watch",           "Jobs/Logs",
    "Tokens/Create",        "Gangs/Register",
    "Gangs/Heartbeat",      "Gangs/Direct",
    "Evaluations/Create",   "Evaluations/ReadParts",
    "Evaluations/Complete", "Evaluations/Fail",
    "Checkpoints/List"};

int Main(const std::string& endpoint_file, const std::string& ca,
         const std::string& token) {
  Endpoint endpoint = ReadEndpoint(endpoint_file).value();
  endpoint.ca = FileSystem::Posix()->ReadFile(ca).value();
  const auto channel = MakeChannel(endpoint);
  const auto expect = [&](const char* what, const std::string& method,
                          const std::string& bytes, StatusCode code) {
    const grpc::Status status =
        CallRaw(channel, kService + method, bytes, token);
    CARACAL_CHECK(status.error_code() == code)
        << what << ", " << method << ": " << status.error_code() << " "
        << status.error_message();
  };
  std::mt19937 random(7);
  for (const char* method : kMethods) {
    // That is what gRPC says to what it can't parse.
    expect("no message", method, "\xff\xff\xff\xff", StatusCode::UNIMPLEMENTED);
    expect("too long", method, std::string((4 << 20) + 1, '\x0a'),
           StatusCode::RESOURCE_EXHAUSTED);
    for (int i = 0; i < 20; ++i) {
      std::string bytes(1 + random() % 300, '\0');
      for (char& byte : bytes) byte = static_cast<char>(random());
      const grpc::Status status =
          CallRaw(channel, kService + std::string(method), bytes, token,
                  std::chrono::seconds(5));
      CARACAL_CHECK(!status.ok()) << method;
      CARACAL_CHECK(status.error_code() != StatusCode::UNAVAILABLE)
          << method << ": " << status.error_message();
    }
  }
  expect("no such method", "Jobs/Own", "", StatusCode::UNIMPLEMENTED);
  expect("no such service", "Roots/List", "", StatusCode::UNIMPLEMENTED);
  // gRPC's reflection tells strangers nothing.
  const grpc::Status reflection = CallRaw(
      channel, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
      "");
  CARACAL_CHECK(reflection.error_code() == StatusCode::UNIMPLEMENTED)
      << reflection.error_message();
  const grpc::Status health =
      CallRaw(channel, "/grpc.health.v1.Health/Check", "");
  CARACAL_CHECK(health.ok()) << health.error_message();
  return 0;
}

}  // namespace
}  // namespace caracal

int main(int argc, char** argv) {
  CARACAL_CHECK(argc == 3) << "usage: hostile_client ENDPOINT_JSON CA <token";
  std::string token;
  std::getline(std::cin, token);
  return caracal::Main(argv[1], argv[2], token);
}
