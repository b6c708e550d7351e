#include "jobs/launch/local_launcher.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "jobs/launch/gang_processes.h"
#include "jobs/launch/gang_supervisor.h"
#include "jobs/launch/local_gang.h"

namespace caracal {
namespace {

// How soon a gang is looked at again whose supervisor can't be watched.
constexpr absl::Duration kLookAgain = absl::Seconds(1);
// Likewise, killed processes that are not gone yet.
constexpr absl::Duration kSweepAgain = absl::Milliseconds(20);

Descriptor OpenProcess(pid_t pid) {
  return Descriptor(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}

bool HasEnded(const Descriptor& process) {
  pollfd ended = {process.get(), POLLIN, 0};
  return poll(&ended, 1, 0) == 1;
}

// What is in a pipe now.
std::string ReadAvailable(const Descriptor& pipe) {
  std::string out;
  char buffer[4096];
  while (true) {
    const ssize_t n = read(pipe.get(), buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return out;
    out.append(buffer, n);
  }
}

}  // namespace

struct LocalLauncher::Order {
  enum class Kind { kStart, kStop, kKill, kFind };
  Kind kind;
  GangId id;
  absl::Status status = absl::OkStatus();  // of what Start() has done already
};

struct LocalLauncher::Watched {
  enum class Stage {
    kLooking,   // to be looked at, when it is time
    kStarting,  // `process` is the caracal-gang that we started
    kRunning,   // `process` is the supervisor
    kSweeping,  // killed; to be told as `reason` when no process is left
  };
  explicit Watched(GangFolder its_folder) : folder(std::move(its_folder)) {}

  GangFolder folder;
  Stage stage = Stage::kLooking;
  Descriptor process;
  Descriptor words;   // standard error of what we started
  pid_t starter = 0;  // our child, when kStarting
  // Nobody has started it, and we won't.
  bool cannot_start = false;
  // Of a gang that never was.
  GangEnd missing_end = GangEnd::kLost;
  std::string missing_reason = kNoTrace;
  std::string reason, shared_folder;  // when kSweeping
  bool tell_found = false, stop = false, kill = false;
  bool was_killed = false;  // its supervisor, by us
  absl::Duration look_at = absl::ZeroDuration();
  absl::Duration force_at = absl::InfiniteDuration();
};

absl::StatusOr<std::unique_ptr<LocalLauncher>> LocalLauncher::Open(
    const LocalLauncherOptions& options, LauncherEvents* events) {
  LocalLauncherOptions found = options;
  if (found.gang_program.empty()) {
    ASSIGN_OR_RETURN(found.gang_program, FindProgram("caracal-gang", "launch"));
    // Else every job would fail as it starts.
    const char* const path = std::getenv("PATH");
    RETURN_IF_ERROR(CheckLocalGangs(path != nullptr ? path : ""));
  }
  FileSystem* const files = FileSystem::Posix();
  if (!files->Exists(found.gangs_folder)) {
    RETURN_IF_ERROR(files->CreateFolder(found.gangs_folder));
    if (chmod(found.gangs_folder.c_str(), 0700) != 0) {
      return ErrnoStatus(errno, "chmod of " + found.gangs_folder);
    }
  }
  // As the mark of a gang's processes has it.
  std::error_code error;
  found.gangs_folder =
      std::filesystem::canonical(options.gangs_folder, error).string();
  if (error) return ErrnoStatus(error.value(), "open " + options.gangs_folder);
  Descriptor wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.is_open()) return ErrnoStatus(errno, "eventfd");
  return std::unique_ptr<LocalLauncher>(
      new LocalLauncher(found, events, std::move(wake)));
}

LocalLauncher::LocalLauncher(const LocalLauncherOptions& options,
                             LauncherEvents* events, Descriptor wake)
    : options_(options),
      events_(events),
      wake_(std::move(wake)),
      thread_([this] { Run(); }) {}

LocalLauncher::~LocalLauncher() {
  {
    const std::lock_guard lock(mutex_);
    quit_ = true;
  }
  eventfd_write(wake_.get(), 1);
  thread_.join();
}

GangFolder LocalLauncher::FolderOf(GangId id) const {
  return GangFolder(JoinPath(options_.gangs_folder, ToString(id)));
}

void LocalLauncher::Push(Order order) {
  {
    const std::lock_guard lock(mutex_);
    orders_.push_back(std::move(order));
  }
  eventfd_write(wake_.get(), 1);
}

absl::Status LocalLauncher::Start(const GangSpec& spec) {
  // Here, so that of two calls one is told that it came second.
  absl::Status created = FolderOf(spec.id).Create(spec);
  if (absl::IsAlreadyExists(created)) return created;
  Push({Order::Kind::kStart, spec.id, std::move(created)});
  return absl::OkStatus();
}

void LocalLauncher::Stop(GangId id) { Push({Order::Kind::kStop, id}); }
void LocalLauncher::Kill(GangId id) { Push({Order::Kind::kKill, id}); }
void LocalLauncher::Find(GangId id) { Push({Order::Kind::kFind, id}); }

void LocalLauncher::Run() {
  while (true) {
    std::vector<Order> orders;
    {
      const std::lock_guard lock(mutex_);
      if (quit_) return;
      orders.swap(orders_);
    }
    for (const Order& order : orders) Obey(order);
    for (auto it = watched_.begin(); it != watched_.end();) {
      it = Advance(it->first, *it->second) ? watched_.erase(it) : std::next(it);
    }
    Wait();
  }
}

void LocalLauncher::Obey(const Order& order) {
  std::unique_ptr<Watched>& known = watched_[order.id];
  if (known == nullptr) known = std::make_unique<Watched>(FolderOf(order.id));
  Watched& gang = *known;
  switch (order.kind) {
    case Order::Kind::kStart:
      if (order.status.ok()) {
        Spawn(gang);
      } else {
        gang.missing_end = GangEndOf(order.status);
        gang.missing_reason = std::string(order.status.message());
        gang.cannot_start = true;
      }
      return;
    case Order::Kind::kStop:
      gang.stop = true;
      break;
    case Order::Kind::kKill:
      gang.kill = true;
      break;
    case Order::Kind::kFind:
      gang.tell_found = true;
      // It may be running, and then nothing else makes us look.
      if (gang.stage == Watched::Stage::kRunning) {
        gang.stage = Watched::Stage::kLooking;
        gang.look_at = absl::ZeroDuration();
      }
      return;
  }
  if (gang.stage == Watched::Stage::kRunning) Signal(gang);
  if (gang.stage == Watched::Stage::kStarting && gang.kill) ForceSoon(gang);
}

void LocalLauncher::ForceSoon(Watched& gang) {
  gang.force_at =
      std::min(gang.force_at, clock_->Now() + options_.kill_patience);
}

void LocalLauncher::Wait() {
  absl::Duration until = absl::InfiniteDuration();
  std::vector<pollfd> polled = {{wake_.get(), POLLIN, 0}};
  for (const auto& [id, gang] : watched_) {
    if (gang->process.is_open()) {
      polled.push_back({gang->process.get(), POLLIN, 0});
      until = std::min(until, gang->force_at);
    } else {
      until = std::min(until, gang->look_at);
    }
  }
  int timeout_ms = -1;
  if (until != absl::InfiniteDuration()) {
    const absl::Duration left =
        std::clamp(until - clock_->Now(), absl::ZeroDuration(), absl::Hours(1));
    timeout_ms = static_cast<int>(
        absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1))));
  }
  poll(polled.data(), polled.size(), timeout_ms);
  eventfd_t ignored;
  eventfd_read(wake_.get(), &ignored);
}

