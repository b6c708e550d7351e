#include "jobs/launch/gang_supervisor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/clock.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "jobs/launch/descriptor.h"
#include "jobs/launch/gang_processes.h"
#include "jobs/launch/local_gang.h"
#include "kernels/common/thread_pool.h"

namespace caracal {
namespace {

std::atomic<bool> stop_asked{false};
std::atomic<bool> kill_asked{false};
static_assert(std::atomic<bool>::is_always_lock_free,
              "the handler may only touch lock-free atomics");

void OnSignal(int signal) {
  (signal == SIGTERM ? kill_asked : stop_asked) = true;
}

void Say(absl::string_view words) {
  const std::string line = absl::StrCat("caracal-gang: ", words, "\n");
  (void)!write(STDERR_FILENO, line.data(), line.size());
}

int ExitStatusOf(const absl::Status& status) {
  return GangEndOf(status) == GangEnd::kLost ? kWorkerTransient : kWorkerFailed;
}

void ForgetParent() {
  close_range(3, ~0u, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int signal = 1; signal < SIGRTMAX; ++signal) {
    struct sigaction usual = {};
    usual.sa_handler = SIG_DFL;
    sigaction(signal, &usual, nullptr);
  }
  const Descriptor null(open("/dev/null", O_RDWR | O_CLOEXEC));
  dup2(null.get(), STDIN_FILENO);
}

// Before the gang is claimed: then whoever signals the one who claimed it does
// not kill it.
void Listen() {
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGUSR1, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

absl::Status SendOutputTo(const std::string& path) {
  const Descriptor file(
      open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!file.is_open()) return ErrnoStatus(errno, "open " + path);
  if (dup2(file.get(), STDOUT_FILENO) < 0 ||
      dup2(file.get(), STDERR_FILENO) < 0) {
    return ErrnoStatus(errno, "dup2 of " + path);
  }
  return absl::OkStatus();
}

absl::Status RunGang(const GangFolder& folder, const GangSpec& spec,
                     const GangClaim& claim) {
  const std::string& where = spec.working_directory;
  if (!where.empty() && chdir(where.c_str()) != 0) {
    return ErrnoStatus(errno, "chdir to " + where);
  }
  if (setenv(kGangVariable, folder.path().c_str(), 1) != 0) {
    return ErrnoStatus(errno, "setenv");
  }
  std::error_code error;
  const std::string self =
      std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return absl::InternalError("no /proc/self/exe");
  std::string program = spec.program;
  if (program.empty()) {
    ASSIGN_OR_RETURN(program, FindWorker());
  }
  GangCommand command;
  command.ranks = spec.ranks;
  command.threads = spec.threads;
  command.program = self;
  // Other gangs would be held to the same cores.
  command.alone = spec.ranks == AvailableCores();
  command.stop = &stop_asked;
  command.kill = &kill_asked;
  command.death_signal = SIGKILL;
  command.shared_folder = SharedFolderOf(getpid(), claim.start_time());
  if (mkdir(command.shared_folder.c_str(), 0700) != 0) {
    // mpirun's own choice, then.
    command.shared_folder.clear();
  }
  const auto run = [&](const std::vector<std::string>& arguments) {
    command.arguments = {"--rank", program};
    command.arguments.insert(command.arguments.end(), arguments.begin(),
                             arguments.end());
    return RunLocalGang(command);
  };
  absl::Status status = run(spec.arguments);
  if (status.ok() && !spec.afterwards.empty()) {
    command.ranks = 1;
    command.threads = spec.threads * spec.ranks;
    command.alone = false;
    status = run(spec.afterwards);
  }
  // Nobody may count on the end of a gang while a rank of it still writes.
  while (KillGangProcesses(folder.path()) > 0) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  if (!command.shared_folder.empty()) {
    RemoveSharedFolder(command.shared_folder);
  }
  return status;
}

absl::Status Supervise(const std::string& path, Descriptor claimed) {
  Listen();
  const GangFolder folder(path);
  ASSIGN_OR_RETURN(const GangSpec spec, folder.ReadSpec());
  ASSIGN_OR_RETURN(const GangClaim claim, GangClaim::Take(folder));
  absl::Status status = SendOutputTo(folder.output());
  // Whoever waits may be gone.
  (void)!send(claimed.get(), "", 1, MSG_NOSIGNAL);
  claimed.Close();
  if (status.ok()) status = RunGang(folder, spec, claim);
  std::string message(status.message());
  if (!status.ok()) {
    Say(message);
    const std::string words = LastWords(folder.output());
    if (!absl::IsCancelled(status) && !words.empty()) message = words;
  }
  const absl::Status written =
      folder.WriteEnd({GangEndOf(status), message, Clock::Real()->WallTime()});
  if (!written.ok()) Say(written.message());
  return written;
}

}  // namespace

GangEnd GangEndOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return GangEnd::kDone;
    case absl::StatusCode::kCancelled:
      return GangEnd::kStopped;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kDeadlineExceeded:
      return GangEnd::kLost;
    default:
      return GangEnd::kFailed;
  }
}

