#include "jobs/launch/slurm/testing/fake_slurm.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/file_system.h"
#include "core/base/status.h"

namespace caracal {
namespace {

bool Has(const std::vector<std::string>& argv, const char* argument) {
  return std::find(argv.begin(), argv.end(), argument) != argv.end();
}

}  // namespace

std::string OptionOf(const std::vector<std::string>& argv,
                     const std::string& name) {
  const std::string begin = absl::StrCat("--", name, "=");
  for (const std::string& argument : argv) {
    if (absl::StartsWith(argument, begin)) return argument.substr(begin.size());
  }
  return "";
}

absl::StatusOr<CommandResult> FakeSlurm::Run(
    const std::vector<std::string>& argv, absl::Duration limit) {
  CARACAL_CHECK(limit > absl::ZeroDuration() &&
                limit < absl::InfiniteDuration());
  const int index = static_cast<int>(commands.size());
  commands.push_back(argv);
  const bool is_lost = lost_at >= 0 && index >= lost_at;
  if (is_lost && (index > lost_at || !lost_after)) {
    return absl::CancelledError("killed");
  }
  absl::StatusOr<CommandResult> answer = Answer(argv);
  if (is_lost) return absl::CancelledError("killed");
  return answer;
}

absl::StatusOr<CommandResult> FakeSlurm::Answer(
    const std::vector<std::string>& argv) {
  if (argv[0] == "sbatch") return Submit(argv);
  if (argv[0] == "sacct") return sacct;
  if (is_away) {
    return CommandResult{.exit_status = 1,
                         .words = "error: Unable to contact slurm controller"};
  }
  if (argv[0] == "squeue") return List();
  CARACAL_CHECK(argv[0] == "scancel") << argv[0];
  Cancel(argv);
  return CommandResult{};
}

absl::StatusOr<CommandResult> FakeSlurm::Submit(
    const std::vector<std::string>& argv) {
  switch (submission) {
    case Submission::kMissing:
      return absl::NotFoundError("can't start sbatch");
    case Submission::kSilentlyRefused:
      return absl::DeadlineExceededError("sbatch gave no answer");
    case Submission::kRefused:
      return CommandResult{.exit_status = 1, .words = refusal};
    default:
      break;
  }
  Job job;
  job.mark = OptionOf(argv, "comment");
  job.name = OptionOf(argv, "job-name");
  job.folder = argv[argv.size() - 4];
  jobs.push_back(job);
  if (submission == Submission::kSilent) {
    return absl::DeadlineExceededError("sbatch gave no answer");
  }
  return CommandResult{.output = submission == Submission::kGarbled
                                     ? "Thank you for using Slurm\n"
                                     : absl::StrCat(jobs.size(), "\n")};
}

CommandResult FakeSlurm::List() const {
  if (!squeue_output.empty()) return {.output = squeue_output};
  CommandResult result;
  for (size_t i = 0; i < jobs.size(); ++i) {
    if (jobs[i].is_forgotten) continue;
    absl::StrAppend(&result.output, "job|", i + 1, "|", jobs[i].state, "|",
                    jobs[i].reason, "|", jobs[i].mark, "\n");
  }
  return result;
}

void FakeSlurm::Cancel(const std::vector<std::string>& argv) {
  const std::string only = OptionOf(argv, "state");
  for (const std::string& argument : argv) {
    int number = 0;
    if (!absl::SimpleAtoi(argument, &number)) continue;
    Job& job = this->job(number);
    if (!only.empty() && job.state != only) continue;
    if (job.state == "PENDING") job.state = "CANCELLED";
    if (job.state != "RUNNING") continue;
    if (Has(argv, "--signal=TERM")) {
      Exit(number, 85);
      job.state = "FAILED";
      job.reason = "NonZeroExitCode";
    } else {
      job.state = "CANCELLED";
    }
  }
}

void FakeSlurm::Begin(int number) {
  Job& job = this->job(number);
  const std::string claim = job.folder + "/claim";
  if (FileSystem::Posix()->Exists(claim)) {
    job.state = "FAILED";
    job.reason = "NonZeroExitCode";
    return;
  }
  CARACAL_CHECK_OK(FileSystem::Posix()->WriteFileAtomically(
      claim, absl::StrCat("{\"slurm_job\": ", number, ", \"restarts\": 0}\n")));
  job.state = "RUNNING";
  ++job.begun;
}

void FakeSlurm::Exit(int number, int status) {
  Job& job = this->job(number);
  CARACAL_CHECK_OK(FileSystem::Posix()->WriteFileAtomically(
      job.folder + "/status", absl::StrCat("exit ", status, "\n")));
  job.state = status == 0 ? "COMPLETED" : "FAILED";
}

int FakeSlurm::Count(const std::string& name) const {
  return std::count_if(commands.begin(), commands.end(),
                       [&name](const std::vector<std::string>& argv) {
                         return argv[0] == name;
                       });
}

}  // namespace caracal
