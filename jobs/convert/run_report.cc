#include "jobs/convert/run_report.h"

#include <sys/resource.h>

#include <algorithm>

#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/model/generate.h"
#include "eval/attribution/result_json.h"
#include "eval/measure/measure.h"
#include "eval/report/html_report.h"
#include "eval/report/metrics.h"
#include "jobs/convert/gamma_sweep.h"
#include "jobs/convert/run_folder.h"
#include "jobs/model/loaded_model.h"
#include "jobs/spec/job_file.h"
#include "jobs/train/student_config.h"

namespace caracal {
namespace {

uint64_t PeakResidentBytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

class RunReport {
 public:
  RunReport(const RunReportInputs& inputs, ReportInput* report)
      : in_(inputs),
        folder_{inputs.options->run_folder},
        files_(inputs.files),
        report_(report) {}

  absl::Status Make() {
    RETURN_IF_ERROR(Measure());
    RETURN_IF_ERROR(AskProbes());
    RETURN_IF_ERROR(Continue());
    RETURN_IF_ERROR(CheckStop());
    return WriteReport();
  }

 private:
  absl::Status Measure();
  absl::Status AskProbes();
  absl::Status Continue();
  absl::Status ReadGammaSweep();
  absl::Status WriteReport();
  absl::Status CheckStop() const {
    if (in_.options->stop == nullptr || !*in_.options->stop) {
      return absl::OkStatus();
    }
    return absl::CancelledError("stopped");
  }
  const proto::Job& job() const { return *in_.job; }
  void Timing(const std::string& what, absl::Duration start) {
    AddTiming(what, start, report_);
  }

