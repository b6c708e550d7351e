#include "jobs/launch/local_gang.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "jobs/launch/shared_folder.h"
#include "jobs/launch/stuck_launcher.h"
#include "kernels/common/thread_pool.h"

namespace caracal {
namespace {

constexpr char kMpirun[] = "mpirun";
constexpr char kNeedsOpenMpi[] =
    "; ranks of their own need Open MPI (on Debian: openmpi-bin)";
// How often the stop flag is looked at while the ranks run.
constexpr absl::Duration kPoll = absl::Milliseconds(100);
// mpirun kills ranks within two seconds of the first one's end.
constexpr absl::Duration kMpirunPatience = absl::Seconds(5);

// Whether each rank can be held to a core of its own: one with several threads
// must not be, and mpirun would take cores that this process was kept from.
bool EachHasACore(const GangCommand& command) {
  cpu_set_t ours;
  const bool all = sched_getaffinity(0, sizeof(ours), &ours) == 0 &&
                   CPU_COUNT(&ours) == sysconf(_SC_NPROCESSORS_ONLN);
  return all && command.alone && command.threads == 1 &&
         command.ranks <= AvailableCores();
}

// As exec wants them: of strings that stay. Ends with a null.
std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (const std::string& string : strings) {
    out.push_back(const_cast<char*>(string.c_str()));
  }
  out.push_back(nullptr);
  return out;
}

// This process's environment with these in it.
std::vector<std::string> EnvironmentWith(
    const std::vector<std::string>& changes) {
  std::vector<std::string> out = changes;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const absl::string_view name =
        absl::string_view(*entry).substr(0, std::strcspn(*entry, "="));
    const bool changed =
        std::any_of(changes.begin(), changes.end(), [&](const auto& change) {
          return absl::StartsWith(change, absl::StrCat(name, "="));
        });
    if (!changed) out.emplace_back(*entry);
  }
  return out;
}

absl::StatusOr<pid_t> Spawn(const std::vector<std::string>& arguments,
                            const std::vector<std::string>& environment,
                            int death_signal) {
  // All of it before the fork: other threads may hold the locks of malloc().
  const std::vector<std::string> variables = EnvironmentWith(environment);
  const std::vector<char*> argv = Pointers(arguments),
                           envp = Pointers(variables);
  // Closed by a successful exec; else it carries the error.
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe2");
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) {
    const int error = errno;
    close(report[0]);
    close(report[1]);
    return ErrnoStatus(error, "fork");
  }
  if (child == 0) {
    // A group of its own: Ctrl-C is for us, who ask the ranks to save; mpirun
    // would end them at once. It ends them when we are gone.
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, death_signal);
    if (getppid() == parent) execvpe(argv[0], argv.data(), envp.data());
    const int error = errno;
    (void)!write(report[1], &error, sizeof(error));
    _exit(127);
  }
  close(report[1]);
  int error = 0;
  const ssize_t got = read(report[0], &error, sizeof(error));
  close(report[0]);
  if (got != sizeof(error)) return child;
  waitpid(child, nullptr, 0);
  return absl::FailedPreconditionError(absl::StrCat(
      "can't start ", arguments[0], ": ", std::strerror(error), kNeedsOpenMpi));
}

// Of mpirun and the ranks that it has now; the rest follow.
void Kill(pid_t mpirun, const std::vector<ChildProcess>& ranks) {
  for (const ChildProcess& rank : ranks) {
    if (!rank.ended) kill(rank.pid, SIGKILL);
  }
  kill(mpirun, SIGKILL);
  waitpid(mpirun, nullptr, 0);
}

bool IsSet(const std::atomic<bool>* flag) { return flag != nullptr && *flag; }

}  // namespace

absl::StatusOr<std::string> FindProgram(const std::string& name,
                                        const std::string& build_folder) {
  std::error_code error;
  const std::filesystem::path self =
      std::filesystem::read_symlink("/proc/self/exe", error);
  const std::filesystem::path folder = self.parent_path();
  std::vector<std::string> tried;
  for (const std::string& place :
       {name, absl::StrCat("../", build_folder, "/", name)}) {
    const std::string path = (folder / place).lexically_normal();
    if (access(path.c_str(), X_OK) == 0) return path;
    tried.push_back(path);
  }
  return absl::NotFoundError(absl::StrCat(
      "no ", name, ", which a gang needs, at ", absl::StrJoin(tried, " or ")));
}

absl::StatusOr<std::string> FindWorker() {
  return FindProgram("caracal-worker", "worker");
}

absl::Status CheckLocalGangs(const std::string& path) {
  const auto has_mpirun = [](absl::string_view folder) {
    // As execvpe() has it.
    return access(absl::StrCat(folder.empty() ? "." : folder, "/", kMpirun)
                      .c_str(),
                  X_OK) == 0;
  };
  const std::vector<absl::string_view> folders = absl::StrSplit(path, ':');
  if (std::none_of(folders.begin(), folders.end(), has_mpirun)) {
    return absl::NotFoundError(
        absl::StrCat("no ", kMpirun, " in PATH (", path, ")", kNeedsOpenMpi));
  }
  return FindWorker().status();
}

