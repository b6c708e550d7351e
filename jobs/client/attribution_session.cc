#include "jobs/client/attribution_session.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "core/base/version.h"
#include "core/io/tokenizer/load_tokenizer.h"
#include "eval/attribution/result_json.h"
#include "eval/measure/merge.h"
#include "eval/measure/plan_cut.h"
#include "eval/measure/shard_runner.h"
#include "jobs/client/mode_at_option.h"
#include "jobs/client/model_option.h"
#include "jobs/client/probe_option.h"
#include "jobs/model/model_rows.h"

namespace caracal {
namespace {

constexpr int64_t kMicroBatch = 4;
constexpr int kBootstrapSamples = 1000;

ModelOption ModelOf(const proto::EvaluationSpec& spec) {
  ModelOption option;
  option.path = spec.model();
  option.student_file = spec.student_file();
  if (spec.has_window()) option.window = spec.window();
  if (spec.has_sinks()) option.sinks = spec.sinks();
  if (spec.has_features()) option.features = spec.features();
  option.window_kind = spec.window_kind();
  option.feature_map = spec.feature_map();
  option.half_space = spec.half_space();
  option.affine = spec.affine();
  if (spec.has_gamma_init()) option.gamma_init = spec.gamma_init();
  if (spec.has_lora_alpha()) option.lora_alpha = spec.lora_alpha();
  return option;
}

absl::StatusOr<MeasureOptions> MeasureOptionsOf(
    const proto::EvaluationSpec& spec) {
  MeasureOptions options;
  ASSIGN_OR_RETURN(options.modes, ParseModes(spec.modes()));
  if (!spec.ablate().empty() && spec.ablate() != "layers" &&
      spec.ablate() != "heads") {
    return absl::InvalidArgumentError(absl::StrCat(
        "--ablate: found '", spec.ablate(), "', expected layers or heads"));
  }
  options.ablate = spec.ablate() == "layers"  ? Ablate::kLayers
                   : spec.ablate() == "heads" ? Ablate::kHeads
                                              : Ablate::kNothing;
  options.rows = spec.rows();
  options.skip = spec.skip();
  options.seq_len = spec.seq_len();
  options.micro_batch =
      spec.micro_batch() > 0 ? spec.micro_batch() : kMicroBatch;
  options.bootstrap_samples = spec.bootstrap_samples() > 0
                                  ? spec.bootstrap_samples()
                                  : kBootstrapSamples;
  options.seed = spec.seed();
  return options;
}

}  // namespace

absl::StatusOr<std::unique_ptr<AttributionSession>> AttributionSession::Open(
    const proto::EvaluationSpec& spec, const std::string& device,
    Compute* compute, const std::atomic<bool>* stop) {
  if (spec.data().empty() && spec.probe().empty()) {
    return absl::InvalidArgumentError(
        "nothing to measure: give --data, --probe, or both");
  }
  std::unique_ptr<AttributionSession> session(
      new AttributionSession(compute, stop));
  session->spec_ = spec;
  MeasureOptions& options = session->options_;
  std::optional<ProbeOptions>& probes = session->probes_;
  if (!spec.probe().empty()) {
    ProbeOption option;
    option.kinds = spec.probe();
    option.lengths = spec.probe_lengths();
    if (spec.probe_samples() > 0) option.samples = spec.probe_samples();
    ASSIGN_OR_RETURN(probes, option.Options());
  }
  ASSIGN_OR_RETURN(options, MeasureOptionsOf(spec));
  options.stop = stop;
  LoadedModel& model = session->model_;
  ModelOption option = ModelOf(spec);
  option.device = device;
  ASSIGN_OR_RETURN(model, option.Load(compute, WeightForm::kDense));
  // As the run had it.
  options.reset_at_document =
      model.job.has_value() && model.job->attention().reset_at_document();
  ModeAtOption mode_at;
  mode_at.texts.assign(spec.mode_at().begin(), spec.mode_at().end());
  ASSIGN_OR_RETURN(options.mode_at,
                   mode_at.Overrides(*model.llama, ComponentMode::kHybrid));
  auto tokenizer = LoadTokenizer(model.base_path);
  if (probes.has_value()) {
    RETURN_IF_ERROR(tokenizer.status());
    probes->modes = options.modes;
    probes->mode_at = options.mode_at;
    probes->micro_batch = options.micro_batch;
    probes->seed = options.seed;
    probes->stop = stop;
  }
  if (tokenizer.ok()) session->tokenizer_ = *std::move(tokenizer);
  if (!spec.data().empty()) {
    ASSIGN_OR_RETURN(session->data_,
                     OpenModelRows(spec.data(), model.weights->config,
                                   session->tokenizer_.get(), spec.seq_len()));
  }
  return session;
}

void AttributionSession::Describe(AttributionSettings* settings) const {
  if (model_.job.has_value()) DescribeTraining(*model_.job, settings);
  settings->model = model_.name;
  settings->data = BaseName(spec_.data());
}

absl::StatusOr<AttributionResult> AttributionSession::Measure(
    const std::function<void(const std::string&, int, int)>& progress) {
  options_.progress = progress;
  AttributionResult result;
  if (data_ == nullptr) {
    // What the student is, and no more.
    result.settings = StudentSettings(*model_.llama);
  } else {
    ASSIGN_OR_RETURN(
        result, MeasureAttribution(*model_.llama, compute_->execution(), *data_,
                                   options_));
  }
  if (probes_.has_value()) {
    probes_->progress = progress;
    ASSIGN_OR_RETURN(result.probes,
                     MeasureProbes(*model_.llama, compute_->execution(),
                                   *tokenizer_, *probes_));
  }
  Describe(&result.settings);
  return result;
}

absl::StatusOr<proto::EvaluationPlan> AttributionSession::Plan() {
  proto::EvaluationPlan plan;
  proto::MeasurementPlan& measurement = *plan.mutable_measurement();
  if (data_ == nullptr) {
    measurement = EmptyPlan(*model_.llama);
  } else {
    ASSIGN_OR_RETURN(measurement,
                     PlanMeasurement(*model_.llama, *data_, options_));
  }
  AttributionSettings settings = SettingsFromProto(measurement);
  Describe(&settings);
  *measurement.mutable_settings() = ToProto(settings);
  ASSIGN_OR_RETURN(const std::vector<proto::MeasurementShard> shards,
                   CutPlanWithin(measurement, spec_.part_rows(),
                                 kMostPlanParts - probes_.has_value()));
  plan.mutable_shards()->Add(shards.begin(), shards.end());
  plan.set_probes(probes_.has_value());
  plan.set_model_path(model_.base_path);
  plan.mutable_warnings()->Add(model_.warnings.begin(), model_.warnings.end());
  plan.set_version(kVersion);
  if (const auto bytes = static_cast<int64_t>(plan.ByteSizeLong());
      bytes > kMostPlanBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the plan of ", measurement.rows(), " rows and ",
        measurement.passes_size(), " passes has ", bytes,
        " bytes, expected at most ", kMostPlanBytes, ": take fewer --rows"));
  }
  return plan;
}

