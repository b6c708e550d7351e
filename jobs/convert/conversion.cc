#include "jobs/convert/conversion.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <vector>

#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/io/dataset/packed_dataset.h"
#include "core/io/tokenizer/load_tokenizer.h"
#include "core/model/generate.h"
#include "core/model/llama.h"
#include "dist/handshake/handshake.h"
#include "eval/attribution/result_json.h"
#include "eval/measure/measure.h"
#include "eval/probe/measure_probes.h"
#include "eval/report/html_report.h"
#include "eval/report/metrics.h"
#include "jobs/convert/gamma_sweep.h"
#include "jobs/convert/run_folder.h"
#include "jobs/model/compute.h"
#include "jobs/model/job_surroundings.h"
#include "jobs/model/loaded_model.h"
#include "jobs/model/model_rows.h"
#include "jobs/spec/fingerprint.h"
#include "jobs/spec/job_file.h"
#include "jobs/spec/problem.h"
#include "jobs/spec/warnings.h"
#include "jobs/train/checkpointing.h"
#include "jobs/train/student_config.h"
#include "jobs/train/trainer.h"

namespace caracal {
namespace {

// An advisory lock on the run folder; released when the process ends, however
// it does.
class RunLock {
 public:
  static absl::StatusOr<RunLock> Take(const std::string& path) {
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) return ErrnoStatus(errno, "open " + path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
      close(fd);
      return absl::FailedPreconditionError(
          absl::StrCat(path, ": another process is running this conversion"));
    }
    return RunLock(fd);
  }
  RunLock(RunLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  RunLock& operator=(RunLock&&) = delete;
  ~RunLock() {
    if (fd_ >= 0) close(fd_);
  }

 private:
  explicit RunLock(int fd) : fd_(fd) {}
  int fd_;
};

uint64_t PeakResidentBytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

class Conversion {
 public:
  explicit Conversion(const ConversionOptions& options)
      : options_(options),
        job_(options.job),
        folder_{options.run_folder},
        files_(FileSystem::Posix()),
        compute_(options.job.threads()) {}

  absl::StatusOr<ReportInput> Run();

 private:
  absl::Status PrepareFolder();
  absl::Status CheckSameJob();
  absl::Status LoadModel();
  absl::Status ReadPrompt();
  absl::Status OpenData();
  absl::Status WarnAboutJob();
  absl::Status Train();
  absl::Status ChooseGamma();
  // Of evaluation.probe.
  ProbeOptions Probes() const;
  absl::Status Measure();
  absl::Status AskProbes();
  absl::Status Continue();
  absl::Status ReadGammaSweep();
  absl::Status WriteReport();
  // What comes before Train() and after it.
  absl::Status Prepare();
  absl::Status CompareRanks();
  absl::Status Report();
  // kCancelled once the stop flag is up.
  absl::Status CheckStop() const {
    if (options_.stop == nullptr || !*options_.stop) return absl::OkStatus();
    return absl::CancelledError("stopped");
  }
  Gang& gang() { return options_.gang == nullptr ? alone_ : *options_.gang; }
  Execution execution() {
    Execution exec = compute_.execution();
    exec.collective = &gang().tensor();
    return exec;
  }
  void Note(const std::string& line) const {
    if (options_.events.note) options_.events.note(line);
  }
  void Timing(const std::string& what, absl::Duration start) {
    report_.run.timings.push_back(
        {what, absl::ToDoubleSeconds(Clock::Real()->Now() - start)});
  }

