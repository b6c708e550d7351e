#include "jobs/coordinator/access/loopback.h"

#include <gtest/gtest.h>

namespace caracal {
namespace {

TEST(LoopbackTest, HostsAreFoundInAddresses) {
  EXPECT_EQ(HostOf("127.0.0.1:7273"), "127.0.0.1");
  EXPECT_EQ(HostOf("127.0.0.1"), "127.0.0.1");
  EXPECT_EQ(HostOf("[::1]:7273"), "::1");
  EXPECT_EQ(HostOf("[::1]"), "::1");
  EXPECT_EQ(HostOf("LocalHost:1"), "localhost");
  EXPECT_EQ(HostOf(""), "");
}

TEST(LoopbackTest, OnlyThisMachineIsMeant) {
  for (const char* address :
       {"127.0.0.1:1", "127.0.0.1", "127.3.2.1:80", "localhost:1", "LOCALHOST",
        "[::1]:7", "[::1]", "unix:/tmp/socket"}) {
    EXPECT_TRUE(IsLoopbackAddress(address)) << address;
  }
  for (const char* address :
       {"", "0.0.0.0:1", "[::]:1", "[::2]:80", "10.0.0.1:1", "example.org:80",
        "127.0.0.1.evil.test:1", "localhost.evil.test", "127.1:1",
        "2130706433:1"}) {
    EXPECT_FALSE(IsLoopbackAddress(address)) << address;
  }
}

}  // namespace
}  // namespace caracal
