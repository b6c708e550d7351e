#include "jobs/launch/slurm/command_runner.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "jobs/launch/descriptor.h"

namespace caracal {
namespace {

constexpr size_t kMaxOutput = 64 << 20;  // bytes

std::vector<char*> Environment() {
  std::vector<char*> out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const absl::string_view text = *entry;
    const bool of_a_job = (absl::StartsWith(text, "SLURM_") &&
                           !absl::StartsWith(text, "SLURM_CONF=")) ||
                          absl::StartsWith(text, "SBATCH_");
    if (!of_a_job) out.push_back(*entry);
  }
  out.push_back(nullptr);
  return out;
}

struct Pipe {
  Descriptor read, write;
};

absl::StatusOr<Pipe> MakePipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe2");
  Pipe pipe{Descriptor(ends[0]), Descriptor(ends[1])};
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return pipe;
}

// What there is to read now; closes the pipe at its end.
void Drain(Descriptor& pipe, std::string& out) {
  char buffer[1 << 16];
  while (pipe.is_open()) {
    const ssize_t n = read(pipe.get(), buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
      pipe.Close();
      return;
    }
    out.append(buffer, std::min<size_t>(n, kMaxOutput - out.size()));
  }
}

absl::StatusOr<pid_t> Spawn(const std::vector<std::string>& arguments,
                            int output, int words) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY,
                                   0);
  posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&files, words, STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // A group of its own: Ctrl-C is for us. And signals as usual.
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP |
                                            POSIX_SPAWN_SETSIGMASK |
                                            POSIX_SPAWN_SETSIGDEF);
  pid_t child = 0;
  const int error = posix_spawnp(&child, argv[0], &files, &attributes,
                                 argv.data(), Environment().data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (error == 0) return child;
  const std::string why =
      absl::StrCat("can't start ", arguments[0], ": ", std::strerror(error));
  return error == ENOENT || error == EACCES ? absl::NotFoundError(why)
                                            : absl::UnavailableError(why);
}

class PosixCommandRunner : public CommandRunner {
 public:
  explicit PosixCommandRunner(Descriptor wake) : wake_(std::move(wake)) {}

  void Interrupt() override {
    interrupted_ = true;
    eventfd_write(wake_.get(), 1);
  }

  absl::StatusOr<CommandResult> Run(const std::vector<std::string>& argv,
                                    absl::Duration limit) override {
    ASSIGN_OR_RETURN(Pipe output, MakePipe());
    ASSIGN_OR_RETURN(Pipe words, MakePipe());
    const absl::Duration deadline = Clock::Real()->Now() + limit;
    if (interrupted_) return absl::CancelledError(argv[0] + " was not started");
    ASSIGN_OR_RETURN(const pid_t child,
                     Spawn(argv, output.write.get(), words.write.get()));
    output.write.Close();
    words.write.Close();
    CommandResult result;
    absl::Status killed = absl::OkStatus();
    // It closes them when it ends, at the latest.
    while (output.read.is_open() || words.read.is_open()) {
      const absl::Duration left = deadline - Clock::Real()->Now();
      if (interrupted_) {
        killed = absl::CancelledError(argv[0] + " was interrupted");
      } else if (left <= absl::ZeroDuration()) {
        killed = absl::DeadlineExceededError(absl::StrCat(
            argv[0], " gave no answer within ", absl::FormatDuration(limit)));
      }
      if (!killed.ok()) {
        kill(-child, SIGKILL);
        break;
      }
      pollfd polled[] = {{wake_.get(), POLLIN, 0},
                         {output.read.get(), POLLIN, 0},
                         {words.read.get(), POLLIN, 0}};
      poll(polled, 3,
           static_cast<int>(absl::ToInt64Milliseconds(absl::Ceil(
               std::min(left, absl::Hours(1)), absl::Milliseconds(1)))));
      Drain(output.read, result.output);
      Drain(words.read, result.words);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
      if (errno == EINTR) continue;
      // Where SIGCHLD is ignored there is no status.
      return ErrnoStatus(errno, "waitpid of " + argv[0]);
    }
    RETURN_IF_ERROR(killed);
    if (WIFSIGNALED(status)) {
      return absl::AbortedError(
          absl::StrCat(argv[0], " was ended by signal ", WTERMSIG(status)));
    }
    result.exit_status = WEXITSTATUS(status);
    return result;
  }

 private:
  const Descriptor wake_;  // an eventfd
  std::atomic<bool> interrupted_{false};
};

}  // namespace

absl::StatusOr<std::unique_ptr<CommandRunner>> MakeCommandRunner() {
  Descriptor wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.is_open()) return ErrnoStatus(errno, "eventfd");
  return std::make_unique<PosixCommandRunner>(std::move(wake));
}

}  // namespace caracal
