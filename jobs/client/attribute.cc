#include "jobs/client/attribute.h"

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/file_system.h"
#include "core/base/status.h"
#include "eval/attribution/result_json.h"
#include "eval/report/html_report.h"
#include "eval/report/terminal_report.h"
#include "jobs/client/attribution_session.h"
#include "jobs/client/interrupt.h"
#include "jobs/client/mode_at_option.h"
#include "jobs/client/model_option.h"
#include "jobs/client/probe_option.h"
#include "jobs/client/service/evaluate.h"
#include "jobs/client/service/server_option.h"
#include "jobs/model/compute.h"

namespace caracal {
namespace {

// Of anything that is counted here; more is a slip.
constexpr int64_t kMostRows = int64_t{1} << 40;

struct AttributeOptions {
  ModelOption model;
  ModeAtOption mode_at;
  ProbeOption probe;
  std::string data, modes, html, ablate;
  int64_t rows = 0, skip = 0, seq_len = 0, batch = 4, part_rows = 0;
  int bootstrap_samples = 1000;
  uint64_t seed = 0;
  bool json = false;
  ServerOption server;  // "": none, all is measured here
};

proto::EvaluationSpec SpecOf(const AttributeOptions& o) {
  proto::EvaluationSpec spec;
  spec.set_model(o.model.path);
  spec.set_student_file(o.model.student_file);
  if (o.model.window >= 0) spec.set_window(o.model.window);
  if (o.model.sinks >= 0) spec.set_sinks(o.model.sinks);
  if (o.model.features >= 0) spec.set_features(o.model.features);
  spec.set_window_kind(o.model.window_kind);
  spec.set_feature_map(o.model.feature_map);
  spec.set_half_space(o.model.half_space);
  spec.set_affine(o.model.affine);
  if (o.model.gamma_init >= 0) spec.set_gamma_init(o.model.gamma_init);
  if (o.model.lora_alpha >= 0) spec.set_lora_alpha(o.model.lora_alpha);
  spec.set_data(o.data);
  spec.set_modes(o.modes);
  spec.mutable_mode_at()->Add(o.mode_at.texts.begin(), o.mode_at.texts.end());
  spec.set_ablate(o.ablate);
  spec.set_rows(o.rows);
  spec.set_skip(o.skip);
  spec.set_seq_len(o.seq_len);
  spec.set_micro_batch(o.batch);
  spec.set_bootstrap_samples(o.bootstrap_samples);
  spec.set_seed(o.seed);
  spec.set_probe(o.probe.kinds);
  spec.set_probe_lengths(o.probe.lengths);
  spec.set_probe_samples(o.probe.samples);
  spec.set_part_rows(o.part_rows);
  return spec;
}

// A result, and where the base model's weights are.
struct Measured {
  AttributionResult result;
  std::string model_path;
};

absl::StatusOr<Measured> MeasureHere(const AttributeOptions& o,
                                     const std::atomic<bool>* stop,
                                     Console& console) {
  Compute compute(o.model.threads);
  ASSIGN_OR_RETURN(
      const std::unique_ptr<AttributionSession> session,
      AttributionSession::Open(SpecOf(o), o.model.device, &compute, stop));
  for (const std::string& warning : session->model().warnings) {
    console.err << "caracal: " << warning << "\n";
  }
  ASSIGN_OR_RETURN(
      AttributionResult result,
      session->Measure([&](const std::string& pass, int done, int total) {
        console.err << "measured " << done << " of " << total << ": " << pass
                    << "\n";
      }));
  return Measured{std::move(result), session->model().base_path};
}

// By the coordinator's workers.
absl::StatusOr<Measured> MeasureThere(const AttributeOptions& o,
                                      const std::atomic<bool>* stop,
                                      Console& console) {
  proto::EvaluationSpec spec = SpecOf(o);
  for (std::string* path : {spec.mutable_model(), spec.mutable_student_file(),
                            spec.mutable_data()}) {
    if (path->empty()) continue;
    std::error_code error;
    *path = std::filesystem::absolute(*path, error).lexically_normal();
  }
  ASSIGN_OR_RETURN(const std::vector<proto::EvaluationPart> parts,
                   Evaluate(spec, o.server, stop, console));
  ASSIGN_OR_RETURN(AttributionResult result, MergeParts(parts));
  const proto::EvaluationPlan& plan = parts[0].plan();
  for (const std::string& warning : plan.warnings()) {
    console.err << "caracal: " << warning << "\n";
  }
  return Measured{std::move(result), plan.model_path()};
}

absl::Status Attribute(const AttributeOptions& o, Console& console) {
  if (o.data.empty() && !o.probe.given()) {
    return absl::InvalidArgumentError(
        "nothing to measure: give --data, --probe, or both");
  }
  const std::atomic<bool>* stop = CatchInterrupts();
  absl::StatusOr<Measured> measured = o.server.server.empty()
                                          ? MeasureHere(o, stop, console)
                                          : MeasureThere(o, stop, console);
  if (absl::IsCancelled(measured.status())) {
    return absl::CancelledError(
        "stopped while measuring; nothing was written: give the same command "
        "again");
  }
  RETURN_IF_ERROR(measured.status());
  ReportInput report;
  report.attribution = std::move(measured->result);
  report.run.model_path = measured->model_path;
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
      ->check(CLI::Range(int64_t{0}, kMostRows));
  app.add_option("--skip", o->skip, "rows passed over first")
      ->check(CLI::Range(int64_t{0}, kMostRows));
  app.add_option("--seq-len", o->seq_len, "targets scored a row; 0: all")
      ->check(CLI::Range(int64_t{0}, kMostRows));
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
  o->server.DeclareOptional(
      app,
      "have the workers (caracal-evald) of this coordinator measure it: "
      "HOST:PORT, or the path of its endpoint.json; MODEL and --data are paths "
      "of theirs");
  // Its workers have their own.
  app.get_option("--device")->excludes(app.get_option("--server"));
  app.add_option("--part-rows", o->part_rows,
                 "with --server, rows of what a worker takes at a time; 0: an "
                 "eighth of all")
      ->check(CLI::Range(int64_t{0}, kMostRows));
  return [o](Console& console) { return Attribute(*o, console); };
}

}  // namespace caracal
