#include "jobs/coordinator/service/housekeeping_flags.h"

#include <gtest/gtest.h>

namespace caracal {
namespace {

struct Parsed {
  HousekeepingOptions options;
  absl::Duration retention = absl::InfiniteDuration();
};

// Throws what CLI11 does.
Parsed Parse(const std::string& arguments) {
  Parsed parsed;
  CLI::App app;
  DeclareHousekeepingFlags(app, &parsed.options, &parsed.retention);
  app.parse(arguments);
  return parsed;
}

TEST(HousekeepingFlagsTest, NothingGoesUnlessAsked) {
  for (const char* arguments :
       {"", "--keep-events 0 --keep-gangs 0.0 --retention-days 0"}) {
    const Parsed parsed = Parse(arguments);
    EXPECT_EQ(parsed.options.keep_events, absl::InfiniteDuration())
        << arguments;
    EXPECT_EQ(parsed.options.keep_gangs, absl::InfiniteDuration()) << arguments;
    EXPECT_EQ(parsed.retention, absl::InfiniteDuration()) << arguments;
  }
}

TEST(HousekeepingFlagsTest, CountsDays) {
  const Parsed parsed =
      Parse("--keep-events 2 --keep-gangs 0.5 --retention-days 90");
  EXPECT_EQ(parsed.options.keep_events, absl::Hours(48));
  EXPECT_EQ(parsed.options.keep_gangs, absl::Hours(12));
  EXPECT_EQ(parsed.retention, absl::Hours(24 * 90));
  EXPECT_THROW(Parse("--retention-days -1"), CLI::ParseError);
}

}  // namespace
}  // namespace caracal
