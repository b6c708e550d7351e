#include "jobs/coordinator/access/slurm_rules.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

namespace caracal {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> Problems(const std::string& job,
                                  const SlurmRules& rules,
                                  std::vector<Problem> before = {}) {
  proto::Job parsed;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(job, &parsed));
  const size_t known = before.size();
  CheckSlurmRules(parsed, rules, &before);
  std::vector<std::string> lines;
  for (size_t i = known; i < before.size(); ++i) {
    lines.push_back(before[i].ToString());
  }
  return lines;
}

TEST(SlurmRules, WithoutSlurmNothingMayBeAsked) {
  EXPECT_THAT(Problems("slurm { partition: 'gpu' }", {}),
              ElementsAre("slurm: this coordinator starts gangs on its own "
                          "machine, not as jobs of Slurm (`caracald --launcher "
                          "slurm` does that); leave it out"));
  EXPECT_THAT(Problems("slurm {}", {}), IsEmpty());
  EXPECT_THAT(Problems("", {}), IsEmpty());
}

TEST(SlurmRules, NamesAreThoseThatAreAllowed) {
  SlurmRules rules = {.has_slurm = true};
  const std::string job =
      "slurm { partition: 'gpu,cpu' account: 'a' qos: 'low' reservation: 'r' }";
  EXPECT_THAT(Problems(job, rules), IsEmpty());
  rules.partitions = {{"cpu", "gpu"}};
  rules.accounts = {{"a"}};
  EXPECT_THAT(Problems(job, rules), IsEmpty());
  rules.partitions = {{"cpu", "fast"}};
  rules.accounts = {{"b"}};
  rules.qos.emplace();
  rules.reservations.emplace();
  EXPECT_THAT(
      Problems(job, rules),
      ElementsAre("slurm.partition: is 'gpu,cpu', but this coordinator allows "
                  "'gpu' to no job; expected one of cpu, fast",
                  "slurm.account: is 'a', but this coordinator allows 'a' to "
                  "no job; expected one of b",
                  "slurm.qos: is 'low', but this coordinator lets no job "
                  "choose it",
                  "slurm.reservation: is 'r', but this coordinator lets no job "
                  "choose it"));
  // What is not asked for needs no leave.
  EXPECT_THAT(Problems("slurm { memory: '1G' }", rules), IsEmpty());
}

TEST(SlurmRules, AGangHasTimeToGetSomewhere) {
  const SlurmRules rules = {.has_slurm = true,
                            .save_before_limit = absl::Seconds(90)};
  EXPECT_THAT(Problems("slurm { time: '3:29' }", rules),
              ElementsAre("slurm.time: is 3:29, but gangs are asked to save "
                          "1m30s before their limit, or up to a minute "
                          "earlier; expected at least 3m30s"));
  EXPECT_THAT(Problems("slurm { time: '3:30' }", rules), IsEmpty());
}

TEST(SlurmRules, WhatIsWrongAlreadyIsNotToldTwice) {
  SlurmRules rules = {.has_slurm = true};
  rules.partitions = {{"cpu"}};
  EXPECT_THAT(Problems("slurm { partition: 'a b' time: '1d' }", rules,
                       {{"slurm.partition", "is 'a b'", ""},
                        {"slurm.time", "is '1d'", ""}}),
              IsEmpty());
}

}  // namespace
}  // namespace caracal
