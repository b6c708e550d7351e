#include "jobs/coordinator/rpc/endpoint.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "core/base/file_system.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"

namespace caracal {
namespace {

const Endpoint kEndpoint = {.address = "node-7:7272",
                            .ca = "PEM\n",
                            .server_name = "caracald",
                            .web = "127.0.0.1:7373"};

TEST(EndpointTest, IsReadAsWritten) {
  const TemporaryFolder folder;
  const std::string path = folder.File("endpoint.json");
  for (const Endpoint& endpoint : {kEndpoint, Endpoint()}) {
    ASSERT_OK(WriteEndpoint(endpoint, path));
    ASSERT_OK_AND_ASSIGN(const Endpoint read, ReadEndpoint(path));
    EXPECT_EQ(read, endpoint);
  }
}

TEST(EndpointTest, PublicIsReadableForAll) {
  const TemporaryFolder folder;
  const std::string path = folder.File("endpoint.json");
  // As in deploy/systemd.
  const mode_t before = umask(077);
  // Again over one that is there, of another mode.
  for (int i = 0; i < 2; ++i) {
    EXPECT_OK(WritePublicEndpoint(kEndpoint, path));
    struct stat info;
    ASSERT_EQ(stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0644);
    ASSERT_EQ(chmod(path.c_str(), 0600), 0);
  }
  umask(before);
  ASSERT_OK_AND_ASSIGN(const Endpoint read, ReadEndpoint(path));
  EXPECT_EQ(read, kEndpoint);
  ASSERT_OK_AND_ASSIGN(const auto names,
                       FileSystem::Posix()->List(folder.path()));
  EXPECT_EQ(names, std::vector<std::string>{"endpoint.json"});
}

}  // namespace
}  // namespace caracal