std::vector<std::string> LocalGangArguments(const GangCommand& command,
                                            const std::string& worker,
                                            const std::string& shared_folder,
                                            bool bind, bool root) {
  std::vector<std::string> out = {kMpirun, "-n", absl::StrCat(command.ranks)};
  if (root) out.push_back("--allow-run-as-root");
  out.insert(out.end(),
             {"--oversubscribe", "--bind-to", bind ? "core" : "none"});
  // One machine: shared memory, and mpirun's own messages on the loopback.
  out.insert(out.end(), {"--mca", "btl", "self,vader", "--mca", "pml", "ob1",
                         "--mca", "oob_tcp_if_include", "lo"});
  // However the environment has it: how long mpirun stays after its ranks, and
  // that its main thread starts them. A rank that is to die with its parent
  // dies with the thread that started it.
  out.insert(out.end(), {"--mca", "odls_base_sigkill_timeout", "1", "--mca",
                         "odls_base_num_threads", "0"});
  if (!shared_folder.empty()) {
    out.insert(out.end(),
               {"--mca", "btl_vader_backing_directory", shared_folder, "--mca",
                "orte_tmpdir_base", shared_folder});
  }
  out.push_back("--quiet");
  out.push_back(worker);
  out.insert(out.end(), command.arguments.begin(), command.arguments.end());
  return out;
}

absl::Status RunLocalGang(const GangCommand& command) {
  std::string program = command.program;
  if (program.empty()) {
    ASSIGN_OR_RETURN(program, FindWorker());
  }
  std::optional<SharedFolder> shared;
  if (command.shared_folder.empty()) shared.emplace();
  ASSIGN_OR_RETURN(
      const pid_t child,
      Spawn(LocalGangArguments(
                command, program,
                shared.has_value() ? shared->path() : command.shared_folder,
                EachHasACore(command), geteuid() == 0),
            command.environment, command.death_signal));
  StuckLauncher stuck(kMpirunPatience, Clock::Real());
  bool asked = false;
  int status = 0;
  while (true) {
    const pid_t done = waitpid(child, &status, WNOHANG);
    if (done == child) break;
    if (done < 0 && errno != EINTR) {
      return ErrnoStatus(errno, "waitpid of mpirun");
    }
    const std::vector<ChildProcess> ranks = ChildrenOf(child);
    if (IsSet(command.kill)) {
      Kill(child, ranks);
      return absl::UnavailableError("the ranks were killed");
    }
    if (!asked && IsSet(command.stop) && !ranks.empty()) {
      // mpirun hands this one on to its ranks, when it has some.
      kill(child, SIGUSR1);
      asked = true;
    }
    if (stuck.Look(ranks)) {
      Kill(child, ranks);
      return absl::UnavailableError("a rank ended and mpirun hung");
    }
    absl::SleepFor(kPoll);
  }
  return GangStatus(status);
}

absl::Status GangStatus(int wait_status) {
  // Asked to stop before it could listen: it has nothing to save yet.
  const bool stopped_early = WIFSIGNALED(wait_status)
                                 ? WTERMSIG(wait_status) == SIGUSR1
                                 : WEXITSTATUS(wait_status) == 128 + SIGUSR1;
  if (stopped_early) {
    return absl::CancelledError("stopped before the first step");
  }
  if (WIFSIGNALED(wait_status)) {
    // Says nothing of the ranks: it may even crash while it ends, after them.
    const int signal = WTERMSIG(wait_status);
    return absl::UnavailableError(absl::StrCat(
        "mpirun was ended by signal ", signal, " (", strsignal(signal), ")"));
  }
  const int exit_status = WEXITSTATUS(wait_status);
  switch (exit_status) {
    case kWorkerDone:
      return absl::OkStatus();
    case kWorkerStopped:
      return absl::CancelledError("it was asked to stop, and saved first");
    case kWorkerTransient:
      return absl::UnavailableError(
          "the ranks ended for a reason that may pass (their output may tell)");
  }
  // mpirun's for a rank that a signal ended.
  const int signal = exit_status - 128;
  switch (signal) {
    case SIGKILL:
    case SIGTERM:
    case SIGINT:
    case SIGHUP:
    case SIGBUS:  // A file that vanished, or a disk that is full.
      return absl::UnavailableError(absl::StrCat(
          "a rank was ended by signal ", signal, " (", strsignal(signal), ")"));
  }
  if (signal > 0) {
    return absl::InternalError(absl::StrCat("a rank crashed: signal ", signal,
                                            " (", strsignal(signal), ")"));
  }
  return absl::InternalError(
      "the ranks ended with an error (their output may tell)");
}

}  // namespace caracal
