#include "jobs/client/run.h"

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "eval/attribution/result_json.h"
#include "eval/report/terminal_report.h"
#include "jobs/client/interrupt.h"
#include "jobs/client/job_option.h"
#include "jobs/client/progress.h"
#include "jobs/convert/conversion.h"
#include "jobs/train/student_config.h"

namespace caracal {
namespace {

struct RunOptions {
  JobOption job;
  std::string out;
  bool resume = false, json = false;
};

// Fine-tuning's backward through the frozen weights costs as much again, and
// the language-model head is part of it: what a step costs beside another
// stage's, near enough for a time estimate.
constexpr double kFinetuneCost = 2.3;

absl::Status Run(const RunOptions& o, Console& console) {
  ASSIGN_OR_RETURN(ConversionOptions options,
                   [&]() -> absl::StatusOr<ConversionOptions> {
                     ConversionOptions out;
                     ASSIGN_OR_RETURN(out.job, o.job.Load());
                     return out;
                   }());
  options.run_folder =
      !o.out.empty() ? o.out : JoinPath("runs", options.job.name());
  options.resume = o.resume;
  options.stop = CatchInterrupts();

  std::vector<ProgressStage> stages;
  for (const proto::Stage& stage : options.job.stages()) {
    stages.push_back({stage.has_transfer() ? "transfer" : "finetune",
                      StepsOf(stage),
                      stage.has_transfer() ? 1.0 : kFinetuneCost});
  }
  Progress progress(&console, stages, Clock::Real());
  std::optional<Progress> measuring;
  options.events.note = [&](const std::string& line) { progress.Note(line); };
  options.events.step = [&](const StepRecord& r) {
    progress.Update({.stage = static_cast<int>(r.stage_index),
                     .step = r.step,
                     .loss = r.loss,
                     .validation_loss = r.validation_loss,
                     .tokens_per_s = r.tokens_per_s});
  };
  options.events.measured = [&](const std::string&, int done, int total) {
    if (!measuring.has_value()) {
      progress.Finish();
      measuring.emplace(&console,
                        std::vector<ProgressStage>{{"measuring", total, 1.0}},
                        Clock::Real());
    }
    ProgressUpdate update;
    update.step = done;
    measuring->Update(update);
  };
  absl::StatusOr<ReportInput> report = RunConversion(options);
  measuring.reset();
  progress.Finish();
  RETURN_IF_ERROR(report.status());
  const bool measured = options.job.evaluation().rows() > 0;
  if (o.json && !measured) {
    console.out << nlohmann::ordered_json{{"run", options.run_folder}}.dump()
                << "\n";
  } else if (o.json) {
    console.out << AttributionToJson(report->attribution);
  } else if (measured) {
    console.out << TerminalReport(
        *report, {.width = static_cast<size_t>(console.columns()),
                  .color = console.StyledOut()});
  } else {
    console.out << "done: " << options.run_folder << "\n";
  }
  return absl::OkStatus();
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
  return [o](Console& console) { return Run(*o, console); };
}

}  // namespace caracal
