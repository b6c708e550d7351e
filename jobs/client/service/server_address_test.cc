#include "jobs/client/service/server_address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "core/base/status_matchers.h"

namespace caracal {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(ServerAddressTest, TakesWhatCanBeCalled) {
  for (const char* server : {"127.0.0.1:7272", "node-7.example.org:1",
                             "[::1]:65535", "unix:/run/socket"}) {
    EXPECT_EQ(CheckServerAddress(server), absl::OkStatus()) << server;
  }
}

TEST(ServerAddressTest, SaysWhatIsMissing) {
  const std::pair<const char*, const char*> kFaults[] = {
      {"", "'' is empty"},
      {"127.0.0.1", "'127.0.0.1' has no port"},
      {"endpoint.jsn", "has no port"},
      {"host:", "has no port from 1"},
      {"host:0", "has no port from 1"},
      {"host:65536", "has no port from 1"},
      {"host:http", "has no port from 1"},
      {":7272", "has no host"},
      {"::1", "needs brackets"},
      {"[::1]", "has no port"},
      {"http://127.0.0.1:7373/", "is the address of a page"},
      {"HTTPS://host", "is the address of a page"},
  };
  for (const auto& [server, fault] : kFaults) {
    EXPECT_THAT(CheckServerAddress(server),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("--server"), HasSubstr(fault),
                               HasSubstr("expected HOST:PORT"))))
        << server;
  }
}

}  // namespace
}  // namespace caracal
