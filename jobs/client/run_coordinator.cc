#include "jobs/client/run_coordinator.h"

#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/file_system.h"
#include "core/base/host_name.h"
#include "core/device/open_cuda.h"
#include "jobs/client/interrupt.h"
#include "jobs/convert/run_folder.h"
#include "jobs/convert/same_job.h"
#include "jobs/launch/gang_processes.h"
#include "jobs/spec/layout.h"
#include "jobs/worker/reported_events.h"

namespace caracal {
namespace {

// Whether the conversion refuses before it makes a folder, or the folder
// itself: then it is to find things as they are.
bool IsRefused(const ConversionOptions& options) {
  if (options.job.device() == "cuda" && !FindCuda().ok()) return true;
  FileSystem* const files = FileSystem::Posix();
  const RunFolder folder = {options.run_folder};
  if (files->Exists(folder.path) && !files->IsFolder(folder.path)) return true;
  if (!HasTrained(files, folder)) {
    return options.resume && !HoldsRun(files, folder);
  }
  proto::Job job = options.job;
  return !options.resume || !CheckSameJob(files, folder, &job).ok();
}

// Both are told.
ConversionEvents Both(const ConversionEvents& first,
                      const ConversionEvents& second) {
  ConversionEvents both;
  both.note = [=](const std::string& line) {
    if (first.note) first.note(line);
    second.note(line);
  };
  both.training = [=](int64_t taken) {
    if (first.training) first.training(taken);
    if (second.training) second.training(taken);
  };
  both.step = [=](const StepRecord& record) {
    if (first.step) first.step(record);
    second.step(record);
  };
  both.measured = [=](const std::string& what, int done, int passes) {
    if (first.measured) first.measured(what, done, passes);
    second.measured(what, done, passes);
  };
  return both;
}

}  // namespace

RunCoordinator::RunCoordinator(const ConversionOptions& options, bool page,
                               Console* console) {
  if (IsRefused(options)) return;
  absl::StatusOr<std::unique_ptr<EmbeddedCoordinator>> started =
      EmbeddedCoordinator::Start({.job = &options.job,
                                  .run_folder = options.run_folder,
                                  .page = page,
                                  .stop = RequestStop});
  if (started.ok()) {
    coordinator_ = *std::move(started);
    if (page) {
      console->err << "page at http://" << coordinator_->page() << "/\n"
                   << "sign in there with " << coordinator_->page_token()
                   << "\n"
                   << std::flush;
    }
  } else if (!absl::IsFailedPrecondition(started.status()) || page) {
    // That another process runs in this folder the conversion says.
    console->err << "warning: this run can't be watched or tuned: "
                 << started.status().message() << "\n"
                 << std::flush;
  }
}

RunCoordinator::~RunCoordinator() {
  End(absl::InternalError("the run was not told how it ended"));
}

void RunCoordinator::OpenLog() {
  if (!log_.is_open()) {
    log_.open(coordinator_->gang_folder().output(), std::ios::app);
  }
}

void RunCoordinator::Guide(GangCommand* command) {
  if (coordinator_ == nullptr) return;
  OpenLog();
  log_ << "the ranks print where `caracal run` does" << std::endl;
  command->arguments.insert(
      command->arguments.end(),
      {"--coordinator", coordinator_->endpoint_file(), "--tied"});
  command->environment.push_back(
      absl::StrCat(kGangVariable, "=", coordinator_->gang_folder().path()));
}

void RunCoordinator::Guide(ConversionOptions* options) {
  if (coordinator_ == nullptr) return;
  const absl::StatusOr<std::string> credential =
      coordinator_->gang_folder().ReadCredential();
  if (!credential.ok()) return;
  OpenLog();
  log_progress_.emplace(options->job, &log_console_);
  options->events = Both(options->events, log_progress_->events());
  CoordinatorLinkOptions link;
  link.gang = coordinator_->gang();
  link.credential = *credential;
  link.channel = coordinator_->Channel();
  link.written =
      WrittenMetrics(coordinator_->gang_folder(), options->run_folder);
  // Of several ranks, theirs are told by themselves.
  if (TransferLayout(options->job).ranks() == 1) link.hosts = {HostName()};
  link.stop = RequestStop;
  link.fenced = [](const std::string&) { RequestStop(); };
  // It is in this process: away it is only when this process was suspended, or
  // its disk is full, which training notices by itself.
  link.tell = [](const std::string&) {};
  link_ = std::make_unique<CoordinatorLink>(std::move(link));
  own_.emplace(&options->job);
  directed_.emplace(DirectedCurriculum::Options{.job = &options->job,
                                                .link = link_.get(),
                                                .stop = options->stop,
                                                .tell = options->events.note,
                                                .otherwise = &*own_});
  options->curriculum = &*directed_;
  options->events = Reported(std::move(options->events), options->job,
                             coordinator_->gang_folder(), link_.get());
}

void RunCoordinator::End(const absl::Status& status) {
  if (coordinator_ == nullptr) return;
  if (log_progress_.has_value()) log_progress_->Finish();
  if (!status.ok() && log_.is_open()) {
    log_ << "caracal: " << status.message() << std::endl;
  }
  // What it was not told yet.
  link_ = nullptr;
  coordinator_->End(status);
  coordinator_ = nullptr;
}

}  // namespace caracal
