#include "jobs/spec/slurm_fields.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace caracal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

proto::Job Parse(const std::string& text) {
  proto::Job job;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &job))
      << text;
  return job;
}

std::vector<std::string> Problems(const std::string& slurm,
                                  const std::string& more = "") {
  std::vector<Problem> problems;
  CheckSlurm(Parse(absl::StrCat(more, " slurm { ", slurm, " }")), &problems);
  std::vector<std::string> lines;
  for (const Problem& problem : problems) lines.push_back(problem.ToString());
  return lines;
}

// One with this value, of one field.
std::vector<std::string> ProblemsOf(const std::string& field,
                                    const std::string& value) {
  proto::Job job;
  const auto* descriptor = proto::Slurm::descriptor()->FindFieldByName(field);
  job.slurm().GetReflection()->SetString(job.mutable_slurm(), descriptor,
                                         value);
  std::vector<Problem> problems;
  CheckSlurm(job, &problems);
  std::vector<std::string> lines;
  for (const Problem& problem : problems) lines.push_back(problem.ToString());
  return lines;
}

TEST(SlurmTime, IsInSlurmsSixForms) {
  const struct {
    const char* text;
    absl::Duration time;
  } kCases[] = {
      {"90", absl::Minutes(90)},
      {"90:30", absl::Minutes(90) + absl::Seconds(30)},
      {"1:30:30", absl::Minutes(90) + absl::Seconds(30)},
      {"2-3", absl::Hours(51)},
      {"2-3:04", absl::Hours(51) + absl::Minutes(4)},
      {"2-03:04:05", absl::Hours(51) + absl::Minutes(4) + absl::Seconds(5)},
      {"1", absl::Minutes(1)},
      {"0:60", absl::Minutes(1)},
      {"3650-0", absl::Hours(24 * 3650)}};
  for (const auto& [text, time] : kCases) {
    EXPECT_EQ(ParseSlurmTime(text), time) << text;
  }
}

TEST(SlurmTime, IsNothingElse) {
  for (const char* text :
       {"",      "0",         "0:59",    "-1",         "1h",
        "1:",    ":1",        "1:2:3:4", "1-",         "-",
        "1-2-3", "1-2:3:4:5", " 1",      "1\n",        "+1",
        "1.5",   "UNLIMITED", "3650-1",  "9999999999", "999999999-0"}) {
    EXPECT_EQ(ParseSlurmTime(text), std::nullopt) << text;
  }
}

TEST(SlurmFields, EachIsAnOptionOfSbatch) {
  const proto::Job job = Parse(R"(
      parallel { data: 4 }
      slurm {
        partition: "gpu,gpu-long" account: "abc@h100" qos: "low"
        time: "2-0" memory: "64G" gres: "gpu:h100:4,shard:2"
        constraint: "[rack1|rack2]&nvme*2" reservation: "me_1"
        nodes: 2 ranks_per_node: 2
      })");
  std::vector<Problem> problems;
  CheckSlurm(job, &problems);
  EXPECT_THAT(problems, IsEmpty());
  EXPECT_THAT(
      SbatchOptionsOf(job.slurm()),
      ElementsAre("--partition=gpu,gpu-long", "--account=abc@h100", "--qos=low",
                  "--time=2-0", "--mem=64G", "--gres=gpu:h100:4,shard:2",
                  "--constraint=[rack1|rack2]&nvme*2", "--reservation=me_1",
                  "--nodes=2", "--ntasks-per-node=2"));
  // So that no field is forgotten.
  EXPECT_EQ(SbatchOptionsOf(job.slurm()).size(),
            proto::Slurm::descriptor()->field_count());
  EXPECT_TRUE(AsksSlurm(job));
  EXPECT_THAT(SbatchOptionsOf({}), IsEmpty());
  EXPECT_FALSE(AsksSlurm(Parse("slurm {}")));
}

