#include "jobs/client/attribute.h"

#include <memory>
#include <string>

#include "core/base/file_system.h"
#include "core/base/status.h"
#include "core/io/dataset/packed_dataset.h"
#include "core/io/tokenizer/load_tokenizer.h"
#include "eval/attribution/result_json.h"
#include "eval/measure/measure.h"
#include "eval/report/html_report.h"
#include "eval/report/terminal_report.h"
#include "jobs/client/interrupt.h"
#include "jobs/client/mode_at_option.h"
#include "jobs/client/model_option.h"
#include "jobs/client/probe_option.h"
#include "jobs/model/compute.h"
#include "jobs/model/model_rows.h"

namespace caracal {
namespace {

struct AttributeOptions {
  ModelOption model;
  ModeAtOption mode_at;
  ProbeOption probe;
  std::string data, modes, html, ablate;
  int64_t rows = 0, skip = 0, seq_len = 0, batch = 4;
  int bootstrap_samples = 1000;
  uint64_t seed = 0;
  bool json = false;
};

// What the rows say; without --data nothing but what the student is.
absl::StatusOr<AttributionResult> MeasureRows(const AttributeOptions& o,
                                              const LoadedModel& model,
                                              const Tokenizer* tokenizer,
                                              Execution exec,
                                              const MeasureOptions& options) {
  if (o.data.empty()) {
    AttributionResult nothing;
    nothing.settings = StudentSettings(*model.llama);
    return nothing;
  }
  ASSIGN_OR_RETURN(
      const std::unique_ptr<PackedDataset> data,
      OpenModelRows(o.data, model.weights->config, tokenizer, o.seq_len));
  return MeasureAttribution(*model.llama, exec, *data, options);
}

absl::Status Attribute(const AttributeOptions& o, Console& console) {
  if (o.data.empty() && !o.probe.given()) {
    return absl::InvalidArgumentError(
        "nothing to measure: give --data, --probe, or both");
  }
  ASSIGN_OR_RETURN(ProbeOptions probes, o.probe.Options());
  MeasureOptions options;
  options.stop = CatchInterrupts();
  ASSIGN_OR_RETURN(options.modes, ParseModes(o.modes));
  options.ablate = o.ablate == "layers"  ? Ablate::kLayers
                   : o.ablate == "heads" ? Ablate::kHeads
                                         : Ablate::kNothing;
  options.rows = o.rows;
  options.skip = o.skip;
  options.seq_len = o.seq_len;
  options.micro_batch = o.batch;
  options.bootstrap_samples = o.bootstrap_samples;
  options.seed = o.seed;
  options.progress = [&](const std::string& pass, int done, int total) {
    console.err << "measured " << done << " of " << total << ": " << pass
                << "\n";
  };
  Compute compute(o.model.threads);
  ASSIGN_OR_RETURN(const LoadedModel model,
                   o.model.Load(compute.context(), WeightForm::kDense));
  for (const std::string& warning : model.warnings) {
    console.err << "caracal: " << warning << "\n";
  }
  // As the run had it.
  options.reset_at_document =
      model.job.has_value() && model.job->attention().reset_at_document();
  ASSIGN_OR_RETURN(options.mode_at,
                   o.mode_at.Overrides(*model.llama, ComponentMode::kHybrid));
  const auto tokenizer = LoadTokenizer(model.base_path);
  if (o.probe.given()) RETURN_IF_ERROR(tokenizer.status());
  absl::StatusOr<AttributionResult> measured =
      MeasureRows(o, model, tokenizer.ok() ? tokenizer->get() : nullptr,
                  compute.execution(), options);
  if (measured.ok() && o.probe.given()) {
    probes.modes = options.modes;
    probes.mode_at = options.mode_at;
    probes.micro_batch = o.batch;
    probes.seed = o.seed;
    probes.stop = options.stop;
    probes.progress = options.progress;
    auto asked =
        MeasureProbes(*model.llama, compute.execution(), **tokenizer, probes);
    if (asked.ok()) {
      measured->probes = *std::move(asked);
    } else {
      measured = asked.status();
    }
  }
  if (absl::IsCancelled(measured.status())) {
    return absl::CancelledError(
        "stopped while measuring; nothing was written: give the same command "
        "again");
  }
  RETURN_IF_ERROR(measured.status());
  ReportInput report;
  report.attribution = *std::move(measured);
  if (model.job.has_value()) {
    DescribeTraining(*model.job, &report.attribution.settings);
  }
  report.attribution.settings.model = model.name;
  report.attribution.settings.data = BaseName(o.data);
  report.run.model_path = model.base_path;
  if (!o.html.empty()) {
    RETURN_IF_ERROR(
        FileSystem::Posix()->WriteFileAtomically(o.html, HtmlReport(report)));
  }
  if (o.json) {
    console.out << AttributionToJson(report.attribution);
  } else {
    console.out << TerminalReport(
        report, {.width = static_cast<size_t>(console.columns()),
                 .color = console.StyledOut()});
  }
  return absl::OkStatus();
}

}  // namespace

CommandBody DeclareAttribute(CLI::App& app) {
  auto o = std::make_shared<AttributeOptions>();
  o->model.Declare(app);
  app.add_option("--data", o->data,
                 "packed rows (caracal data pack) to take losses on");
  o->probe.Declare(app);
  app.add_option("--rows", o->rows, "the first so many rows; 0: all")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--skip", o->skip, "rows passed over first")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--seq-len", o->seq_len, "targets scored a row; 0: all")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--modes", o->modes,
                 "component modes, with commas between; all by default");
  o->mode_at.Declare(app);
  app.add_option("--ablate", o->ablate,
                 "also remove the linear part of one layer, or of one head, at "
                 "a time; a pass over all rows each")
      ->check(CLI::IsMember({"layers", "heads"}));
  app.add_option("--batch", o->batch, "rows at a time")
      ->check(CLI::Range(1, 4096));
  app.add_option("--bootstrap-samples", o->bootstrap_samples,
                 "resamples behind each interval")
      ->check(CLI::Range(100, 1000000));
  app.add_option("--seed", o->seed, "of the bootstrap, and of probes");
  app.add_option("--html", o->html, "also write the report as a page");
  app.add_flag("--json", o->json, "print one JSON object");
  return [o](Console& console) { return Attribute(*o, console); };
}

}  // namespace caracal
