#include "jobs/client/service/id_check.h"

#include <gtest/gtest.h>

namespace caracal {
namespace {

TEST(CheckId, CountsFromOne) {
  EXPECT_EQ(CheckId("1"), "");
  EXPECT_EQ(CheckId("18446744073709551615"), "");
  EXPECT_EQ(CheckId("-1"), "is '-1', expected a number from 1");
  for (const char* text :
       {"", "0", "+1", " 1", "1x", "0x1", "1.0", "18446744073709551616"}) {
    EXPECT_NE(CheckId(text), "") << text;
  }
}

}  // namespace
}  // namespace caracal