void LocalLauncher::Spawn(Watched& gang) {
  int words[2];
  if (pipe2(words, O_CLOEXEC | O_NONBLOCK) != 0) {
    gang.cannot_start = true;
    gang.missing_reason = absl::StrCat("pipe2: ", std::strerror(errno));
    return;
  }
  gang.words = Descriptor(words[0]);
  const Descriptor theirs(words[1]);
  std::string program = options_.gang_program, folder = gang.folder.path();
  char* const argv[] = {program.data(), folder.data(), nullptr};
  // It sees to the rest of what it would inherit.
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY,
                                   0);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY,
                                   0);
  posix_spawn_file_actions_adddup2(&files, theirs.get(), STDERR_FILENO);
  const int error = posix_spawn(&gang.starter, program.c_str(), &files, nullptr,
                                argv, environ);
  posix_spawn_file_actions_destroy(&files);
  if (error != 0) {
    gang.cannot_start = true;
    gang.missing_end =
        error == EAGAIN || error == ENOMEM ? GangEnd::kLost : GangEnd::kFailed;
    gang.missing_reason =
        absl::StrCat("can't start ", program, ": ", std::strerror(error));
    return;
  }
  gang.process = OpenProcess(gang.starter);
  gang.stage = Watched::Stage::kStarting;
  if (gang.kill) ForceSoon(gang);
}

