#include "jobs/coordinator/embedded/embedded_coordinator.h"

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "jobs/coordinator/access/access.h"
#include "jobs/coordinator/access/token.h"
#include "jobs/coordinator/state/job_spec.h"
#include "jobs/launch/gang_supervisor.h"
#include "jobs/spec/slots.h"
#include "kernels/common/thread_pool.h"

namespace caracal {
namespace {

// For a disk that is slow; one that fails is known sooner.
constexpr absl::Duration kPatience = absl::Seconds(30);
// At the end of a run.
constexpr absl::Duration kLastPatience = absl::Seconds(3);
constexpr absl::Duration kLook = absl::Milliseconds(1);
// A job is not held to what another machine had.
constexpr int64_t kSlots = 1 << 20;
constexpr int64_t kAllJobs = 1 << 20;

// Waits for what the coordinator does, which is nothing any more once its store
// fails.
template <typename Done>
absl::Status AwaitStored(Coordinator& coordinator, const std::string& folder,
                         absl::Duration patience, Done done) {
  const absl::Duration end = Clock::Real()->Now() + patience;
  while (!done()) {
    const absl::Status health = coordinator.Health();
    if (!health.ok()) return absl::UnavailableError(health.message());
    if (Clock::Real()->Now() > end) {
      return absl::UnavailableError(
          absl::StrCat(folder, ": the coordinator stores nothing within ",
                       absl::FormatDuration(patience)));
    }
    absl::SleepFor(kLook);
  }
  return absl::OkStatus();
}

constexpr auto kDropReply = [](const absl::Status&) {};

// The answer to a change, once it is stored; dropped if nobody waits any more.
template <typename Answer>
class Reply {
 public:
  std::function<void(Answer)> Take() {
    return [state = state_](Answer answer) {
      state->answer = std::move(answer);
      state->stored.Notify();
    };
  }
  bool Came() const { return state_->stored.HasBeenNotified(); }
  const Answer& answer() const { return state_->answer; }