std::string LastWords(const std::string& output_file, absl::string_view mark) {
  constexpr uint64_t kTail = 1 << 16;
  const std::string begins = absl::StrCat("\n", mark);
  const absl::StatusOr<std::unique_ptr<RandomAccessFile>> file =
      FileSystem::Posix()->Open(output_file);
  if (!file.ok()) return "";
  const absl::StatusOr<uint64_t> size = (*file)->Size();
  if (!size.ok()) return "";
  const uint64_t tail = std::min(*size, kTail);
  // A line feed before its first line, too.
  std::string text(tail + 1, '\n');
  const absl::StatusOr<size_t> read =
      (*file)->ReadAt(*size - tail, tail, text.data() + 1);
  if (!read.ok()) return "";
  text.resize(*read + 1);
  const size_t at = text.rfind(begins);
  if (at == std::string::npos) return "";
  const size_t begin = at + begins.size();
  return text.substr(begin, text.find('\n', begin) - begin);
}

std::string SharedFolderOf(pid_t supervisor, uint64_t start_time) {
  return absl::StrCat("/dev/shm/caracal-", supervisor, "-", start_time);
}

void RemoveSharedFolder(const std::string& path) {
  struct stat info;
  if (lstat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode) ||
      info.st_uid != geteuid()) {
    return;
  }
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

int SuperviseGang(const std::string& path) {
  ForgetParent();
  std::error_code error;
  const std::string folder = std::filesystem::canonical(path, error);
  if (error) {
    Say(absl::StrCat(path, ": ", error.message()));
    return kWorkerFailed;
  }
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    Say(ErrnoStatus(errno, "socketpair").message());
    return kWorkerTransient;
  }
  Descriptor ours(ends[0]), theirs(ends[1]);
  const pid_t child = fork();
  if (child < 0) {
    Say(ErrnoStatus(errno, "fork").message());
    return kWorkerTransient;
  }
  if (child > 0) {
    theirs.Close();
    char byte;
    ssize_t got = 0;
    do {
      got = recv(ours.get(), &byte, 1, 0);
    } while (got < 0 && errno == EINTR);
    if (got == 1) return kWorkerDone;
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : kWorkerTransient;
  }
  ours.Close();
  setsid();
  const absl::Status status = Supervise(folder, std::move(theirs));
  if (!status.ok()) {
    Say(status.message());
    return ExitStatusOf(status);
  }
  return kWorkerDone;
}

int BecomeRank(char** argv) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const char* const folder = std::getenv(kGangVariable);
  // mpirun may have died before that.
  if (folder == nullptr || !IsOfGang(getppid(), folder)) {
    Say("mpirun is gone");
    return kWorkerTransient;
  }
  execv(argv[0], argv);
  Say(absl::StrCat("can't start ", argv[0], ": ", std::strerror(errno)));
  return kWorkerFailed;
}

}  // namespace caracal
