#include "jobs/launch/foreground_launcher.h"

#include <algorithm>
#include <utility>

#include "absl/strings/string_view.h"
#include "core/base/file_system.h"
#include "jobs/launch/gang_supervisor.h"

namespace caracal {
namespace {

constexpr char kGone[] = "the process that ran it has ended";
constexpr char kOneJob[] =
    "this coordinator runs the job of its `caracal run` alone";

}  // namespace

GangFolder ForegroundLauncher::FolderOf(GangId id) const {
  return GangFolder(JoinPath(gangs_folder_, ToString(id)));
}

void ForegroundLauncher::Refuse(GangId id) {
  events_->GangEnded(id, GangEnd::kFailed, kOneJob);
}

absl::Status ForegroundLauncher::Start(const GangSpec& spec) {
  const absl::Status created = FolderOf(spec.id).Create(spec);
  if (absl::IsAlreadyExists(created)) return created;
  if (!created.ok()) {
    events_->GangEnded(spec.id, GangEndOf(created),
                       std::string(created.message()));
    return absl::OkStatus();
  }
  bool open = false;
  {
    absl::MutexLock lock(&mutex_);
    open = open_;
    const bool wanted =
        open_ && !over_ &&
        (!job_.has_value() || (*job_ == spec.id.job && started_.empty()));
    if (wanted) {
      started_.push_back(spec.id);
      changed_.NotifyAll();
      return absl::OkStatus();
    }
  }
  // Before Open() it is a job of an earlier process that waited to go on.
  if (open) {
    Refuse(spec.id);
  } else {
    events_->GangEnded(spec.id, GangEnd::kLost, kGone);
  }
  return absl::OkStatus();
}

void ForegroundLauncher::Stop(GangId id) {
  {
    absl::MutexLock lock(&mutex_);
    if (over_ || std::ranges::find(started_, id) == started_.end()) return;
  }
  stop_();
}

void ForegroundLauncher::Find(GangId id) {
  bool runs = false;
  {
    absl::MutexLock lock(&mutex_);
    runs = !over_ && std::ranges::find(started_, id) != started_.end();
  }
  if (runs) {
    events_->GangFound(id);
  } else {
    events_->GangEnded(id, GangEnd::kLost, kGone);
  }
}

void ForegroundLauncher::Open() {
  absl::MutexLock lock(&mutex_);
  open_ = true;
}

std::optional<GangId> ForegroundLauncher::Await(JobId job,
                                                absl::Duration patience) {
  std::optional<GangId> found;
  std::vector<GangId> others;
  {
    absl::MutexLock lock(&mutex_);
    job_ = job;
    const auto is_there = [this, job]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
      return std::ranges::any_of(
          started_, [job](const GangId& id) { return id.job == job; });
    };
    changed_.WaitFor(&mutex_, patience, is_there);
    for (const GangId& id : std::exchange(started_, {})) {
      if (id.job == job) {
        found = id;
      } else {
        others.push_back(id);
      }
    }
    if (found.has_value()) started_ = {*found};
  }
  for (const GangId& id : others) Refuse(id);
  return found;
}

void ForegroundLauncher::Ended(GangEnd end, const std::string& reason) {
  GangId id;
  {
    absl::MutexLock lock(&mutex_);
    over_ = true;
    id = started_.front();
  }
  events_->GangEnded(id, end, reason);
}

}  // namespace caracal