 private:
  struct State {
    Answer answer;
    absl::Notification stored;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

// Nobody is given up for being silent: a process that is suspended is, and so
// is its coordinator. A gang may take as long to save as it needs.
CoordinatorLimits Limits() {
  CoordinatorLimits limits;
  limits.slots = kSlots;
  limits.heartbeat_timeout = absl::InfiniteDuration();
  limits.start_timeout = absl::InfiniteDuration();
  limits.stop_grace = absl::InfiniteDuration();
  return limits;
}

}  // namespace

std::string EmbeddedCoordinator::DataFolderOf(const std::string& run_folder) {
  return JoinPath(run_folder, "coordinator");
}

absl::StatusOr<std::unique_ptr<EmbeddedCoordinator>> EmbeddedCoordinator::Start(
    const EmbeddedOptions& options) {
  FileSystem* const files = FileSystem::Posix();
  RETURN_IF_ERROR(files->CreateFolder(options.run_folder));
  std::error_code error;
  const std::string run =
      std::filesystem::canonical(options.run_folder, error).string();
  if (error) {
    return absl::InternalError(
        absl::StrCat(options.run_folder, ": ", error.message()));
  }
  const std::string data = DataFolderOf(run);
  ASSIGN_OR_RETURN(PrivateSocket socket, PrivateSocket::In(data));
  std::unique_ptr<EmbeddedCoordinator> out(
      new EmbeddedCoordinator(data, std::move(socket)));

  ServiceOptions service;
  service.data_folder = data;
  service.run_folder = run;
  service.listen = out->socket_.address();
  // Whoever watched a killed process is to find the job going on again, not
  // failed.
  service.announce = false;
  if (options.page) {
    service.web = "127.0.0.1:0";
    service.web_token = out->page_token_ = NewToken();
  }
  service.limits = Limits();
  service.job_slots = AvailableCores();
  service.make_launcher =
      [&](const std::string& gangs,
          LauncherEvents* events) -> absl::StatusOr<std::unique_ptr<Launcher>> {
    auto launcher =
        std::make_unique<ForegroundLauncher>(gangs, options.stop, events);
    out->launcher_ = launcher.get();
    return launcher;
  };
  const absl::StatusOr<Endpoint> before = ReadEndpoint(out->endpoint_file());
  ASSIGN_OR_RETURN(out->service_, Service::Start(service));
  if (before.ok() && before->address != service.listen) {
    PrivateSocket::RemoveLeftOver(before->address, data);
  }

  RETURN_IF_ERROR(out->Settle());
  ASSIGN_OR_RETURN(const JobId job, out->Begin(*options.job));
  Coordinator& coordinator = out->service_->coordinator();
  std::optional<GangId> gang;
  std::optional<JobRecord> ended;
  RETURN_IF_ERROR(AwaitStored(coordinator, data, kPatience, [&] {
    gang = out->launcher_->Await(job, absl::ZeroDuration());
    if (gang.has_value()) return true;
    // What could not be started has ended.
    ended = coordinator.Get(job);
    return !ended.has_value() || IsFinal(ended->state);
  }));
  if (!gang.has_value()) {
    return absl::UnavailableError(
        absl::StrCat(data, ": job ", job, " can't be started: ",
                     ended.has_value() ? ended->reason : "it was removed"));
  }
  out->gang_ = *gang;
  RETURN_IF_ERROR(
      WriteEndpoint(out->service_->endpoint(), out->endpoint_file()));
  return out;
}

absl::Status EmbeddedCoordinator::Settle() {
  Coordinator& coordinator = service_->coordinator();
  const auto settled = [&] {
    bool all = true;
    for (const JobRecord& job : coordinator.List({}, 0, kAllJobs).jobs) {
      if (IsFinal(job.state)) continue;
      all = false;
      // The others' gangs are looked for, and not found.
      if (Waits(job.state)) {
        coordinator.Cancel(job.id, "the next run", kDropReply);
      }
    }
    return all;
  };
  return AwaitStored(coordinator, data_folder_, kPatience, settled);
}

absl::StatusOr<JobId> EmbeddedCoordinator::Begin(const proto::Job& job) {
  Coordinator& coordinator = service_->coordinator();
  const std::vector<JobRecord> jobs = coordinator.List({}, 0, kAllJobs).jobs;
  launcher_->Open();
  JobRequest request;
  request.name = job.name();
  request.owner = kLocalUser;
  request.spec = MakeSpec(job);
  request.slots = SlotsOf(job, AvailableCores());
  request.max_retries = 0;
  for (const JobRecord& known : jobs) {
    if (known.state == JobState::kSucceeded) continue;
    const absl::StatusOr<proto::Job> spec = ReadSpec(known.request.spec.str());
    if (!spec.ok() || MakeSpec(*spec) != request.spec.str()) continue;
    Reply<absl::Status> resumed;
    coordinator.Resume(known.id, "", resumed.Take());
    RETURN_IF_ERROR(AwaitStored(coordinator, data_folder_, kPatience,
                                [&] { return resumed.Came(); }));
    RETURN_IF_ERROR(resumed.answer());
    return known.id;
  }
  Reply<absl::StatusOr<JobId>> submitted;
  coordinator.Submit(request, submitted.Take());
  RETURN_IF_ERROR(AwaitStored(coordinator, data_folder_, kPatience,
                              [&] { return submitted.Came(); }));
  RETURN_IF_ERROR(submitted.answer().status());
  // Before its gang asks for anything.
  if (!jobs.empty() && jobs[0].tunings > 0) {
    Reply<absl::Status> tuned;
    coordinator.Tune(*submitted.answer(), jobs[0].tuning, "", tuned.Take());
    // An error says that there is nothing to tune in this one.
    RETURN_IF_ERROR(AwaitStored(coordinator, data_folder_, kPatience,
                                [&] { return tuned.Came(); }));
  }
  return *submitted.answer();
}

std::string EmbeddedCoordinator::endpoint_file() const {
  return JoinPath(data_folder_, "endpoint.json");
}

void EmbeddedCoordinator::End(const absl::Status& status) {
  ended_ = true;
  Coordinator& coordinator = service_->coordinator();
  // It was meant: the job goes on when somebody says so.
  if (absl::IsCancelled(status)) {
    coordinator.Cancel(gang_.job, "an interrupt", kDropReply);
  }
  launcher_->Ended(GangEndOf(status), std::string(status.message()));
  IsStored();
}

bool EmbeddedCoordinator::IsStored() {
  Coordinator& coordinator = service_->coordinator();
  Reply<bool> stored;
  coordinator.OnStore([take = stored.Take()](JobStore&) { take(true); });
  return AwaitStored(coordinator, data_folder_, kLastPatience,
                     [&] { return stored.Came(); })
      .ok();
}

EmbeddedCoordinator::~EmbeddedCoordinator() {
  if (service_ == nullptr) return;
  if (gang_.job != 0 && !ended_) {
    End(absl::InternalError("its gang was never run"));
  }
  // Nobody is to be sent there any more.
  FileSystem::Posix()->Remove(endpoint_file()).IgnoreError();
  // With a disk that is full, calls stay open until there is room again, and
  // the server for their sake; the process, which is about to end, is not to.
  if (!IsStored()) (void)service_.release();
}

}  // namespace caracal