  const ConversionOptions& options_;
  proto::Job job_;
  RunFolder folder_;
  FileSystem* files_;
  Compute compute_;
  Gang alone_;
  std::optional<RunLock> lock_;
  std::unique_ptr<WeightSource> source_;
  std::string model_fingerprint_;
  LlamaWeights weights_;
  std::optional<Adapters> adapters_;
  std::optional<Llama> llama_;
  std::unique_ptr<Tokenizer> tokenizer_;  // null: the model has none
  std::vector<int32_t> prompt_;           // of the report; may be empty
  std::unique_ptr<PackedDataset> data_, validation_;
  int row_passes_ = 0;  // of the measurement on rows
  ReportInput report_;
};

// A fresh folder, or one whose run this job goes on with.
absl::Status Conversion::PrepareFolder() {
  if (files_->Exists(folder_.path) && !files_->IsFolder(folder_.path)) {
    return absl::InvalidArgumentError(absl::StrCat(
        folder_.path, ": is a file; --out names the run's folder"));
  }
  // A start that failed before its first step left nothing to lose.
  const auto trained = [this] {
    return files_->Exists(folder_.metrics()) ||
           files_->Exists(folder_.checkpoints());
  };
  if (options_.resume && !trained() && !files_->Exists(folder_.job())) {
    return absl::NotFoundError(absl::StrCat(
        folder_.path,
        ": holds no run to go on with; leave out --resume to start one"));
  }
  RETURN_IF_ERROR(files_->CreateFolder(folder_.path));
  ASSIGN_OR_RETURN(RunLock lock, RunLock::Take(folder_.lock()));
  lock_.emplace(std::move(lock));
  if (!trained()) return absl::OkStatus();
  if (!options_.resume) {
    return absl::AlreadyExistsError(absl::StrCat(
        folder_.path,
        ": holds a run already; go on with it by --resume, or choose another "
        "--out"));
  }
  return CheckSameJob();
}

absl::Status Conversion::CheckSameJob() {
  // Checkpoints say of themselves which job they are of.
  if (!files_->Exists(folder_.job())) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::string text, files_->ReadFile(folder_.job()));
  std::vector<Problem> problems;
  const proto::Job before = ParseJob(text, folder_.job(), nullptr, &problems);
  RETURN_IF_ERROR(ProblemsToStatus(problems, folder_.job()));
  // F may have been filled in from the model.
  if (!job_.attention().has_features()) {
    job_.mutable_attention()->set_features(before.attention().features());
  }
  const std::vector<std::string> differences = JobDifferences(before, job_);
  if (differences.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      folder_.path, ": the run there was started with another job: ",
      absl::StrJoin(differences, "; ")));
}

absl::Status Conversion::LoadModel() {
  const absl::Duration start = Clock::Real()->Now();
  const Context ctx = compute_.context();
  ASSIGN_OR_RETURN(source_, OpenModel(job_.model().path()));
  RETURN_IF_ERROR(CheckStop());
  model_fingerprint_ = source_->Fingerprint(ctx);
  RETURN_IF_ERROR(CheckStop());
  ASSIGN_OR_RETURN(weights_, LlamaWeights::Load(ctx, *source_,
                                                Shard{gang().place().tensor,
                                                      gang().shape().tensor},
                                                WeightForm::kDense));
  ASSIGN_OR_RETURN(const StudentConfig student,
                   StudentConfigOf(job_, source_->config()));
  job_.mutable_attention()->set_features(
      static_cast<int32_t>(student.features));
  adapters_.emplace(weights_.adapter_shape(), student);
  adapters_->Initialize(job_.seed());
  llama_.emplace(&weights_, &*adapters_);
  Timing("loading", start);
  return absl::OkStatus();
}

// The tokenizer is needed for the continuation and probes only; a model without
// one can be converted all the same.
absl::Status Conversion::ReadPrompt() {
  absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer =
      LoadTokenizer(job_.model().path());
  if (tokenizer.ok()) tokenizer_ = std::move(*tokenizer);
  const proto::Evaluation& e = job_.evaluation();
  if (e.has_probe() && e.rows() > 0) {
    RETURN_IF_ERROR(tokenizer.status());
    const absl::Status possible =
        CheckProbes(Probes(), *tokenizer_, weights_.config.max_positions);
    if (!possible.ok()) return Annotate(possible, "evaluation.probe");
  }
  if (e.prompt().empty() || e.rows() == 0) return absl::OkStatus();
  RETURN_IF_ERROR(tokenizer.status());
  ASSIGN_OR_RETURN(prompt_, tokenizer_->Encode(e.prompt()));
  const int64_t length =
      static_cast<int64_t>(prompt_.size()) + e.max_new_tokens();
  if (length > weights_.config.max_positions) {
    return absl::InvalidArgumentError(absl::StrCat(
        "evaluation.prompt and evaluation.max_new_tokens: ", prompt_.size(),
        " and ", e.max_new_tokens(),
        " tokens are more than the model's context of ",
        weights_.config.max_positions));
  }
  return absl::OkStatus();
}

