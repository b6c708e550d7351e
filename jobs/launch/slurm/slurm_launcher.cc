#include "jobs/launch/slurm/slurm_launcher.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "jobs/launch/local_gang.h"

namespace caracal {
namespace {

// No launcher waits longer at a time: a clock may be set.
constexpr absl::Duration kLongestWait = absl::Minutes(1);

absl::Status CheckFolderName(const std::string& path) {
  for (const char c : path) {
    if (c == '%' || c == '\\' || absl::ascii_iscntrl(c)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "gangs under Slurm can't be in ", path,
          ": it has a %, a \\ or a control character in its name"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckCommand(const std::string& name, CommandRunner& runner,
                          absl::Duration limit) {
  const absl::StatusOr<CommandResult> result =
      runner.Run({name, "--version"}, limit);
  if (!result.ok()) {
    return Annotate(result.status(),
                    "gangs under Slurm need its commands in PATH (on Debian: "
                    "slurm-client)");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<SlurmLauncher>> SlurmLauncher::Open(
    const SlurmLauncherOptions& options, LauncherEvents* events) {
  RETURN_IF_ERROR(CheckSlurmOptions(options.slurm));
  SlurmGangsOptions found = {.gangs_folder = options.gangs_folder,
                             .worker = options.worker,
                             .working_directory = "",
                             .slurm = options.slurm};
  if (found.worker.empty()) {
    ASSIGN_OR_RETURN(found.worker, FindWorker());
  }
  FileSystem* const files = FileSystem::Posix();
  if (!files->Exists(found.gangs_folder)) {
    RETURN_IF_ERROR(files->CreateFolder(found.gangs_folder));
    if (chmod(found.gangs_folder.c_str(), 0700) != 0) {
      return ErrnoStatus(errno, "chmod of " + found.gangs_folder);
    }
  }
  std::error_code error;
  found.gangs_folder =
      std::filesystem::canonical(options.gangs_folder, error).string();
  if (error) return ErrnoStatus(error.value(), "open " + options.gangs_folder);
  RETURN_IF_ERROR(CheckFolderName(found.gangs_folder));
  for (std::string* path : {&found.worker, &found.working_directory}) {
    *path = std::filesystem::absolute(path->empty() ? "." : *path, error)
                .lexically_normal()
                .string();
    if (error) return ErrnoStatus(error.value(), "the working folder");
  }
  ASSIGN_OR_RETURN(std::unique_ptr<CommandRunner> runner, MakeCommandRunner());
  for (const char* name : {"sbatch", "squeue", "scancel"}) {
    RETURN_IF_ERROR(CheckCommand(name, *runner, options.slurm.command_limit));
  }
  return std::unique_ptr<SlurmLauncher>(
      new SlurmLauncher(found, std::move(runner), events));
}

SlurmLauncher::SlurmLauncher(const SlurmGangsOptions& options,
                             std::unique_ptr<CommandRunner> runner,
                             LauncherEvents* events)
    : runner_(std::move(runner)),
      gangs_(options, runner_.get(), clock_, events),
      thread_([this] { Run(); }) {}

SlurmLauncher::~SlurmLauncher() {
  {
    const std::lock_guard lock(mutex_);
    quit_ = true;
  }
  changed_.notify_all();
  runner_->Interrupt();
  thread_.join();
}

void SlurmLauncher::Push(Order order) {
  {
    const std::lock_guard lock(mutex_);
    orders_.push_back(std::move(order));
  }
  changed_.notify_all();
}

absl::Status SlurmLauncher::Start(const GangSpec& spec) {
  // Here, so that of two calls one is told that it came second.
  absl::Status created = FolderOf(spec.id).Create(spec);
  if (absl::IsAlreadyExists(created)) return created;
  Push([spec, created](SlurmGangs& gangs) { gangs.Start(spec, created); });
  return absl::OkStatus();
}

void SlurmLauncher::Stop(GangId id) {
  Push([id](SlurmGangs& gangs) { gangs.Stop(id); });
}

void SlurmLauncher::Kill(GangId id) {
  Push([id](SlurmGangs& gangs) { gangs.Kill(id); });
}

void SlurmLauncher::Find(GangId id) {
  Push([id](SlurmGangs& gangs) { gangs.Find(id); });
}

void SlurmLauncher::Run() {
  while (true) {
    std::vector<Order> orders;
    {
      std::unique_lock lock(mutex_);
      if (quit_) return;
      if (orders_.empty()) {
        const absl::Duration wait =
            std::clamp(gangs_.NextRound() - clock_->Now(), absl::ZeroDuration(),
                       kLongestWait);
        changed_.wait_for(lock, absl::ToChronoNanoseconds(wait),
                          [this] { return quit_ || !orders_.empty(); });
      }
      if (quit_) return;
      orders.swap(orders_);
    }
    // Round() looks when it is time to: orders that take long, because Slurm is
    // silent, don't keep it from being seen to be.
    for (const Order& order : orders) {
      order(gangs_);
      gangs_.Round();
    }
    if (orders.empty()) gangs_.Round();
  }
}

}  // namespace caracal