  const RunReportInputs& in_;
  RunFolder folder_;
  FileSystem* files_;
  ReportInput* report_;
  int row_passes_ = 0;  // of the measurement on rows
};

absl::Status RunReport::Measure() {
  const proto::Evaluation& e = job().evaluation();
  const absl::Duration start = Clock::Real()->Now();
  MeasureOptions options;
  options.reset_at_document = job().attention().reset_at_document();
  for (const int mode : e.modes()) {
    options.modes.push_back(
        ModeFromProto(static_cast<proto::ComponentMode>(mode)));
  }
  options.rows = e.rows();
  options.seq_len = job().data().seq_len();
  options.micro_batch = job().budget().micro_batch();
  options.baseline_sinks.assign(e.baseline_sinks().begin(),
                                e.baseline_sinks().end());
  options.bootstrap_samples = e.bootstrap_samples();
  options.seed = job().seed();
  const int probe_passes =
      e.has_probe() ? ProbePasses(ProbeOptionsOf(job(), nullptr), *in_.model)
                    : 0;
  options.progress = [&](const std::string& pass, int done, int total) {
    row_passes_ = total;
    if (!in_.options->events.measured) return;
    in_.options->events.measured(pass, done, total + probe_passes);
  };
  options.stop = in_.options->stop;
  ASSIGN_OR_RETURN(
      report_->attribution,
      MeasureAttribution(*in_.model, in_.exec, *in_.data, options));
  report_->attribution.settings.model = BaseName(job().model().path());
  report_->attribution.settings.data = BaseName(in_.data->path());
  DescribeTraining(job(), &report_->attribution.settings);
  Timing("measuring", start);
  return absl::OkStatus();
}

absl::Status RunReport::AskProbes() {
  if (!job().evaluation().has_probe()) return absl::OkStatus();
  const absl::Duration start = Clock::Real()->Now();
  ProbeOptions options = ProbeOptionsOf(job(), in_.options->stop);
  // The rows' passes are done; the probes' follow them.
  options.progress = [this](const std::string& pass, int done, int total) {
    if (!in_.options->events.measured) return;
    in_.options->events.measured(pass, row_passes_ + done, row_passes_ + total);
  };
  ASSIGN_OR_RETURN(
      report_->attribution.probes,
      MeasureProbes(*in_.model, in_.exec, *in_.tokenizer, options));
  Timing("probes", start);
  return absl::OkStatus();
}

absl::Status RunReport::Continue() {
  if (in_.prompt.empty()) return absl::OkStatus();
  const auto run = [&](ComponentMode mode) -> absl::StatusOr<std::string> {
    RETURN_IF_ERROR(CheckStop());
    Decoder decoder(in_.model, in_.exec, mode);
    ASSIGN_OR_RETURN(
        const Continuation out,
        GenerateGreedy(decoder, in_.prompt, job().evaluation().max_new_tokens(),
                       EndTokens(*in_.tokenizer, in_.model->weights().config),
                       nullptr));
    return in_.tokenizer->Decode(out.tokens);
  };
  report_->run.prompt = job().evaluation().prompt();
  ASSIGN_OR_RETURN(report_->run.teacher_continuation,
                   run(ComponentMode::kTeacher));
  ASSIGN_OR_RETURN(report_->run.student_continuation,
                   run(EvaluationModeOf(job())));
  return absl::OkStatus();
}

// Also of a run that was resumed for its report alone.
absl::Status RunReport::ReadGammaSweep() {
  if (!files_->Exists(folder_.gamma_sweep())) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::string text,
                   files_->ReadFile(folder_.gamma_sweep()));
  const absl::StatusOr<GammaSweep> sweep = GammaSweepFromJson(text);
  if (!sweep.ok()) return Annotate(sweep.status(), folder_.gamma_sweep());
  for (const GammaSweep::Point& point : sweep->points) {
    report_->gamma_sweep.push_back({point.gamma, point.loss});
  }
  report_->chosen_gamma = sweep->chosen;
  // Both take the first rows of the same file.
  report_->gamma_rows_scored = std::min<int64_t>(
      job().validation().rows(), report_->attribution.settings.rows);
  return absl::OkStatus();
}

absl::Status RunReport::WriteReport() {
  RETURN_IF_ERROR(ReadGammaSweep());
  ASSIGN_OR_RETURN(report_->metrics, ReadMetrics(*files_, folder_.metrics()));
  RunInfo& run = report_->run;
  run.model_path = job().model().path();
  run.job_path = folder_.job();
  run.job_text = JobText(job());
  run.date = absl::FormatTime("%Y-%m-%d %H:%M", Clock::Real()->WallTime(),
                              absl::LocalTimeZone());
  run.files = {{"report", folder_.report()},
               {"attribution", folder_.attribution()},
               {"metrics", folder_.metrics()},
               {"checkpoints", folder_.checkpoints()},
               {"job", folder_.job()}};
  run.peak_bytes = PeakResidentBytes();
  RETURN_IF_ERROR(files_->WriteFileAtomically(
      folder_.attribution(), AttributionToJson(report_->attribution)));
  return files_->WriteFileAtomically(folder_.report(), HtmlReport(*report_));
}

}  // namespace

absl::Status MakeRunReport(const RunReportInputs& inputs, ReportInput* report) {
  return RunReport(inputs, report).Make();
}

ProbeOptions ProbeOptionsOf(const proto::Job& job,
                            const std::atomic<bool>* stop) {
  const proto::Probe& probe = job.evaluation().probe();
  ProbeOptions options;
  for (const std::string& name : probe.kinds()) {
    // The job was validated.
    options.kinds.push_back(ProbeKindFromName(name).value());
  }
  options.lengths.assign(probe.lengths().begin(), probe.lengths().end());
  options.samples = probe.samples();
  options.baseline_sinks.assign(job.evaluation().baseline_sinks().begin(),
                                job.evaluation().baseline_sinks().end());
  options.micro_batch = job.budget().micro_batch();
  options.stop = stop;
  return options;
}

void AddTiming(const std::string& what, absl::Duration start,
               ReportInput* report) {
  const double seconds = absl::ToDoubleSeconds(Clock::Real()->Now() - start);
  for (auto& timing : report->run.timings) {
    if (timing.what == what) {
      timing.seconds += seconds;
      return;
    }
  }
  report->run.timings.push_back({what, seconds});
}

}  // namespace caracal