absl::Status Conversion::OpenData() {
  const auto open = [&](const std::string& path) {
    return OpenModelRows(path, weights_.config, tokenizer_.get(),
                         job_.data().seq_len());
  };
  ASSIGN_OR_RETURN(data_, open(job_.data().path()));
  if (!job_.data().validation().empty()) {
    ASSIGN_OR_RETURN(validation_, open(job_.data().validation()));
    // Validations look at as many targets as training does.
    if (job_.data().seq_len() == 0 &&
        validation_->seq_len() < data_->seq_len()) {
      return absl::InvalidArgumentError(
          absl::StrCat(validation_->path(), ": rows have ",
                       validation_->seq_len(), " targets, but those of ",
                       data_->path(), " have ", data_->seq_len()));
    }
  }
  // Rows that are validated and reported: the first of their file.
  const auto check = [&](const PackedDataset& data, int64_t rows) {
    return CheckScoredTargets(data, rows, job_.data().seq_len());
  };
  if (validation_ != nullptr) {
    RETURN_IF_ERROR(check(*validation_, job_.validation().rows()));
  }
  if (job_.evaluation().rows() > 0) {
    RETURN_IF_ERROR(check(validation_ != nullptr ? *validation_ : *data_,
                          job_.evaluation().rows()));
  }
  return absl::OkStatus();
}

absl::Status Conversion::WarnAboutJob() {
  ASSIGN_OR_RETURN(const JobSurroundings around,
                   ReadSurroundings(job_, weights_.config, files_));
  for (const std::string& warning : JobWarnings(job_, around)) {
    Note(absl::StrCat("warning: ", warning));
  }
  return absl::OkStatus();
}

absl::Status Conversion::Train() {
  Checkpointing checkpointing(
      {.run_folder = folder_.path,
       .model = {job_.model().path(), model_fingerprint_},
       .job_fingerprint = JobFingerprint(job_),
       .random = absl::StrCat("{\"generator\": \"philox4x32-10\", "
                              "\"key\": ",
                              job_.seed(), "}"),
       .keep_last = job_.checkpoint().keep_last(),
       .files = files_,
       .gang = gang().alone() ? nullptr : &gang()});
  TrainState state;
  if (options_.resume) {
    std::vector<std::string> warnings;
    ASSIGN_OR_RETURN(const std::optional<TrainState> restored,
                     checkpointing.Restore(*llama_, &warnings));
    for (const std::string& warning : warnings) Note(warning);
    if (restored.has_value()) {
      state = *restored;
      Note(absl::StrCat("going on after step ", state.global_step, " from ",
                        checkpointing.restored_from()));
    } else {
      Note("no checkpoint was saved yet: starting with the first step");
    }
  }
  MetricsWriter metrics(files_, folder_.metrics());
  RETURN_IF_ERROR(gang().Agree(gang().leads()
                                   ? metrics.KeepUntil(state.global_step)
                                   : absl::OkStatus()));
  const absl::Duration start = Clock::Real()->Now();
  Trainer trainer(&job_, &*llama_, execution(), &gang(), data_.get(),
                  validation_.get(), &checkpointing, &metrics,
                  {.stop = options_.stop,
                   .on_step =
                       [&](const StepRecord& record, int64_t, int64_t) {
                         if (options_.events.step) options_.events.step(record);
                       },
                   .finish = [this] { return ChooseGamma(); },
                   .clock = Clock::Real()});
  ASSIGN_OR_RETURN(const bool finished, trainer.Run(state));
  if (!finished) {
    return absl::CancelledError(absl::StrCat(
        "stopped after step ", trainer.state().global_step,
        "; everything is saved: go on with the same command and --resume"));
  }
  // A run that was resumed for its report alone trained nothing.
  if (trainer.state().global_step > state.global_step) {
    Timing("training", start);
  }
  adapters_->lora_active = HasFinetune(job_);
  return absl::OkStatus();
}

