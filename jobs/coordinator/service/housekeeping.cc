#include "jobs/coordinator/service/housekeeping.h"

#include <algorithm>
#include <iostream>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "jobs/launch/gang_folder.h"
#include "jobs/launch/gang_spec.h"

namespace caracal {
namespace {

constexpr int64_t kJobs = 256;  // that are looked at with the state's lock held
// Until a store that fails is looked at again, to see whether to end.
constexpr absl::Duration kLookAgain = absl::Milliseconds(200);
constexpr absl::Duration kShortestWait = absl::Milliseconds(1);

}  // namespace

Housekeeping::Housekeeping(HousekeepingOptions options,
                           const DataFolder* folder, Coordinator* coordinator,
                           Clock* clock)
    : options_(std::move(options)),
      folder_(folder),
      coordinator_(coordinator),
      clock_(clock),
      thread_([this] { Run(); }) {}

Housekeeping::~Housekeeping() {
  {
    absl::MutexLock lock(&mutex_);
    ending_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

void Housekeeping::Wake() {
  absl::MutexLock lock(&mutex_);
  awake_ = true;
  changed_.NotifyAll();
}

bool Housekeeping::Pause(absl::Duration most) {
  absl::MutexLock lock(&mutex_);
  changed_.WaitFor(&mutex_, most, [this] { return ending_; });
  return !ending_;
}

void Housekeeping::Run() {
  while (true) {
    absl::Duration wait = options_.interval;
    if (options_.also) {
      wait = std::clamp(options_.also(), kShortestWait, wait);
    }
    RemoveGangs();
    RemoveEvents();
    absl::MutexLock lock(&mutex_);
    const auto up = [this] { return awake_ || ending_; };
    changed_.WaitFor(&mutex_, wait, up);
    if (ending_) return;
    awake_ = false;
  }
}

void Housekeeping::RemoveEvents() {
  if (options_.keep_events == absl::InfiniteDuration()) return;
  const absl::Time before = clock_->WallTime() - options_.keep_events;
  JobId after = 0;
  while (true) {
    const std::vector<JobId> jobs =
        coordinator_->EndedBefore(before, after, kJobs);
    if (jobs.empty()) return;
    for (const JobId job : jobs) {
      int64_t count;
      while ((count = RemoveEventsOf(job)) > 0) {
        if (!Pause(options_.pause)) return;
        if (count < options_.events) break;
      }
    }
    after = jobs.back();
    if (!Pause(options_.pause)) return;
  }
}

int64_t Housekeeping::RemoveEventsOf(JobId job) {
  struct Answer {
    SteadyNotification done;
    absl::StatusOr<int64_t> count = 0;
  };
  const auto answer = std::make_shared<Answer>();
  coordinator_->OnStore(
      [answer, job, limit = options_.events](JobStore& store) {
        answer->count = store.RemoveEvents(job, limit);
        answer->done.Notify();
      });
  while (!answer->done.WaitFor(kLookAgain)) {
    if (!Pause(absl::ZeroDuration())) return 0;
  }
  // A full disk may have room the next time.
  return answer->count.value_or(0);
}

void Housekeeping::RemoveGangs() {
  const auto names = FileSystem::Posix()->List(folder_->gangs());
  if (!names.ok()) return;
  int64_t removed = 0;
  for (const std::string& name : *names) {
    const std::optional<GangId> id = GangIdFromString(name);
    if (!id.has_value()) continue;
    const bool forgotten = coordinator_->IsForgotten(id->job);
    if (!forgotten) {
      if (options_.keep_gangs == absl::InfiniteDuration()) continue;
      const std::optional<JobRecord> job = coordinator_->Get(id->job);
      if (!job.has_value() || !IsFinal(job->state) ||
          clock_->WallTime() - job->changed < options_.keep_gangs) {
        continue;
      }
    }
    absl::Status status = GangFolder(JoinPath(folder_->gangs(), name)).Remove();
    if (forgotten && status.ok()) {
      status = FileSystem::Posix()->Remove(folder_->job(id->job));
    }
    if (!status.ok()) {
      std::clog << "caracald: " << status.message() << std::endl;
    }
    if (++removed % options_.gangs == 0 && !Pause(options_.pause)) return;
  }
}

}  // namespace caracal