bool LocalLauncher::Advance(GangId id, Watched& gang) {
  switch (gang.stage) {
    case Watched::Stage::kLooking:
      return clock_->Now() >= gang.look_at && Look(id, gang);
    case Watched::Stage::kStarting: {
      // Without a pidfd we have to wait for it; it ends soon.
      const bool watched = gang.process.is_open();
      if (watched && !HasEnded(gang.process)) break;
      int status = 0;
      pid_t done;
      do {
        done = waitpid(gang.starter, &status, 0);
      } while (done < 0 && errno == EINTR);
      gang.process.Close();
      const std::string words = ReadAvailable(gang.words);
      gang.words.Close();
      // Where SIGCHLD is ignored there is no status.
      const bool final = done == gang.starter && WIFEXITED(status) &&
                         WEXITSTATUS(status) != kWorkerTransient;
      gang.missing_end = final ? GangEnd::kFailed : GangEnd::kLost;
      gang.missing_reason = absl::StrCat(
          "it could not be started: ",
          words.empty() ? "caracal-gang was killed"
                        : absl::string_view(absl::StripAsciiWhitespace(words)));
      gang.force_at = absl::InfiniteDuration();
      return Look(id, gang);
    }
    case Watched::Stage::kRunning:
      if (!HasEnded(gang.process)) break;
      gang.process.Close();
      gang.force_at = absl::InfiniteDuration();
      return Look(id, gang);
    case Watched::Stage::kSweeping:
      if (clock_->Now() < gang.look_at) return false;
      if (KillGangProcesses(gang.folder.path()) == 0) {
        RemoveSharedFolder(gang.shared_folder);
        return Ended(id, GangEnd::kLost, gang.reason);
      }
      gang.look_at = clock_->Now() + kSweepAgain;
      return false;
  }
  if (clock_->Now() >= gang.force_at) {
    gang.force_at = absl::InfiniteDuration();
    const bool sent = syscall(SYS_pidfd_send_signal, gang.process.get(),
                              SIGKILL, nullptr, 0) == 0;
    gang.was_killed = sent && gang.stage == Watched::Stage::kRunning;
  }
  return false;
}

// Ends at the latest when the gang does: each time around, it went on.
bool LocalLauncher::Look(GangId id, Watched& gang) {
  gang.stage = Watched::Stage::kLooking;
  gang.process.Close();
  if (gang.cannot_start) {
    // So that nobody does by hand. On a full disk even that may fail.
    gang.folder.Revoke().IgnoreError();
    return Ended(id, gang.missing_end, gang.missing_reason);
  }
  while (true) {
    const absl::StatusOr<GangSight> sight = gang.folder.Inspect();
    if (!sight.ok()) break;
    switch (sight->phase) {
      case GangPhase::kNotStarted: {
        const absl::Status revoked = gang.folder.Revoke();
        if (revoked.ok()) {
          return Ended(id, gang.missing_end, gang.missing_reason);
        }
        if (absl::IsFailedPrecondition(revoked)) continue;
        break;
      }
      case GangPhase::kRevoked:
        return Ended(id, gang.missing_end, gang.missing_reason);
      case GangPhase::kEnded:
        return Ended(id, sight->ending.end, sight->ending.message);
      case GangPhase::kVanished:
        gang.stage = Watched::Stage::kSweeping;
        gang.look_at = absl::ZeroDuration();
        gang.reason = gang.was_killed
                          ? "the gang was killed, with its supervisor"
                          : "the gang ended without a word (its output.log "
                            "may tell)";
        gang.shared_folder = SharedFolderOf(sight->pid, sight->start_time);
        return Advance(id, gang);
      case GangPhase::kRunning: {
        if (std::exchange(gang.tell_found, false)) events_->GangFound(id);
        if (sight->pid == 0) break;
        Descriptor process = OpenProcess(sight->pid);
        if (!process.is_open() && errno != ESRCH) break;
        const absl::StatusOr<GangSight> again = gang.folder.Inspect();
        if (!again.ok()) break;
        if (!process.is_open() || again->phase != GangPhase::kRunning ||
            again->pid != sight->pid) {
          continue;
        }
        gang.process = std::move(process);
        gang.stage = Watched::Stage::kRunning;
        Signal(gang);
        return false;
      }
    }
    break;
  }
  // Nothing is known for sure.
  gang.look_at = clock_->Now() + kLookAgain;
  return false;
}

void LocalLauncher::Signal(Watched& gang) {
  if (std::exchange(gang.stop, false)) {
    syscall(SYS_pidfd_send_signal, gang.process.get(), SIGUSR1, nullptr, 0);
  }
  if (std::exchange(gang.kill, false)) {
    syscall(SYS_pidfd_send_signal, gang.process.get(), SIGTERM, nullptr, 0);
    ForceSoon(gang);
  }
}

bool LocalLauncher::Ended(GangId id, GangEnd end, const std::string& reason) {
  events_->GangEnded(id, end, reason);
  return true;
}

}  // namespace caracal