absl::Status Conversion::ChooseGamma() {
  const proto::Evaluation& e = job_.evaluation();
  if (e.gamma_override_size() == 0) return absl::OkStatus();
  PackedDataset* data =
      validation_ != nullptr ? validation_.get() : data_.get();
  const int64_t seq_len = job_.data().seq_len();
  adapters_->lora_active = HasFinetune(job_);
  HeldOutProbe probe(
      &*llama_, execution(), &gang(), data, job_.validation().rows(),
      seq_len > 0 ? seq_len : data->seq_len(), job_.budget().micro_batch(),
      job_.attention().reset_at_document());
  ASSIGN_OR_RETURN(
      const GammaSweep sweep,
      SweepGamma({e.gamma_override().begin(), e.gamma_override().end()},
                 EvaluationModeOf(job_), probe, &*adapters_));
  Note(absl::StrCat("gamma ", sweep.chosen, " of ", sweep.points.size(),
                    " tried"));
  return gang().Agree(gang().leads()
                          ? files_->WriteFileAtomically(folder_.gamma_sweep(),
                                                        GammaSweepToJson(sweep))
                          : absl::OkStatus());
}

absl::Status Conversion::Measure() {
  const proto::Evaluation& e = job_.evaluation();
  const absl::Duration start = Clock::Real()->Now();
  MeasureOptions options;
  options.reset_at_document = job_.attention().reset_at_document();
  for (const int mode : e.modes()) {
    options.modes.push_back(
        ModeFromProto(static_cast<proto::ComponentMode>(mode)));
  }
  options.rows = e.rows();
  options.seq_len = job_.data().seq_len();
  options.micro_batch = job_.budget().micro_batch();
  options.baseline_sinks.assign(e.baseline_sinks().begin(),
                                e.baseline_sinks().end());
  options.bootstrap_samples = e.bootstrap_samples();
  options.seed = job_.seed();
  const int probe_passes = e.has_probe() ? ProbePasses(Probes(), *llama_) : 0;
  options.progress = [&](const std::string& pass, int done, int total) {
    row_passes_ = total;
    if (!options_.events.measured) return;
    options_.events.measured(pass, done, total + probe_passes);
  };
  options.stop = options_.stop;
  PackedDataset& data = validation_ != nullptr ? *validation_ : *data_;
  ASSIGN_OR_RETURN(report_.attribution,
                   MeasureAttribution(*llama_, execution(), data, options));
  report_.attribution.settings.model = BaseName(job_.model().path());
  report_.attribution.settings.data = BaseName(data.path());
  DescribeTraining(job_, &report_.attribution.settings);
  Timing("measuring", start);
  return absl::OkStatus();
}

ProbeOptions Conversion::Probes() const {
  const proto::Probe& probe = job_.evaluation().probe();
  ProbeOptions options;
  for (const std::string& name : probe.kinds()) {
    // The job was validated.
    options.kinds.push_back(ProbeKindFromName(name).value());
  }
  options.lengths.assign(probe.lengths().begin(), probe.lengths().end());
  options.samples = probe.samples();
  options.baseline_sinks.assign(job_.evaluation().baseline_sinks().begin(),
                                job_.evaluation().baseline_sinks().end());
  options.micro_batch = job_.budget().micro_batch();
  options.stop = options_.stop;
  return options;
}

absl::Status Conversion::AskProbes() {
  if (!job_.evaluation().has_probe()) return absl::OkStatus();
  const absl::Duration start = Clock::Real()->Now();
  ProbeOptions options = Probes();
  // The rows' passes are done; the probes' follow them.
  options.progress = [this](const std::string& pass, int done, int total) {
    if (!options_.events.measured) return;
    options_.events.measured(pass, row_passes_ + done, row_passes_ + total);
  };
  ASSIGN_OR_RETURN(report_.attribution.probes,
                   MeasureProbes(*llama_, execution(), *tokenizer_, options));
  Timing("probes", start);
  return absl::OkStatus();
}

absl::Status Conversion::Continue() {
  if (prompt_.empty()) return absl::OkStatus();
  const auto run = [&](ComponentMode mode) -> absl::StatusOr<std::string> {
    RETURN_IF_ERROR(CheckStop());
    Decoder decoder(&*llama_, execution(), mode);
    ASSIGN_OR_RETURN(
        const Continuation out,
        GenerateGreedy(decoder, prompt_, job_.evaluation().max_new_tokens(),
                       EndTokens(*tokenizer_, weights_.config), nullptr));
    return tokenizer_->Decode(out.tokens);
  };
  report_.run.prompt = job_.evaluation().prompt();
  ASSIGN_OR_RETURN(report_.run.teacher_continuation,
                   run(ComponentMode::kTeacher));
  ASSIGN_OR_RETURN(report_.run.student_continuation,
                   run(EvaluationModeOf(job_)));
  return absl::OkStatus();
}

