#include "jobs/client/run.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "eval/attribution/result_json.h"
#include "eval/report/terminal_report.h"
#include "jobs/client/conversion_progress.h"
#include "jobs/client/interrupt.h"
#include "jobs/client/job_option.h"
#include "jobs/client/run_coordinator.h"
#include "jobs/convert/conversion.h"
#include "jobs/launch/local_gang.h"
#include "jobs/spec/layout.h"
#include "jobs/spec/slurm_fields.h"
#include "kernels/common/thread_pool.h"

namespace caracal {
namespace {

struct RunOptions {
  JobOption job;
  std::string out;
  bool resume = false, json = false, page = false;
};

// How people go on, beside how the ranks ended.
absl::Status WithAdvice(const absl::Status& status) {
  if (!absl::IsUnavailable(status) && !absl::IsCancelled(status)) return status;
  return absl::Status(
      status.code(),
      absl::StrCat(status.message(),
                   "; go on from the newest checkpoint, if there is one, with "
                   "the same command and --resume"));
}

// The training as ranks of their own on this machine: the same job, folder and
// overrides go to every rank.
absl::Status TrainWithGang(const RunOptions& o,
                           const ConversionOptions& options,
                           RunCoordinator& coordinator) {
  GangCommand command;
  command.ranks = TransferLayout(options.job).ranks();
  command.arguments = {"--job", o.job.path, "--out", options.run_folder};
  for (const std::string& field : o.job.overrides) {
    command.arguments.insert(command.arguments.end(), {"--set", field});
  }
  if (options.resume) command.arguments.push_back("--resume");
  command.threads = options.job.threads();
  if (command.threads == 0) {
    // All cores, shared out.
    command.threads = std::max(1, AvailableCores() / command.ranks);
    command.arguments.insert(
        command.arguments.end(),
        {"--set", absl::StrCat("threads=", command.threads)});
  }
  command.stop = options.stop;
  coordinator.Guide(&command);
  return WithAdvice(RunLocalGang(command));
}

// Of a run without a report.
void TellWhere(const RunOptions& o, const ConversionOptions& options,
               Console& console) {
  if (o.json) {
    console.out << nlohmann::ordered_json{{"run", options.run_folder}}.dump()
                << "\n";
  } else {
    console.out << "done: " << options.run_folder << "\n";
  }
}

absl::Status Convert(const RunOptions& o, ConversionOptions& options,
                     RunCoordinator& coordinator, Console& console) {
  if (TransferLayout(options.job).ranks() > 1) {
    RETURN_IF_ERROR(TrainWithGang(o, options, coordinator));
    // What is left is the report.
    options.resume = true;
    if (options.job.evaluation().rows() == 0) {
      TellWhere(o, options, console);
      return absl::OkStatus();
    }
  }
  ConversionProgress progress(options.job, &console);
  options.events = progress.events();
  coordinator.Guide(&options);
  absl::StatusOr<ReportInput> report = RunConversion(options);
  progress.Finish();
  RETURN_IF_ERROR(report.status());
  const bool measured = options.job.evaluation().rows() > 0;
  if (!measured) {
    TellWhere(o, options, console);
  } else if (o.json) {
    console.out << AttributionToJson(report->attribution);
  } else {
    console.out << TerminalReport(
        *report, {.width = static_cast<size_t>(console.columns()),
                  .color = console.StyledOut()});
  }
  return absl::OkStatus();
}

absl::Status Run(const RunOptions& o, Console& console) {
  ConversionOptions options;
  ASSIGN_OR_RETURN(options.job, o.job.Load());
  options.run_folder =
      !o.out.empty() ? o.out : JoinPath("runs", options.job.name());
  options.resume = o.resume;
  options.stop = CatchInterrupts();
  if (AsksSlurm(options.job)) {
    console.err << "warning: slurm: has no effect here: `caracal run` starts "
                   "ranks itself\n";
  }
  RunCoordinator coordinator(options, o.page, &console);
  const absl::Status status = Convert(o, options, coordinator, console);
  console.out << std::flush;
  coordinator.End(status);
  return status;
}

}  // namespace

CommandBody DeclareRun(CLI::App& app) {
  auto o = std::make_shared<RunOptions>();
  o->job.Declare(app);
  app.add_option("--out", o->out,
                 "run folder: job, metrics, checkpoints, report (by default "
                 "runs/NAME)");
  app.add_flag("--resume", o->resume,
               "go on from the folder's newest checkpoint");
  app.add_flag("--json", o->json,
               "print the attribution as one JSON object; without one, where "
               "the run is");
  app.add_flag("--page", o->page,
               "serve the run's page on this machine while it goes on, and "
               "print its address and the token that it asks for");
  return [o](Console& console) { return Run(*o, console); };
}

}  // namespace caracal
