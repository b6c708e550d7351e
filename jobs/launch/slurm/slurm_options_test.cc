#include "jobs/launch/slurm/slurm_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/status_matchers.h"

namespace caracal {
namespace {

using absl::StatusCode;
using testing::ElementsAre;
using testing::HasSubstr;

void ExpectRefused(const SlurmOptions& options, const char* words) {
  EXPECT_THAT(CheckSlurmOptions(options),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr(words)));
}

TEST(SlurmOptions, AreSbatchs) {
  EXPECT_OK(CheckSlurmOptions({}));
  EXPECT_THAT(SbatchOptions({}), ElementsAre("--signal=B:TERM@120"));
  const SlurmOptions options = {.partition = "gpu,all",
                                .account = "a_1",
                                .qos = "low",
                                .gres = "gpu:h100:8",
                                .memory = "64G",
                                .time_limit = absl::Hours(2),
                                .more = {"--exclusive", "--mail-user=me@x.org"},
                                .save_before_limit = absl::Seconds(30)};
  EXPECT_OK(CheckSlurmOptions(options));
  EXPECT_THAT(
      SbatchOptions(options),
      ElementsAre("--partition=gpu,all", "--account=a_1", "--qos=low",
                  "--gres=gpu:h100:8", "--mem=64G", "--time=120",
                  "--signal=B:TERM@30", "--exclusive", "--mail-user=me@x.org"));
}

TEST(SlurmOptions, WhatAGangAsksForCountsInstead) {
  const SlurmOptions options = {
      .partition = "all",
      .account = "a",
      .gres = "gpu:8",
      .time_limit = absl::Hours(2),
      .more = {"--exclusive", "--constraint=x", "--mem-per-cpu=1G",
               "--mem-bind=local"}};
  EXPECT_THAT(
      SbatchOptions(options, {"--partition=gpu", "--time=5", "--mem=2G",
                              "--constraint=y", "--nodes=2"}),
      ElementsAre("--account=a", "--gres=gpu:8", "--signal=B:TERM@120",
                  "--exclusive", "--mem-bind=local", "--partition=gpu",
                  "--time=5", "--mem=2G", "--constraint=y", "--nodes=2"));
}

TEST(SlurmOptions, WhatIsNoValueIsRefused) {
  ExpectRefused({.partition = "a b"}, "partition is 'a b'");
  ExpectRefused({.account = "-x"}, "account is '-x'");
  ExpectRefused({.qos = "$(id)"}, "qos");
  ExpectRefused({.gres = "gpu;8"}, "gres");
  ExpectRefused({.memory = "1\n"}, "memory");
  ExpectRefused({.mpi = ""}, "mpi");
  ExpectRefused({.time_limit = absl::Seconds(90)}, "time limit is 1m30s");
  ExpectRefused({.time_limit = absl::Minutes(3)}, "expected at least 4m");
  EXPECT_OK(CheckSlurmOptions({.time_limit = absl::Minutes(4)}));
  ExpectRefused({.save_before_limit = absl::Hours(19)}, "before the limit");
  ExpectRefused({.poll_interval = absl::ZeroDuration()}, "poll interval");
  ExpectRefused({.command_limit = absl::InfiniteDuration()}, "command");
  ExpectRefused({.grace = -absl::Seconds(1)}, "grace");
}

TEST(SlurmOptions, WhatGangsAreKnownByIsOurs) {
  for (const char* option :
       {"--job-name=x", "--job=x", "--requeue", "--no", "--o=x", "--comment",
        "--sig=KILL", "--wrap=true", "--array=1-2", "--time=5"}) {
    ExpectRefused({.more = {option}}, "for Caracal to set");
  }
  for (const char* option : {"-p", "x", "--", "--a b", "; id", ""}) {
    ExpectRefused({.more = {option}}, "not of the form");
  }
  ExpectRefused({.more = {"--constraint=a\nb"}}, "control character");
  EXPECT_OK(CheckSlurmOptions({.more = {"--constraint=a&b", "--nice=10"}}));
}

}  // namespace
}  // namespace caracal
