#include "jobs/launch/slurm/slurm_gangs.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "jobs/launch/gang_supervisor.h"
#include "jobs/launch/local_gang.h"
#include "jobs/launch/slurm/batch_script.h"
#include "jobs/launch/slurm/slurm_gang_folder.h"

namespace caracal {
namespace {

// Ranks end together; what is left of them after so many seconds is stuck.
constexpr int kSecondsBetweenEnds = 30;
// New orders make us ask Slurm sooner, but not more often than this.
constexpr absl::Duration kHurriedInterval = absl::Seconds(1);

// The first line that tells of an error, without Slurm's prefixes.
std::string ErrorOf(absl::string_view program, absl::string_view words) {
  std::string out;
  for (absl::string_view line : absl::StrSplit(words, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (out.empty() || (absl::StrContains(line, "error: ") &&
                        !absl::StrContains(out, "error: "))) {
      out = std::string(line.substr(0, 500));
    }
  }
  if (out.empty()) return absl::StrCat(program, " failed without a word");
  return absl::StrContains(out, program) ? out
                                         : absl::StrCat(program, ": ", out);
}

// "Slurm's job 7 ended as NODE_FAIL (NodeDown)".
std::string Describe(const SlurmJob& job) {
  return absl::StrCat(
      "Slurm's job ", job.number, " ended as ", job.state,
      job.reason.empty() ? "" : absl::StrCat(" (", job.reason, ")"));
}

bool IsOutOfMemory(const SlurmJob* job) {
  return job != nullptr &&
         (job->state == "OUT_OF_MEMORY" || job->state == "OOM");
}

std::string NameOf(GangId id) { return absl::StrCat("caracal-", ToString(id)); }

std::string OutOfMemory(const SlurmJob& job) {
  return absl::StrCat(
      "Slurm's job ", job.number,
      " was out of memory: ask for more in its slurm { memory }");
}

}  // namespace

SlurmGangs::SlurmGangs(const SlurmGangsOptions& options, CommandRunner* runner,
                       Clock* clock, LauncherEvents* events)
    : options_(options), runner_(runner), clock_(clock), events_(events) {}

GangFolder SlurmGangs::FolderOf(GangId id) const {
  return GangFolder(JoinPath(options_.gangs_folder, ToString(id)));
}

SlurmGangs::Gang& SlurmGangs::GangOf(GangId id) {
  hurry_ = true;
  return gangs_.try_emplace(id, FolderOf(id)).first->second;
}

void SlurmGangs::Stop(GangId id) { GangOf(id).stop = true; }
void SlurmGangs::Kill(GangId id) { GangOf(id).kill = true; }
void SlurmGangs::Find(GangId id) { GangOf(id).tell_found = true; }

void SlurmGangs::Start(const GangSpec& spec, const absl::Status& created) {
  const bool hurried = hurry_;
  Gang& gang = GangOf(spec.id);
  if (created.ok()) {
    Submit(spec, gang);
  } else {
    gang.was_refused = true;
    gang.missing_end = GangEndOf(created);
    gang.missing_reason = std::string(created.message());
  }
  if (!gang.was_refused) hurry_ = hurried;
}

std::vector<std::string> SlurmGangs::RankCommand(
    const GangSpec& spec, const std::vector<std::string>& arguments) const {
  std::vector<std::string> out = {
      "/bin/bash",
      "-c",
      kRankScript,
      "rank",
      spec.working_directory.empty() ? options_.working_directory
                                     : spec.working_directory,
      spec.program.empty() ? options_.worker : spec.program};
  out.insert(out.end(), arguments.begin(), arguments.end());
  return out;
}

std::vector<std::string> SlurmGangs::RanksCommand(const GangSpec& spec) const {
  std::vector<std::string> out = {
      "srun", absl::StrCat("--mpi=", options_.slurm.mpi),
      absl::StrCat("--ntasks=", spec.ranks),
      // It does not take this one from sbatch.
      absl::StrCat("--cpus-per-task=", spec.threads),
      // Who ends first, asked to or not, does not have the others killed.
      "--kill-on-bad-exit=0", absl::StrCat("--wait=", kSecondsBetweenEnds)};
  for (std::string& word : RankCommand(spec, spec.arguments)) {
    out.push_back(std::move(word));
  }
  return out;
}

std::vector<std::string> SlurmGangs::AfterwardsCommand(
    const GangSpec& spec) const {
  if (spec.afterwards.empty()) return {};
  // With all that the job has of its first node.
  std::vector<std::string> out = {"srun",
                                  absl::StrCat("--mpi=", options_.slurm.mpi),
                                  "--nodes=1", "--ntasks=1"};
  for (std::string& word : RankCommand(spec, spec.afterwards)) {
    out.push_back(std::move(word));
  }
  return out;
}

void SlurmGangs::Submit(const GangSpec& spec, Gang& gang) {
  const auto refuse = [&gang](GangEnd end, absl::string_view why) {
    gang.was_refused = true;
    gang.missing_end = end;
    gang.missing_reason = std::string(why);
  };
  for (const std::string& path : {spec.program, spec.working_directory}) {
    // It would depend on where Slurm starts it.
    if (!path.empty() && path.front() != '/') {
      return refuse(GangEnd::kFailed, path + " is no absolute path");
    }
  }
  const absl::StatusOr<SlurmSubmission> submission = PrepareSubmission(
      gang.folder, RanksCommand(spec), AfterwardsCommand(spec));
  if (!submission.ok()) {
    return refuse(GangEndOf(submission.status()),
                  submission.status().message());
  }
  gang.mark = submission->mark;
  std::vector<std::string> command = {
      "sbatch", "--parsable", absl::StrCat("--job-name=", NameOf(spec.id)),
      absl::StrCat("--comment=", gang.mark),
      // A gang runs once: the coordinator starts another one.
      "--no-requeue", absl::StrCat("--ntasks=", spec.ranks),
      absl::StrCat("--cpus-per-task=", spec.threads),
      absl::StrCat("--chdir=", gang.folder.path()),
      absl::StrCat("--output=", gang.folder.output()), "--open-mode=append"};
  for (const std::vector<std::string>& more :
       {SbatchOptions(options_.slurm, spec.cluster_options),
        submission->script}) {
    command.insert(command.end(), more.begin(), more.end());
  }
  const absl::StatusOr<CommandResult> result =
      runner_->Run(command, options_.slurm.command_limit);
  if (absl::IsNotFound(result.status())) {
    return refuse(GangEnd::kFailed,
                  absl::StrCat(result.status().message(),
                               "; gangs under Slurm need its commands in PATH "
                               "(on Debian: slurm-client)"));
  }
  if (!result.ok()) {
    gang.missing_reason = std::string(result.status().message());
  } else if (result->exit_status != 0) {
    gang.missing_reason = ErrorOf("sbatch", result->words);
    if (IsFinalRefusal(result->words)) {
      refuse(GangEnd::kFailed, gang.missing_reason);
    }
  } else if (const absl::StatusOr<std::string> number =
                 ParseSbatch(result->output);
             number.ok()) {
    gang.missing_reason = absl::StrCat("Slurm has lost its job ", *number);
  } else {
    gang.missing_reason = std::string(number.status().message());
  }
}

absl::Duration SlurmGangs::NextRound() const {
  if (gangs_.empty()) return absl::InfiniteDuration();
  const absl::Duration interval = options_.slurm.poll_interval;
  return last_poll_ +
         (hurry_ ? std::min(interval, kHurriedInterval) : interval);
}

absl::StatusOr<SlurmGangs::Jobs> SlurmGangs::Ask() {
  ASSIGN_OR_RETURN(const CommandResult answer,
                   runner_->Run(SqueueCommand(), options_.slurm.command_limit));
  if (answer.exit_status != 0) {
    return absl::UnavailableError(ErrorOf("squeue", answer.words));
  }
  return ParseSqueue(answer.output);
}

void SlurmGangs::Round() {
  // Those of which Slurm need not be asked.
  for (auto it = gangs_.begin(); it != gangs_.end();) {
    it = LookAtFolder(it->first, it->second) ? gangs_.erase(it) : std::next(it);
  }
  if (clock_->Now() < NextRound()) return;
  hurry_ = false;
  const absl::StatusOr<Jobs> jobs = Ask();
  last_poll_ = clock_->Now();
  // Of a launcher that ends nothing is told.
  if (absl::IsCancelled(jobs.status())) return;
  if (is_silent_ != !jobs.ok()) {
    is_silent_ = !jobs.ok();
    events_->ClusterSilent(std::string(jobs.status().message()));
  }
  if (!jobs.ok()) return;
  Orders orders;
  for (auto it = gangs_.begin(); it != gangs_.end();) {
    // A folder that can't be read now.
    const bool is_known = !it->second.mark.empty();
    const auto job = jobs->find(it->second.mark);
    const bool told =
        is_known &&
        Advance(it->first, it->second,
                job == jobs->end() ? nullptr : &job->second, &orders);
    it = told ? gangs_.erase(it) : std::next(it);
  }
  Send(orders);
  if (!orders.forgotten.empty()) AdvanceForgotten(orders.forgotten);
}

bool SlurmGangs::LookAtFolder(GangId id, Gang& gang) {
  if (gang.was_refused) return AdvanceNeverBegun(id, gang, nullptr);
  if (!gang.mark.empty()) return false;
  const absl::StatusOr<GangEnding> ending = gang.folder.ReadEnd();
  if (ending.ok()) {
    events_->GangEnded(id, ending->end, ending->message);
    return true;
  }
  absl::StatusOr<std::string> mark = ReadMark(gang.folder);
  if (mark.ok()) {
    gang.mark = *std::move(mark);
    gang.missing_reason =
        "Slurm does not know it: it was not submitted, or lost";
    return false;
  }
  // Without a mark it was not submitted. One that can't be read (a power cut?)
  // leaves what the folder tells else.
  if (!absl::IsNotFound(mark.status()) && !absl::IsDataLoss(mark.status())) {
    return false;
  }
  return AdvanceByStatus(id, gang, nullptr) ||
         AdvanceNeverBegun(id, gang, nullptr);
}

bool SlurmGangs::Advance(GangId id, Gang& gang, const SlurmJob* job,
                         Orders* orders) {
  if (job == nullptr || job->phase == SlurmPhase::kEnded) {
    return AdvanceMissing(id, gang, job, orders);
  }
  gang.missing_since.reset();
  if (job->phase == SlurmPhase::kWaiting) {
    gang.waited = true;
    gang.tell_found = false;
    events_->GangWaits(id, job->reason.empty() ? job->state : job->reason);
  } else if (gang.tell_found || gang.waited) {
    gang.tell_found = gang.waited = false;
    events_->GangFound(id);
  }
  if (job->phase == SlurmPhase::kClearing) return false;
  if (gang.kill) {
    gang.was_cancelled = true;
    orders->kill.push_back(job->number);
  } else if (gang.stop) {
    orders->stop.push_back(job->number);
  }
  return false;
}

bool SlurmGangs::AdvanceMissing(GangId id, Gang& gang, const SlurmJob* job,
                                Orders* orders) {
  if (AdvanceByStatus(id, gang, job)) return true;
  if (!gang.missing_since.has_value()) gang.missing_since = clock_->Now();
  const bool waited_long =
      clock_->Now() - *gang.missing_since >= options_.slurm.grace;
  // Slurm has ended a job of which we know nothing yet: what it began, over a
  // network, may be seen late, but a claim is seen by who makes one.
  if (job == nullptr && !waited_long) return false;
  const absl::Status revoked = gang.folder.Revoke();
  if (revoked.ok()) return AdvanceNeverBegun(id, gang, job);
  if (!absl::IsFailedPrecondition(revoked)) return false;
  // Of one that is to be killed no better word is waited for. Slurm may have
  // ended it first, and says why.
  if (!waited_long && !gang.kill) return false;
  if (job != nullptr) return EndByState(id, gang, *job);
  const absl::StatusOr<std::string> number = ReadClaimingJob(gang.folder);
  if (!has_accounting_ || !number.ok()) return EndForgotten(id, gang, nullptr);
  orders->forgotten[id] = *number;
  return false;
}

void SlurmGangs::AdvanceForgotten(
    const std::map<GangId, std::string>& numbers) {
  const absl::StatusOr<Records> records = AskAccounting(numbers);
  if (absl::IsCancelled(records.status())) return;
  if (!records.ok()) {
    events_->Note(
        absl::StrCat("how jobs ended that Slurm has forgotten, its "
                     "accounting does not tell: ",
                     records.status().message()));
  }
  const Records known = records.value_or(Records());
  for (const auto& [id, number] : numbers) {
    const auto record = known.find(id);
    const auto gang = gangs_.find(id);
    if (EndForgotten(id, gang->second,
                     record == known.end() ? nullptr : &record->second)) {
      gangs_.erase(gang);
    }
  }
}

absl::StatusOr<SlurmGangs::Records> SlurmGangs::AskAccounting(
    const std::map<GangId, std::string>& numbers) {
  std::vector<std::string> list;
  for (const auto& [id, number] : numbers) list.push_back(number);
  const absl::StatusOr<CommandResult> answer =
      runner_->Run(SacctCommand(list), options_.slurm.command_limit);
  // Then there is none, and it is not asked again.
  if (absl::IsNotFound(answer.status())) has_accounting_ = false;
  RETURN_IF_ERROR(answer.status());
  if (answer->exit_status != 0) {
    if (IsWithoutAccounting(answer->words)) has_accounting_ = false;
    return absl::UnavailableError(ErrorOf("sacct", answer->words));
  }
  ASSIGN_OR_RETURN(const std::vector<SlurmRecord> all,
                   ParseSacct(answer->output));
  Records records;
  for (const SlurmRecord& record : all) {
    for (const auto& [id, number] : numbers) {
      // A number may have been another job's since, or before.
      if (record.job.number != number || record.name != NameOf(id) ||
          record.folder != FolderOf(id).path()) {
        continue;
      }
      SlurmRecord& newest = records[id];
      if (newest.submitted <= record.submitted) newest = record;
    }
  }
  return records;
}

bool SlurmGangs::EndForgotten(GangId id, Gang& gang,
                              const SlurmRecord* record) {
  // It may have come at last.
  if (AdvanceByStatus(id, gang, nullptr)) return true;
  const std::string gone = "Slurm does not know it any more";
  if (record == nullptr) {
    return End(id, gang, GangEnd::kLost,
               gang.was_cancelled ? "it was killed; " + gone
                                  : gone + ", and it left no word");
  }
  const SlurmJob& job = record->job;
  // slurmctld had no time to tell.
  if (job.phase != SlurmPhase::kEnded) {
    return End(id, gang, GangEnd::kLost,
               absl::StrCat(gone, ", and its accounting still has job ",
                            job.number, " as ", job.state));
  }
  // The script ends as the ranks did. That all is done is not taken from here,
  // as the folder lacks what says so: a new gang finds out in no time.
  if (job.state == "FAILED" && record->exit_status != 0) {
    return EndByStatus(id, gang, record->exit_status, &job);
  }
  return EndByState(id, gang, job);
}

bool SlurmGangs::EndByState(GangId id, Gang& gang, const SlurmJob& job) {
  if (IsOutOfMemory(&job)) {
    return End(id, gang, GangEnd::kOutOfMemory, OutOfMemory(job));
  }
  return End(id, gang, GangEnd::kLost, Describe(job));
}

bool SlurmGangs::AdvanceNeverBegun(GangId id, Gang& gang, const SlurmJob* job) {
  const absl::Status revoked = gang.folder.Revoke();
  if (!revoked.ok()) {
    if (absl::IsFailedPrecondition(revoked)) gang.was_refused = false;
    // What sbatch has refused is not there, whatever the folder is good for.
    if (!gang.was_refused) return false;
  }
  if (gang.was_refused || job == nullptr) {
    return End(id, gang, gang.missing_end, gang.missing_reason);
  }
  if (gang.stop && !gang.kill) {
    return End(id, gang, GangEnd::kStopped, "stopped before it began");
  }
  return End(id, gang, GangEnd::kLost,
             absl::StrCat(Describe(*job), " before it began"));
}

bool SlurmGangs::AdvanceByStatus(GangId id, Gang& gang, const SlurmJob* job) {
  const absl::StatusOr<int> exit_status = ReadRanksStatus(gang.folder);
  if (absl::IsDataLoss(exit_status.status())) {
    return End(id, gang, GangEnd::kLost,
               std::string(exit_status.status().message()));
  }
  if (!exit_status.ok()) return false;
  return EndByStatus(id, gang, *exit_status, job);
}

bool SlurmGangs::EndByStatus(GangId id, Gang& gang, int exit_status,
                             const SlurmJob* job) {
  // As waitpid() would tell it of an mpirun.
  const absl::Status status = GangStatus(exit_status << 8);
  // Whoever was killed for it, another rank may have told first.
  if (!status.ok() && !absl::IsCancelled(status) && IsOutOfMemory(job)) {
    return End(id, gang, GangEnd::kOutOfMemory, OutOfMemory(*job));
  }
  std::string message(status.message());
  if (!status.ok() && !absl::IsCancelled(status)) {
    std::string words = LastWords(gang.folder.output());
    if (words.empty() && exit_status < 128) {
      words = LastWords(gang.folder.output(), "srun: error: ");
    }
    if (!words.empty()) message = words;
    if (job != nullptr && job->state != "COMPLETED" && job->state != "FAILED") {
      absl::StrAppend(&message, "; ", Describe(*job));
    }
  }
  return End(id, gang, GangEndOf(status), message);
}

bool SlurmGangs::End(GangId id, Gang& gang, GangEnd end,
                     const std::string& reason) {
  // First: so that the same is told when it is asked for again.
  const absl::Status written =
      gang.folder.WriteEnd({end, reason, clock_->WallTime()});
  if (!written.ok() && !gang.was_refused) return false;
  events_->GangEnded(id, end, reason);
  return true;
}

void SlurmGangs::Send(const Orders& orders) {
  // Sent again with each round until it is done: their statuses say nothing
  // that squeue does not tell better.
  const auto cancel = [this](std::vector<std::string> command,
                             const std::vector<std::string>& numbers) {
    if (numbers.empty()) return;
    command.insert(command.end(), numbers.begin(), numbers.end());
    runner_->Run(command, options_.slurm.command_limit).status().IgnoreError();
  };
  cancel({"scancel", "--quiet"}, orders.kill);
  // By Slurm's own view of a job that may have begun by now.
  cancel({"scancel", "--quiet", "--state=PENDING"}, orders.stop);
  cancel({"scancel", "--quiet", "--state=RUNNING", "--batch", "--signal=TERM"},
         orders.stop);
}

}  // namespace caracal