absl::StatusOr<proto::EvaluationPart> AttributionSession::RunPart(
    const proto::EvaluationPlan& plan, int64_t part) {
  proto::EvaluationPart out;
  if (part >= 1 && part <= plan.shards_size() && data_ != nullptr) {
    RETURN_IF_ERROR(CheckPlan(plan.measurement()));
    ShardRunner runner(*model_.llama, compute_->execution(), *data_,
                       plan.measurement(), stop_);
    ASSIGN_OR_RETURN(*out.mutable_partial(),
                     runner.Run(plan.shards(static_cast<int>(part - 1))));
    return out;
  }
  if (part == plan.shards_size() + 1 && plan.probes() && probes_.has_value()) {
    AttributionResult result;
    ASSIGN_OR_RETURN(result.probes,
                     MeasureProbes(*model_.llama, compute_->execution(),
                                   *tokenizer_, *probes_));
    out.set_probes(AttributionToJson(result));
    return out;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("the plan has no part ", part));
}

absl::StatusOr<AttributionResult> MergeParts(
    const std::vector<proto::EvaluationPart>& parts) {
  if (parts.empty() || !parts[0].has_plan()) {
    return absl::InvalidArgumentError("an evaluation has no plan");
  }
  const proto::EvaluationPlan& plan = parts[0].plan();
  if (plan.version() != kVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("it was measured by ", plan.version(), ", and this is ",
                     kVersion, ": the same program has to put it together"));
  }
  std::vector<proto::MeasurementPartial> partials;
  const std::string* probes = nullptr;
  for (size_t i = 1; i < parts.size(); ++i) {
    if (parts[i].has_partial()) partials.push_back(parts[i].partial());
    if (parts[i].part_case() == proto::EvaluationPart::kProbes) {
      probes = &parts[i].probes();
    }
  }
  ASSIGN_OR_RETURN(AttributionResult result,
                   MergeMeasurement(plan.measurement(), partials));
  if (plan.probes()) {
    if (probes == nullptr) {
      return absl::InvalidArgumentError("an evaluation's probes are missing");
    }
    ASSIGN_OR_RETURN(AttributionResult asked,
                     AttributionFromJson(*probes, "probes"));
    result.probes = std::move(asked.probes);
  }
  return result;
}

}  // namespace caracal