TEST(SlurmFields, TakeNothingThatCouldBeMoreThanAValue) {
  for (const char* field : {"partition", "account", "qos", "time", "memory",
                            "gres", "constraint", "reservation"}) {
    for (const std::string value : {"",     ".",        "..",
                                    "a,-x", "-x",       "--wrap=id",
                                    "a b",  "a\nb",     "a\n#SBATCH --x",
                                    "a;id", "$(id)",    "`id`",
                                    "a=b",  "a>b",      "a<b",
                                    "a'b",  "a\"b",     "a\\b",
                                    "a#b",  "a{b}",     "a~b",
                                    "a!b",  "a?b",      "a%j",
                                    "a/b",  "\xc3\xbc", "\x01"}) {
      EXPECT_THAT(ProblemsOf(field, value),
                  ElementsAre(StartsWith(absl::StrCat("slurm.", field, ": "))))
          << value;
    }
    EXPECT_THAT(ProblemsOf(field, std::string(257, '1')),
                ElementsAre(HasSubstr("has 257 characters, expected at most "
                                      "256")));
  }
  // A zero byte, which an argument can't hold.
  EXPECT_THAT(ProblemsOf("account", std::string("a\0b", 3)),
              ElementsAre(HasSubstr("is 'a\\000b'")));
}

TEST(SlurmFields, SayWhatTheyTake) {
  EXPECT_THAT(
      Problems("partition: 'gpu,' account: 'a,b' time: '2d' memory: '64GB' "
               "gres: 'gpu:a:b' constraint: 'a b'"),
      ElementsAre("slurm.partition: is 'gpu,', expected names of letters, "
                  "digits and _, behind the first also of -.@+, with commas "
                  "between",
                  "slurm.account: is 'a,b', expected a name of letters, digits "
                  "and _, behind the first also of -.@+",
                  "slurm.time: is '2d', expected minutes, minutes:seconds, "
                  "hours:minutes:seconds, days-hours, days-hours:minutes or "
                  "days-hours:minutes:seconds, from 1 minute to 3650 days",
                  "slurm.memory: is '64GB', expected a whole number, with K, "
                  "M, G or T behind it or without, as in 64G",
                  "slurm.gres: is 'gpu:a:b', expected NAME, NAME:COUNT or "
                  "NAME:TYPE:COUNT with commas between, as in gpu:8",
                  "slurm.constraint: is 'a b', expected features joined by & | "
                  ", ( ) [ ] and *, each of letters, digits and _, behind the "
                  "first also of -.:"));
  for (const char* value : {"gpu", "gpu:8", "gpu:h100:8", "gpu:8,tmp:10G"}) {
    EXPECT_THAT(ProblemsOf("gres", value), IsEmpty()) << value;
  }
  for (const char* value : {"0", "4096", "64G", "1t"}) {
    EXPECT_THAT(ProblemsOf("memory", value), IsEmpty()) << value;
  }
}

TEST(SlurmFields, RanksOfANodeAreNoMoreThanItSurelyHas) {
  const auto ranks = [](const std::string& slurm, int all) {
    return RanksOfANode(Parse(slurm).slurm(), all);
  };
  EXPECT_EQ(ranks("", 4), 4);
  EXPECT_EQ(ranks("slurm { nodes: 2 }", 4), 2);
  EXPECT_EQ(ranks("slurm { nodes: 3 }", 5), 1);
  EXPECT_EQ(ranks("slurm { nodes: 3 ranks_per_node: 3 }", 7), 2);
  EXPECT_EQ(ranks("slurm { ranks_per_node: 2 }", 5), 1);
  EXPECT_EQ(ranks("slurm { ranks_per_node: 8 }", 4), 4);
  // Of a job that is refused.
  EXPECT_EQ(ranks("slurm { nodes: 9 }", 4), 1);
}

TEST(SlurmFields, NodesGoWithTheRanks) {
  const std::string ranks = "parallel { data: 2 tensor: 2 }";
  EXPECT_THAT(Problems("nodes: 4", ranks), IsEmpty());
  EXPECT_THAT(Problems("nodes: 2 ranks_per_node: 3", ranks), IsEmpty());
  EXPECT_THAT(Problems("ranks_per_node: 64", ranks), IsEmpty());
  EXPECT_THAT(Problems("nodes: 5", ranks),
              ElementsAre("slurm.nodes: is 5, but the job has 4 ranks, and "
                          "each node has at least one"));
  EXPECT_THAT(Problems("nodes: 2"),
              ElementsAre(HasSubstr("the job has 1 rank, ")));
  EXPECT_THAT(Problems("nodes: 3 ranks_per_node: 1", ranks),
              ElementsAre("slurm.ranks_per_node: is 1, which is room for 3 on "
                          "slurm.nodes 3, but the job has 4 ranks"));
}

}  // namespace
}  // namespace caracal
