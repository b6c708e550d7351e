#include "jobs/launch/slurm/slurm_gangs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/base/fake_clock.h"
#include "core/base/file_system.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "jobs/launch/slurm/batch_script.h"
#include "jobs/launch/slurm/testing/fake_slurm.h"

namespace caracal {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;
using Submission = FakeSlurm::Submission;

constexpr GangId kId = {7, 3};

// What is told: "found 7-3", "waits 7-3: Resources", "ended 7-3 done: ...".
class Events : public LauncherEvents {
 public:
  void GangFound(GangId id) override { all.push_back("found " + ToString(id)); }
  void GangWaits(GangId id, const std::string& reason) override {
    waits = absl::StrCat("waits ", ToString(id), ": ", reason);
  }
  void ClusterSilent(const std::string& reason) override {
    silences.push_back(reason);
  }
  void Note(const std::string& words) override { notes.push_back(words); }
  void GangEnded(GangId id, GangEnd end, const std::string& reason) override {
    all.push_back(
        absl::StrCat("ended ", ToString(id), " ", NameOf(end), ": ", reason));
  }
  std::vector<std::string> all;  // but for the waiting
  std::string waits;             // the last
  std::vector<std::string> silences, notes;
};

class SlurmGangsTest : public testing::Test {
 protected:
  SlurmGangsTest() { Restart(); }

  // A launcher that knows nothing of the last.
  void Restart() {
    gangs_ = std::make_unique<SlurmGangs>(options_, &slurm_, &clock_, &events_);
  }
  static GangSpec Spec(GangId id = kId) {
    return {.id = id,
            .arguments = {"--job", "$(id) 'x", ""},
            .afterwards = {"--report"},
            .working_directory = "/work",
            .ranks = 4,
            .threads = 2};
  }
  GangFolder Folder(GangId id = kId) { return gangs_->FolderOf(id); }
  void Start(const GangSpec& spec = Spec()) {
    const absl::Status created = gangs_->FolderOf(spec.id).Create(spec);
    ASSERT_OK(created);
    gangs_->Start(spec, created);
    Poll();
  }
  // Whatever is to be seen now is.
  void Poll() {
    clock_.Advance(options_.slurm.poll_interval);
    gangs_->Round();
  }
  void WaitForGrace() {
    Poll();
    clock_.Advance(options_.slurm.grace);
    gangs_->Round();
  }
  // What another launcher hears of it, however often it asks.
  void ExpectFoundAgain(std::string event) {
    for (int i = 0; i < 2; ++i) {
      Restart();
      events_.all.clear();
      gangs_->Find(kId);
      Poll();
      EXPECT_THAT(events_.all, ElementsAre(event));
    }
  }
  // A gang that has begun, of which its folder and squeue tell nothing more.
  void ForgetOne(GangId id) {
    Start(Spec(id));
    const int number = static_cast<int>(slurm_.jobs.size());
    slurm_.Begin(number);
    slurm_.job(number).is_forgotten = true;
    events_.all.clear();
  }
  // What sacct has of a gang's job, but for its state and exit code.
  std::string Record(GangId id, int number, const std::string& state,
                     const std::string& submitted = "2026-11-29T18:30:44") {
    return absl::StrCat(number, "|", state, "|", submitted, "|caracal-",
                        ToString(id), "|", Folder(id).path(), "\n");
  }
  void Write(const std::string& name, const std::string& text) {
    Write(kId, name, text);
  }
  void Write(GangId id, const std::string& name, const std::string& text) {
    ASSERT_OK(FileSystem::Posix()->WriteFileAtomically(
        JoinPath(Folder(id).path(), name), text));
  }