// Also of a run that was resumed for its report alone.
absl::Status Conversion::ReadGammaSweep() {
  if (!files_->Exists(folder_.gamma_sweep())) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::string text,
                   files_->ReadFile(folder_.gamma_sweep()));
  const absl::StatusOr<GammaSweep> sweep = GammaSweepFromJson(text);
  if (!sweep.ok()) return Annotate(sweep.status(), folder_.gamma_sweep());
  for (const GammaSweep::Point& point : sweep->points) {
    report_.gamma_sweep.push_back({point.gamma, point.loss});
  }
  report_.chosen_gamma = sweep->chosen;
  // Both take the first rows of the same file.
  report_.gamma_rows_scored = std::min<int64_t>(
      job_.validation().rows(), report_.attribution.settings.rows);
  return absl::OkStatus();
}

absl::Status Conversion::WriteReport() {
  RETURN_IF_ERROR(ReadGammaSweep());
  ASSIGN_OR_RETURN(report_.metrics, ReadMetrics(*files_, folder_.metrics()));
  RunInfo& run = report_.run;
  run.model_path = job_.model().path();
  run.job_path = folder_.job();
  run.job_text = JobText(job_);
  run.date = absl::FormatTime("%Y-%m-%d %H:%M", Clock::Real()->WallTime(),
                              absl::LocalTimeZone());
  run.files = {{"report", folder_.report()},
               {"attribution", folder_.attribution()},
               {"metrics", folder_.metrics()},
               {"checkpoints", folder_.checkpoints()},
               {"job", folder_.job()}};
  run.peak_bytes = PeakResidentBytes();
  RETURN_IF_ERROR(files_->WriteFileAtomically(
      folder_.attribution(), AttributionToJson(report_.attribution)));
  return files_->WriteFileAtomically(folder_.report(), HtmlReport(report_));
}

absl::Status Conversion::Prepare() {
  RETURN_IF_ERROR(LoadModel());
  RETURN_IF_ERROR(ReadPrompt());
  RETURN_IF_ERROR(OpenData());
  RETURN_IF_ERROR(WarnAboutJob());
  RETURN_IF_ERROR(CheckStop());
  return absl::OkStatus();
}

// The ranks of a gang train one model, or not at all.
absl::Status Conversion::CompareRanks() {
  if (gang().alone()) return absl::OkStatus();
  return CompareFacts(
      gang().world(), gang().host(),
      {{"job fingerprint", JobFingerprint(job_)},
       {"model fingerprint", model_fingerprint_},
       {"seed", absl::StrCat(job_.seed())},
       {"rows of the training data", absl::StrCat(data_->rows())}});
}

absl::Status Conversion::Report() {
  RETURN_IF_ERROR(Measure());
  RETURN_IF_ERROR(AskProbes());
  RETURN_IF_ERROR(Continue());
  RETURN_IF_ERROR(CheckStop());
  return WriteReport();
}

absl::StatusOr<ReportInput> Conversion::Run() {
  // Files that are written once are the leading rank's.
  RETURN_IF_ERROR(
      gang().Agree(gang().leads() ? PrepareFolder() : absl::OkStatus()));
  const absl::Status prepared = gang().Agree(Prepare());
  if (absl::IsCancelled(prepared)) {
    return absl::CancelledError(
        "stopped while loading; nothing was trained: give the same command "
        "again");
  }
  RETURN_IF_ERROR(prepared);
  RETURN_IF_ERROR(CompareRanks());
  // Only now: what a start that failed leaves behind is no run.
  RETURN_IF_ERROR(gang().Agree(
      gang().leads() ? WriteJobText(job_, folder_.job()) : absl::OkStatus()));
  RETURN_IF_ERROR(Train());
  if (job_.evaluation().rows() == 0 || !gang().alone()) return report_;
  const absl::Status reported = Report();
  if (absl::IsCancelled(reported)) {
    return absl::CancelledError(
        absl::StrCat("stopped while measuring; the trained model is saved in ",
                     folder_.checkpoints(),
                     ": get the report with the same command and --resume"));
  }
  RETURN_IF_ERROR(reported);
  return report_;
}

}  // namespace

absl::StatusOr<ReportInput> RunConversion(const ConversionOptions& options) {
  return Conversion(options).Run();
}

}  // namespace caracal