  const TemporaryFolder temporary_;
  SlurmGangsOptions options_ = {.gangs_folder = temporary_.path(),
                                .worker = "/bin/worker",
                                .working_directory = "/here",
                                .slurm = {.partition = "gpu"}};
  FakeClock clock_;
  FakeSlurm slurm_;
  Events events_;
  std::unique_ptr<SlurmGangs> gangs_;
};

TEST_F(SlurmGangsTest, AGangGoesFromSubmissionToItsEnd) {
  Start();
  EXPECT_EQ(events_.waits, "waits 7-3: PENDING");
  slurm_.job(1).reason = "Resources";
  Poll();
  EXPECT_EQ(events_.waits, "waits 7-3: Resources");
  slurm_.Begin(1);
  Poll();
  Poll();
  EXPECT_THAT(events_.all, ElementsAre("found 7-3"));
  slurm_.Exit(1, 0);
  slurm_.job(1).state = "COMPLETING";
  Poll();
  EXPECT_EQ(events_.all.size(), 1);
  slurm_.job(1).state = "COMPLETED";
  Poll();
  Poll();
  EXPECT_THAT(events_.all, ElementsAre("found 7-3", "ended 7-3 done: "));
  EXPECT_EQ(gangs_->NextRound(), absl::InfiniteDuration());
  ExpectFoundAgain("ended 7-3 done: ");
}

TEST_F(SlurmGangsTest, NothingOfAJobIsInterpreted) {
  Start();
  const std::vector<std::string>& sbatch = slurm_.commands[0];
  const std::string folder = Folder().path();
  EXPECT_THAT(
      sbatch,
      AllOf(Contains("--job-name=caracal-7-3"), Contains("--no-requeue"),
            Contains("--ntasks=4"), Contains("--cpus-per-task=2"),
            Contains("--partition=gpu"), Contains("--signal=B:TERM@120"),
            Contains("--output=" + folder + "/output.log")));
  EXPECT_THAT(OptionOf(sbatch, "comment"),
              testing::MatchesRegex("caracal:[0-9a-f]{32}"));
  EXPECT_THAT(std::vector<std::string>(sbatch.end() - 5, sbatch.end()),
              ElementsAre(folder + "/batch.sh", folder,
                          OptionOf(sbatch, "comment"), "15", "11"));
  const std::string command =
      FileSystem::Posix()->ReadFile(folder + "/command").value();
  std::string expected;
  for (const char* argument :
       {"srun", "--mpi=pmix", "--ntasks=4", "--cpus-per-task=2",
        "--kill-on-bad-exit=0", "--wait=30", "/bin/bash", "-c", kRankScript,
        "rank", "/work", "/bin/worker", "--job", "$(id) 'x", ""}) {
    expected += std::string(argument) + '\0';
  }
  EXPECT_EQ(command, expected);
}

TEST_F(SlurmGangsTest, WhatAGangAsksForCountsInsteadOfDefaults) {
  GangSpec spec = Spec();
  spec.cluster_options = {"--partition=fast", "--mem=1G"};
  Start(spec);
  EXPECT_THAT(slurm_.commands[0],
              AllOf(Contains("--partition=fast"), Contains("--mem=1G"),
                    Not(Contains("--partition=gpu"))));
}

TEST_F(SlurmGangsTest, ItsEndIsThatOfTheRanks) {
  const struct {
    int status;
    const char* end;
  } kCases[] = {
      {85, "ended 1-1 stopped: it was asked to stop, and saved first"},
      {138, "ended 1-2 stopped: stopped before the first step"},
      {75, "ended 1-3 lost: the ranks ended"},
      {137, "ended 1-4 lost: a rank was ended by signal 9"},
      {1, "ended 1-5 failed: the ranks ended with an error"},
      {139, "ended 1-6 failed: a rank crashed"}};
  for (const auto& [status, end] : kCases) {
    GangSpec spec = Spec({1, static_cast<uint64_t>(slurm_.jobs.size() + 1)});
    Start(spec);
    const int number = static_cast<int>(slurm_.jobs.size());
    slurm_.Begin(number);
    Poll();
    slurm_.Exit(number, status);
    Poll();
    EXPECT_THAT(events_.all.back(), StartsWith(end));
  }
}

TEST_F(SlurmGangsTest, TheReasonIsWhatARankSays) {
  Start();
  slurm_.Begin(1);
  Write("output.log", "x\ncaracal-worker: rank 1 on h: no rows\nsrun: error\n");
  slurm_.Exit(1, 1);
  Poll();
  EXPECT_THAT(events_.all,
              ElementsAre("ended 7-3 failed: rank 1 on h: no rows"));
}

TEST_F(SlurmGangsTest, WithoutAWordFromItsScriptSlurmsStateTells) {
  const struct {
    const char* state;
    const char* end;
  } kCases[] = {{"NODE_FAIL", "lost: Slurm's job 1 ended as NODE_FAIL (why)"},
                {"TIMEOUT", "lost: Slurm's job 2 ended as TIMEOUT (why)"},
                {"PREEMPTED", "lost: Slurm's job 3 ended as PREEMPTED (why)"},
                {"CANCELLED", "lost: Slurm's job 4 ended as CANCELLED (why)"},
                {"OUT_OF_MEMORY",
                 "out_of_memory: Slurm's job 5 was out of memory: ask for more "
                 "in its slurm { memory }"},
                {"COMPLETED", "lost: Slurm's job 6 ended as COMPLETED (why)"}};
  for (const auto& [state, end] : kCases) {
    const GangId id = {1, slurm_.jobs.size() + 1};
    Start(Spec(id));
    const int number = static_cast<int>(slurm_.jobs.size());
    slurm_.Begin(number);
    slurm_.job(number).state = state;
    slurm_.job(number).reason = "why";
    Poll();
    // Over a network it may come late.
    EXPECT_EQ(events_.all.size(), number - 1);
    WaitForGrace();
    EXPECT_EQ(events_.all.back(),
              absl::StrCat("ended ", ToString(id), " ", end));
  }
}

TEST_F(SlurmGangsTest, OutOfMemoryIsFinalWhoeverTellsOfIt) {
  Start();
  slurm_.Begin(1);
  slurm_.Exit(1, 75);
  slurm_.job(1).state = "OUT_OF_MEMORY";
  Poll();
  EXPECT_THAT(events_.all,
              ElementsAre("ended 7-3 out_of_memory: Slurm's job 1 was out of "
                          "memory: ask for more in its slurm { memory }"));
}

TEST_F(SlurmGangsTest, AMarkThatCannotBeReadIsNone) {
  Start();
  Write("mark", "caracal:");
  Restart();
  gangs_->Find(kId);
  Poll();
  EXPECT_THAT(events_.all,
              ElementsAre(absl::StrCat("ended 7-3 lost: ", kNoTrace)));
  slurm_.Begin(1);
  EXPECT_EQ(slurm_.job(1).begun, 0);
  // Of one that runs, its end is told all the same.
  Start(Spec({7, 4}));
  slurm_.Begin(2);
  ASSERT_OK(FileSystem::Posix()->Truncate(Folder({7, 4}).path() + "/mark", 3));
  Restart();
  gangs_->Find({7, 4});
  Poll();
  EXPECT_EQ(events_.all.size(), 1);
  slurm_.Exit(2, 0);
  Poll();
  EXPECT_EQ(events_.all.back(), "ended 7-4 done: ");
}

TEST_F(SlurmGangsTest, AStatusThatComesLateCounts) {
  Start();
  slurm_.Begin(1);
  slurm_.job(1).state = "TIMEOUT";
  Poll();
  EXPECT_THAT(events_.all, IsEmpty());
  Write("status", "exit 85\n");
  Poll();
  EXPECT_THAT(events_.all.back(), StartsWith("ended 7-3 stopped"));
}

TEST_F(SlurmGangsTest, AStatusCutShortIsNone) {
  for (const char* text : {"", "exit 0", "exit ", "exit x\n", "exit 256\n"}) {
    const GangId id = {1, slurm_.jobs.size() + 1};
    Start(Spec(id));
    const int number = static_cast<int>(slurm_.jobs.size());
    slurm_.Begin(number);
    ASSERT_OK(FileSystem::Posix()->WriteFileAtomically(
        Folder(id).path() + "/status", text));
    slurm_.job(number).state = "COMPLETED";
    Poll();
    EXPECT_THAT(events_.all.back(),
                AllOf(StartsWith("ended " + ToString(id) + " lost"),
                      HasSubstr("does not tell an exit status")));
  }
}

TEST_F(SlurmGangsTest, WhileSlurmIsAwayNothingIsKnown) {
  Start();
  slurm_.Begin(1);
  Poll();
  events_.all.clear();
  slurm_.Exit(1, 0);
  slurm_.is_away = true;
  for (int i = 0; i < 1000; ++i) Poll();
  slurm_.is_away = false;
  for (const char* garbage : {"Hello\n", "job|1|RUNN", "job|1|RUNNING\n"}) {
    slurm_.squeue_output = garbage;
    for (int i = 0; i < 100; ++i) Poll();
  }
  EXPECT_THAT(events_.all, IsEmpty());
  slurm_.squeue_output.clear();
  Poll();
  EXPECT_THAT(events_.all, ElementsAre("ended 7-3 done: "));
  // Told once, however often it was asked.
  EXPECT_THAT(events_.silences,
              ElementsAre(HasSubstr("squeue: error: Unable to contact"), ""));
}

TEST_F(SlurmGangsTest, OneThatSlurmHasForgottenIsKnownByItsFolder) {
  Start();
  slurm_.Begin(1);
  slurm_.Exit(1, 0);
  slurm_.job(1).is_forgotten = true;
  Poll();
  EXPECT_THAT(events_.all, ElementsAre("ended 7-3 done: "));
}

TEST_F(SlurmGangsTest, OneThatIsGoneWithoutAWordIsLostAfterAWhile) {
  Start();
  slurm_.Begin(1);
  slurm_.job(1).is_forgotten = true;
  Poll();
  EXPECT_THAT(events_.all, IsEmpty());
  // It was not gone.
  slurm_.job(1).is_forgotten = false;
  WaitForGrace();
  slurm_.job(1).is_forgotten = true;
  Poll();
  EXPECT_THAT(events_.all, ElementsAre("found 7-3"));
  WaitForGrace();
  EXPECT_THAT(events_.all.back(),
              StartsWith("ended 7-3 lost: Slurm does not know it any more"));
  // Whatever is found there later.
  Write("status", "exit 0\n");
  ExpectFoundAgain(events_.all.back());
}

TEST_F(SlurmGangsTest, TheAccountingTellsOfForgottenOnes) {
  const std::string lost = "lost: Slurm's job # ended as ";
  const std::string unended =
      "lost: Slurm does not know it any more, and its accounting still has "
      "job # as ";
  const std::string short_of_it =
      "out_of_memory: Slurm's job # was out of memory: ask for more in its "
      "slurm { memory }";
  // With "#" for its number. `killed`: by the coordinator, which gives up what
  // it does not hear of, whatever of.
  const struct {
    bool killed;
    const char* record;
    std::string end;
  } kCases[] = {
      {false, "TIMEOUT|0:0", lost + "TIMEOUT"},
      {true, "TIMEOUT|0:0", lost + "TIMEOUT"},
      {false, "NODE_FAIL|0:0", lost + "NODE_FAIL"},
      {true, "NODE_FAIL|0:0", lost + "NODE_FAIL"},
      {false, "PREEMPTED|0:15", lost + "PREEMPTED (signal 15)"},
      {false, "CANCELLED by 7|0:0", lost + "CANCELLED (by 7)"},
      {true, "CANCELLED by 7|0:0", lost + "CANCELLED (by 7)"},
      {false, "OUT_OF_MEMORY|0:125", short_of_it},
      {true, "OUT_OF_MEMORY|0:125", short_of_it},
      {false, "FAILED|0:9", lost + "FAILED (signal 9)"},
      {false, "FAILED|85:0", "stopped: it was asked to stop, and saved first"},
      {false, "FAILED|75:0", "lost: the ranks ended"},
      {false, "FAILED|1:0", "failed: the ranks ended with an error"},
      {false, "COMPLETED|0:0", lost + "COMPLETED"},
      {false, "BOOT_FAIL|0:0", lost + "BOOT_FAIL"},
      {false, "DEADLINE|0:0", lost + "DEADLINE"},
      {false, "REVOKED|0:0", lost + "REVOKED"},
      {false, "REQUEUED|0:0", unended + "REQUEUED"},
      {false, "RUNNING|0:0", unended + "RUNNING"}};
  for (const auto& [killed, record, end] : kCases) {
    SCOPED_TRACE(absl::StrCat(record, killed ? ", killed" : ""));
    const GangId id = {1, slurm_.jobs.size() + 1};
    ForgetOne(id);
    const int number = static_cast<int>(slurm_.jobs.size());
    slurm_.sacct = CommandResult{.output = Record(id, number, record)};
    if (killed) gangs_->Kill(id);
    WaitForGrace();
    EXPECT_THAT(events_.all,
                ElementsAre(StartsWith(absl::StrCat(
                    "ended ", ToString(id), " ",
                    absl::StrReplaceAll(end, {{"#", absl::StrCat(number)}})))));
    EXPECT_EQ(gangs_->NextRound(), absl::InfiniteDuration());
    EXPECT_EQ(slurm_.Count("sacct"), number);
  }
  EXPECT_THAT(events_.notes, IsEmpty());
}

TEST_F(SlurmGangsTest, OneQuestionToTheAccountingIsForAll) {
  ForgetOne({1, 1});
  ForgetOne({1, 2});
  slurm_.sacct = CommandResult{.output = Record({1, 2}, 2, "TIMEOUT|0:0") +
                                         Record({1, 1}, 1, "NODE_FAIL|0:0")};
  WaitForGrace();
  EXPECT_THAT(events_.all,
              ElementsAre("ended 1-1 lost: Slurm's job 1 ended as NODE_FAIL",
                          "ended 1-2 lost: Slurm's job 2 ended as TIMEOUT"));
  EXPECT_EQ(slurm_.Count("sacct"), 1);
  EXPECT_EQ(OptionOf(slurm_.commands.back(), "jobs"), "1,2");
}

TEST_F(SlurmGangsTest, ANumberIsNoIdentityInTheAccountingEither) {
  const std::string silent =
      "ended 7-3 lost: Slurm does not know it any more, and it left no word";
  ForgetOne(kId);
  const std::string other_folder =
      "1|TIMEOUT|0:0|2026-11-29T18:30:44|"
      "caracal-7-3|/elsewhere/7-3\n";
  slurm_.sacct =
      CommandResult{.output = Record({7, 4}, 1, "TIMEOUT|0:0") +
                              Record(kId, 2, "TIMEOUT|0:0") + other_folder};
  WaitForGrace();
  EXPECT_THAT(events_.all, ElementsAre(silent));
  // Of several, be it of a folder that was there before, the newest.
  ForgetOne({7, 5});
  const auto at = [&](const char* state, const char* time) {
    return Record({7, 5}, 2, state, time);
  };
  slurm_.sacct =
      CommandResult{.output = at("TIMEOUT|0:0", "2026-10-31T00:00:00") +
                              at("NODE_FAIL|0:0", "2026-11-29T00:00:00") +
                              at("PREEMPTED|0:0", "2025-12-31T00:00:00")};
  WaitForGrace();
  EXPECT_THAT(events_.all,
              ElementsAre("ended 7-5 lost: Slurm's job 2 ended as NODE_FAIL"));
}

TEST_F(SlurmGangsTest, WithoutAnAccountingItIsAskedOnce) {
  for (const bool is_missing : {false, true}) {
    Restart();
    if (is_missing) slurm_.sacct = absl::NotFoundError("can't start sacct");
    const int asked = slurm_.Count("sacct");
    events_.notes.clear();
    for (int i = 0; i < 3; ++i) {
      const GangId id = {1, slurm_.jobs.size() + 1};
      ForgetOne(id);
      WaitForGrace();
      EXPECT_THAT(events_.all,
                  ElementsAre(AllOf(StartsWith("ended " + ToString(id)),
                                    HasSubstr("it left no word"))));
    }
    EXPECT_EQ(slurm_.Count("sacct"), asked + 1);
    EXPECT_THAT(events_.notes,
                ElementsAre(HasSubstr(is_missing ? "can't start sacct"
                                                 : "storage is disabled")));
  }
}

TEST_F(SlurmGangsTest, AnAccountingThatIsAwayIsAskedAgain) {
  const absl::StatusOr<CommandResult> kAnswers[] = {
      absl::DeadlineExceededError("sacct gave no answer"),
      CommandResult{.exit_status = 1,
                    .words = "sacct: error: Problem talking to the database: "
                             "Connection refused\n"},
      CommandResult{.output = "Thank you for using Slurm\n"}};
  for (const auto& answer : kAnswers) {
    ForgetOne({1, slurm_.jobs.size() + 1});
    slurm_.sacct = answer;
    WaitForGrace();
    EXPECT_THAT(events_.all, ElementsAre(HasSubstr("it left no word")));
  }
  EXPECT_THAT(events_.notes,
              ElementsAre(HasSubstr("no answer"), HasSubstr("refused"),
                          HasSubstr("sacct said")));
  ForgetOne({1, 4});
  slurm_.sacct = CommandResult{.output = Record({1, 4}, 4, "TIMEOUT|0:0")};
  WaitForGrace();
  EXPECT_THAT(events_.all, ElementsAre(HasSubstr("ended as TIMEOUT")));
}

// As when the launcher ends meanwhile.
TEST_F(SlurmGangsTest, WhatIsInterruptedTellsNothing) {
  ForgetOne(kId);
  slurm_.sacct = absl::CancelledError("sacct was interrupted");
  WaitForGrace();
  EXPECT_THAT(events_.all, IsEmpty());
  EXPECT_THAT(events_.notes, IsEmpty());
  slurm_.sacct = CommandResult{.output = Record(kId, 1, "TIMEOUT|0:0")};
  Restart();
  gangs_->Find(kId);
  WaitForGrace();
  EXPECT_THAT(events_.all, ElementsAre(HasSubstr("ended as TIMEOUT")));
}

TEST_F(SlurmGangsTest, TheAccountingIsNotNeeded) {
  // It says how it ended itself; it never began; squeue knows; or its claim
  // does not say which job it was.
  ForgetOne({1, 1});
  Write({1, 1}, "status", "exit 0\n");
  WaitForGrace();
  Start(Spec({1, 2}));
  slurm_.job(2).is_forgotten = true;
  WaitForGrace();
  Start(Spec({1, 3}));
  slurm_.Begin(3);
  slurm_.job(3).state = "TIMEOUT";
  WaitForGrace();
  EXPECT_THAT(events_.all.back(), HasSubstr("1-3 lost"));
  ForgetOne({1, 4});
  for (const char* claim : {"", "{}", "[]", "{\"slurm_job\": \"4\"}"}) {
    Write({1, 4}, "claim", claim);
    Poll();
  }
  WaitForGrace();
  EXPECT_THAT(events_.all.back(), HasSubstr("1-4 lost"));
  EXPECT_EQ(slurm_.Count("sacct"), 0);
}

TEST_F(SlurmGangsTest, StopAsksTheScript) {
  Start();
  slurm_.Begin(1);
  gangs_->Stop(kId);
  gangs_->Stop(kId);
  Poll();
  EXPECT_THAT(slurm_.commands.back(),
              ElementsAre("scancel", "--quiet", "--state=RUNNING", "--batch",
                          "--signal=TERM", "1"));
  Poll();
  EXPECT_THAT(events_.all.back(), StartsWith("ended 7-3 stopped"));
}

TEST_F(SlurmGangsTest, StopOfOneThatWaits) {
  Start();
  gangs_->Stop(kId);
  Poll();
  Poll();
  EXPECT_THAT(events_.all, ElementsAre("ended 7-3 stopped: stopped before it "
                                       "began"));
  slurm_.Begin(1);
  EXPECT_EQ(slurm_.job(1).begun, 0);
  ExpectFoundAgain("ended 7-3 stopped: stopped before it began");
}

TEST_F(SlurmGangsTest, KillCancels) {
  Start();
  slurm_.Begin(1);
  gangs_->Stop(kId);
  gangs_->Kill(kId);
  Poll();
  EXPECT_THAT(slurm_.commands.back(), ElementsAre("scancel", "--quiet", "1"));
  Poll();
  EXPECT_THAT(events_.all.back(),
              "ended 7-3 lost: Slurm's job 1 ended as CANCELLED");
}

// The coordinator gives up gangs that it does not hear of, whatever of.
TEST_F(SlurmGangsTest, OfOneToBeKilledSlurmStillTellsWhy) {
  const char* const kStates[] = {"NODE_FAIL", "TIMEOUT", "CANCELLED"};
  for (const char* state : kStates) {
    const GangId id = {1, slurm_.jobs.size() + 1};
    Start(Spec(id));
    const int number = static_cast<int>(slurm_.jobs.size());
    slurm_.Begin(number);
    slurm_.job(number).state = state;
    slurm_.job(number).reason = "why";
    gangs_->Kill(id);
    Poll();
    EXPECT_EQ(events_.all.back(),
              absl::StrCat("ended ", ToString(id), " lost: Slurm's job ",
                           number, " ended as ", state, " (why)"));
  }
  EXPECT_EQ(slurm_.Count("scancel"), 0);
}

TEST_F(SlurmGangsTest, ThatItWasKilledIsToldWhenNobodyKnowsMore) {
  const std::string gone = "Slurm does not know it any more";
  Start();
  slurm_.Begin(1);
  gangs_->Kill(kId);
  Poll();
  slurm_.job(1).is_forgotten = true;
  WaitForGrace();
  EXPECT_THAT(events_.all.back(), "ended 7-3 lost: it was killed; " + gone);
  // It was gone before it could be.
  ForgetOne({7, 4});
  gangs_->Kill({7, 4});
  WaitForGrace();
  EXPECT_THAT(events_.all,
              ElementsAre("ended 7-4 lost: " + gone + ", and it left no word"));
}

TEST_F(SlurmGangsTest, OrdersAreSentUntilTheyAreDone) {
  Start();
  slurm_.Begin(1);
  slurm_.is_away = true;
  gangs_->Kill(kId);
  for (int i = 0; i < 10; ++i) Poll();
  EXPECT_EQ(slurm_.job(1).state, "RUNNING");
  slurm_.is_away = false;
  Poll();
  EXPECT_EQ(slurm_.job(1).state, "CANCELLED");
}

TEST_F(SlurmGangsTest, OneQuestionIsForAllGangsAndOrdersAreGathered) {
  for (uint64_t epoch = 1; epoch <= 5; ++epoch) Start(Spec({1, epoch}));
  const int before = static_cast<int>(slurm_.commands.size());
  for (uint64_t epoch = 1; epoch <= 5; ++epoch) gangs_->Kill({1, epoch});
  gangs_->Round();
  // Not sooner than a second after the last.
  EXPECT_EQ(slurm_.commands.size(), before);
  EXPECT_EQ(gangs_->NextRound() - clock_.Now(), absl::Seconds(1));
  clock_.Advance(absl::Seconds(1));
  gangs_->Round();
  EXPECT_EQ(slurm_.commands.size(), before + 2);
  EXPECT_THAT(slurm_.commands.back(),
              ElementsAre("scancel", "--quiet", "1", "2", "3", "4", "5"));
  EXPECT_EQ(gangs_->NextRound() - clock_.Now(), absl::Seconds(5));
}

TEST_F(SlurmGangsTest, WhatSlurmRefusesForGoodHasFailed) {
  slurm_.submission = Submission::kRefused;
  slurm_.refusal =
      "sbatch: warning: x\nsbatch: error: invalid partition specified: gpu\n"
      "sbatch: error: Batch job submission failed: Invalid partition name "
      "specified\n";
  Start();
  const std::string end =
      "ended 7-3 failed: sbatch: error: invalid partition specified: gpu";
  EXPECT_THAT(events_.all, ElementsAre(end));
  ExpectFoundAgain(end);
}

TEST_F(SlurmGangsTest, WhatSlurmCannotTakeNowIsLost) {
  slurm_.submission = Submission::kRefused;
  slurm_.refusal =
      "sbatch: error: Batch job submission failed: Unable to contact slurm "
      "controller (connect failure)\n";
  Start();
  EXPECT_THAT(events_.all, IsEmpty());
  WaitForGrace();
  EXPECT_THAT(events_.all, ElementsAre(AllOf(StartsWith("ended 7-3 lost: "),
                                             HasSubstr("Unable to contact"))));
}

TEST_F(SlurmGangsTest, WithoutSbatchNothingStarts) {
  slurm_.submission = Submission::kMissing;
  Start();
  EXPECT_THAT(events_.all,
              ElementsAre(AllOf(StartsWith("ended 7-3 failed: can't start"),
                                HasSubstr("slurm-client"))));
}

TEST_F(SlurmGangsTest, ASilentSubmissionIsFound) {
  for (const Submission how : {Submission::kSilent, Submission::kGarbled}) {
    slurm_.submission = how;
    const GangId id = {1, slurm_.jobs.size() + 1};
    Start(Spec(id));
    const int number = static_cast<int>(slurm_.jobs.size());
    slurm_.Begin(number);
    WaitForGrace();
    EXPECT_EQ(events_.all.back(), "found " + ToString(id));
    slurm_.Exit(number, 0);
    Poll();
    EXPECT_EQ(events_.all.back(), "ended " + ToString(id) + " done: ");
  }
}

TEST_F(SlurmGangsTest, ASubmissionThatComesTooLateDoesNotRun) {
  slurm_.submission = Submission::kSilent;
  Start();
  slurm_.jobs[0].is_forgotten = true;  // Not there yet.
  WaitForGrace();
  EXPECT_THAT(events_.all,
              ElementsAre("ended 7-3 lost: sbatch gave no answer"));
  slurm_.jobs[0].is_forgotten = false;
  slurm_.Begin(1);
  EXPECT_EQ(slurm_.job(1).begun, 0);
}

TEST_F(SlurmGangsTest, ASubmissionThatWasNot) {
  slurm_.submission = Submission::kSilentlyRefused;
  Start();
  WaitForGrace();
  EXPECT_THAT(events_.all,
              ElementsAre("ended 7-3 lost: sbatch gave no answer"));
  EXPECT_EQ(slurm_.Count("sbatch"), 1);
}

TEST_F(SlurmGangsTest, WhatCannotBeSubmittedHasFailed) {
  GangSpec spec = Spec();
  spec.program = "-x";
  Start(spec);
  EXPECT_THAT(events_.all,
              ElementsAre("ended 7-3 failed: -x is no absolute path"));
  spec = Spec({7, 4});
  spec.arguments = {std::string("a\0b", 3)};
  Start(spec);
  EXPECT_THAT(events_.all.back(), HasSubstr("7-4 failed"));
  EXPECT_THAT(events_.all.back(), HasSubstr("zero byte"));
  spec = Spec({7, 5});
  spec.arguments = {"\xff"};
  const absl::Status created = Folder({7, 5}).Create(spec);
  ASSERT_FALSE(created.ok());
  gangs_->Start(spec, created);
  Poll();
  EXPECT_THAT(events_.all.back(),
              AllOf(HasSubstr("7-5 failed"), HasSubstr("UTF-8")));
  EXPECT_EQ(slurm_.Count("sbatch"), 0);
}

TEST_F(SlurmGangsTest, WhatWasNotStartedNeverWillBe) {
  const std::string end = absl::StrCat("ended 7-3 lost: ", kNoTrace);
  gangs_->Find(kId);
  Poll();
  EXPECT_THAT(events_.all, ElementsAre(end));
  EXPECT_THAT(Folder().Create(Spec()),
              StatusIs(absl::StatusCode::kAlreadyExists, testing::_));
  ExpectFoundAgain(end);
  // Slurm was not asked.
  EXPECT_THAT(slurm_.commands, IsEmpty());
  // Ordered, and then the launcher was killed.
  ASSERT_OK(Folder({7, 4}).Create(Spec({7, 4})));
  gangs_->Kill({7, 4});
  Poll();
  EXPECT_EQ(events_.all.back(), absl::StrCat("ended 7-4 lost: ", kNoTrace));
}

TEST_F(SlurmGangsTest, OneThatNeverBeganDoesNotBeginLater) {
  Start();
  slurm_.job(1).state = "CANCELLED";
  Poll();
  EXPECT_THAT(events_.all, ElementsAre("ended 7-3 lost: Slurm's job 1 ended as "
                                       "CANCELLED before it began"));
  slurm_.Begin(1);
  EXPECT_EQ(slurm_.job(1).begun, 0);
}

// Another gang's number, after Slurm has begun to count anew.
TEST_F(SlurmGangsTest, ANumberIsNoIdentity) {
  Start();
  slurm_.Begin(1);
  slurm_.job(1).mark = "caracal:0123";
  gangs_->Kill(kId);
  WaitForGrace();
  EXPECT_EQ(slurm_.Count("scancel"), 0);
  EXPECT_THAT(events_.all.back(), HasSubstr("7-3 lost"));
}

TEST_F(SlurmGangsTest, FindTellsWhatThereIs) {
  Start();
  Restart();
  gangs_->Find(kId);
  Poll();
  EXPECT_EQ(events_.waits, "waits 7-3: PENDING");
  EXPECT_THAT(events_.all, IsEmpty());
  slurm_.Begin(1);
  Poll();
  EXPECT_THAT(events_.all, ElementsAre("found 7-3"));
  Restart();
  gangs_->Find(kId);
  Poll();
  EXPECT_EQ(events_.all.size(), 2);
  gangs_->Find(kId);
  Poll();
  Poll();
  EXPECT_THAT(events_.all, ElementsAre("found 7-3", "found 7-3", "found 7-3"));
}

// Killed at any command, before or after it had its effect, and started again:
// the gang has run at most once, and one end of it is told.
TEST_F(SlurmGangsTest, AKilledLauncherStartsNothingTwice) {
  enum class Order { kNone, kStop, kKill };
  int runs = 0, cases = 0;
  for (const Order order : {Order::kNone, Order::kStop, Order::kKill}) {
    for (int lost_at = 0; lost_at < 6; ++lost_at) {
      for (const bool lost_after : {false, true}) {
        const GangId id = {1, static_cast<uint64_t>(++cases)};
        slurm_ = FakeSlurm();
        slurm_.lost_at = lost_at;
        slurm_.lost_after = lost_after;
        events_.all.clear();
        Restart();
        Start(Spec(id));
        Poll();
        if (!slurm_.jobs.empty()) slurm_.Begin(1);
        if (order == Order::kStop) gangs_->Stop(id);
        if (order == Order::kKill) gangs_->Kill(id);
        Poll();
        slurm_.lost_at = -1;
        Restart();
        gangs_->Find(id);
        WaitForGrace();
        if (!slurm_.jobs.empty()) {
          if (slurm_.job(1).state == "PENDING") slurm_.Begin(1);
          if (slurm_.job(1).state == "RUNNING") slurm_.Exit(1, 0);
        }
        WaitForGrace();
        WaitForGrace();
        EXPECT_EQ(slurm_.Count("sbatch"), 1);
        ASSERT_LE(slurm_.jobs.size(), 1);
        if (!slurm_.jobs.empty()) {
          EXPECT_LE(slurm_.job(1).begun, 1);
          runs += slurm_.job(1).begun;
        }
        int ends = 0;
        for (const std::string& event : events_.all) {
          ends += absl::StartsWith(event, "ended");
        }
        EXPECT_GE(ends, 1) << lost_at << lost_after;
        EXPECT_EQ(gangs_->NextRound(), absl::InfiniteDuration());
      }
    }
  }
  EXPECT_GT(runs, cases / 2);
}

}  // namespace
}  // namespace caracal
