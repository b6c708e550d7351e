#include "jobs/convert/conversion.h"

#include <filesystem>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/io/dataset/packed_dataset.h"
#include "core/io/tokenizer/load_tokenizer.h"
#include "dist/checkpoint/manifest.h"
#include "dist/gang/once_per_host.h"
#include "dist/handshake/handshake.h"
#include "dist/nccl/device_groups.h"
#include "jobs/convert/gamma_sweep.h"
#include "jobs/convert/phases.h"
#include "jobs/convert/run_folder.h"
#include "jobs/convert/run_lock.h"
#include "jobs/convert/run_report.h"
#include "jobs/convert/same_job.h"
#include "jobs/convert/student.h"
#include "jobs/model/choose_device.h"
#include "jobs/model/compute.h"
#include "jobs/model/job_surroundings.h"
#include "jobs/model/loaded_model.h"
#include "jobs/model/model_rows.h"
#include "jobs/model/rank_gpu.h"
#include "jobs/spec/fingerprint.h"
#include "jobs/spec/job_file.h"
#include "jobs/spec/support.h"
#include "jobs/spec/warnings.h"
#include "jobs/train/checkpointing.h"
#include "jobs/train/student_config.h"
#include "jobs/train/trainer.h"

namespace caracal {
namespace {

// By the stop flag, between two parts of the loading.
constexpr char kStopped[] = "stopped while loading";

// Of a file of rows: what ranks compare, and a run with its checkpoints.
std::string ContentOf(FileSystem* files, const PackedDataset& data,
                      absl::Status* status) {
  const std::filesystem::path path = std::filesystem::absolute(data.path());
  const absl::StatusOr<RankFile> file =
      DescribeRankFile(files, path.parent_path(), path.filename());
  status->Update(file.status());
  return file.ok() ? file->checksum : "";
}

class Conversion {
 public:
  explicit Conversion(const ConversionOptions& options)
      : options_(options),
        job_(options.job),
        folder_{options.run_folder},
        files_(FileSystem::Posix()),
        compute_(options.job.threads()) {}

  // Groups that are on the device go before it.
  ~Conversion() {
    if (compute_.device() != nullptr) gang().Close();
  }

  absl::StatusOr<ReportInput> Run();

 private:
  absl::StatusOr<ReportInput> RunAll();
  absl::Status CheckGpu();
  absl::Status ChooseDevice();
  absl::Status PrepareFolder();
  // What can be refused before the model's weights are read.
  absl::Status Prepare();
  absl::Status OpenBaseModel();
  absl::Status ReadPrompt();
  absl::Status OpenData();
  absl::Status WarnAboutJob();
  absl::Status TakeFingerprints();
  absl::StatusOr<std::string> DataFingerprint(const PackedDataset* data);
  absl::Status CompareRanks();
  // Where the run goes on: the checkpoint's state, or the first step.
  absl::Status FindState();
  // The model as the phase lays it out, with the run's parameters.
  absl::Status LoadFor(const MeshShape& shape);
  absl::StatusOr<IndexRange> ChooseLayers();
  absl::Status Train(const std::vector<Phase>& phases);
  absl::Status TrainPhase(const Phase& phase);
  absl::Status ChooseGamma();
  absl::Status Report();

  // kCancelled once the stop flag is up.
  absl::Status CheckStop() const {
    if (options_.stop == nullptr || !*options_.stop) return absl::OkStatus();
    return absl::CancelledError(kStopped);
  }
  Gang& gang() { return options_.gang == nullptr ? alone_ : *options_.gang; }
  Execution execution() {
    Execution exec = compute_.execution();
    exec.collective = &gang().tensor();
    return exec;
  }
  PackedDataset& scored_rows() {
    return validation_ != nullptr ? *validation_ : *data_;
  }
  int64_t seq_len() const {
    return job_.data().seq_len() > 0 ? job_.data().seq_len() : data_->seq_len();
  }
  // For people who started it by a command.
  std::string Advice(absl::string_view words) const {
    return options_.by_command ? absl::StrCat(": ", words) : "";
  }
  void Note(const std::string& line) const {
    if (options_.events.note) options_.events.note(line);
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
  std::unique_ptr<Tokenizer> tokenizer_;  // null: the model has none
  std::vector<int32_t> prompt_;           // of the report; may be empty
  std::unique_ptr<PackedDataset> data_, validation_;
  std::string data_fingerprint_, validation_fingerprint_;
  std::unique_ptr<Student> student_;
  std::optional<Checkpointing> checkpointing_;
  TrainState state_;
  ReportInput report_;
};

// Whether a GPU of this rank's host can run the job.
absl::Status Conversion::CheckGpu() {
  size_t block_bytes = 0;
  RETURN_IF_ERROR(FindCuda(&block_bytes));
  const auto refuse = [&](const absl::Status& why) {
    return job_.device() == "cuda" ? OrOnCpu(why) : why;
  };
  const absl::Status model = CheckCudaModel(source_->config());
  if (!model.ok()) {
    return refuse(
        Annotate(model, absl::StrCat("model.path: ", source_->path())));
  }
  const std::vector<Problem> problems =
      CudaProblems(job_, source_->config().head_dim, block_bytes);
  if (problems.empty()) return absl::OkStatus();
  return refuse(absl::UnimplementedError(
      absl::StrCat(problems[0].field, ": ", problems[0].message)));
}

// Left to us, GPUs where each rank has one that can run the job. All ranks
// call.
absl::Status Conversion::ChooseDevice() {
  if (job_.device() == "cpu") return absl::OkStatus();
  const bool asked = job_.device() == "cuda";
  const auto choose = [&]() -> absl::StatusOr<int> {
    RETURN_IF_ERROR(gang().Agree(CheckGpu()));
    if (options_.on_shared_gpu) return 0;
    return GpuOfRank(gang(), CudaBusIds());
  };
  const absl::StatusOr<int> index = choose();
  if (!index.ok()) {
    if (asked) return index.status();
    const std::string why = WhyOnCpu(index.status());
    if (!why.empty()) Note(why);
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(gang().Agree(compute_.UseCuda(*index)));
  Device* const device = compute_.device();
  if (gang().alone()) {
    Note(absl::StrCat("on ", device->name()));
    return absl::OkStatus();
  }
  device->set_stall(
      gang().stall(),
      [gang = &gang()](const absl::Status& error) { gang->Lost(error); });
  RETURN_IF_ERROR(
      gang().Wrap([this, device, stall = gang().stall(), told = false,
                   shared = options_.on_shared_gpu](AxisGroups groups) mutable {
        const auto note = [&](const std::string& line) {
          if (!std::exchange(told, true)) Note(line);
        };
        return shared ? shared(std::move(groups), device)
                      : OnDevice(std::move(groups), device, stall, note);
      }));
  Note(absl::StrCat("on ", gang().size(), " GPUs, rank 0 on ", device->name()));
  return absl::OkStatus();
}

// A fresh folder, or one whose run this job goes on with.
absl::Status Conversion::PrepareFolder() {
  if (files_->Exists(folder_.path) && !files_->IsFolder(folder_.path)) {
    return absl::InvalidArgumentError(absl::StrCat(
        folder_.path, ": is a file; --out names the run's folder"));
  }
  if (options_.resume && !HoldsRun(files_, folder_)) {
    return absl::NotFoundError(absl::StrCat(
        folder_.path,
        ": holds no run to go on with; leave out --resume to start one"));
  }
  RETURN_IF_ERROR(files_->CreateFolder(folder_.path));
  ASSIGN_OR_RETURN(RunLock lock, RunLock::Take(folder_.lock()));
  lock_.emplace(std::move(lock));
  if (!HasTrained(files_, folder_)) return absl::OkStatus();
  if (!options_.resume) {
    return absl::AlreadyExistsError(absl::StrCat(
        folder_.path,
        ": holds a run already; go on with it by --resume, or choose another "
        "--out"));
  }
  return CheckSameJob(files_, folder_, &job_);
}

absl::Status Conversion::OpenBaseModel() {
  const absl::Duration start = Clock::Real()->Now();
  ASSIGN_OR_RETURN(source_, OpenModel(job_.model().path()));
  ASSIGN_OR_RETURN(const StudentConfig student,
                   StudentConfigOf(job_, source_->config()));
  job_.mutable_attention()->set_features(
      static_cast<int32_t>(student.features));
  AddTiming("loading", start, &report_);
  return CheckStop();
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
        CheckProbes(ProbeOptionsOf(job_, options_.stop), *tokenizer_,
                    source_->config().max_positions);
    if (!possible.ok()) return Annotate(possible, "evaluation.probe");
  }
  if (e.prompt().empty() || e.rows() == 0) return absl::OkStatus();
  RETURN_IF_ERROR(tokenizer.status());
  ASSIGN_OR_RETURN(prompt_, tokenizer_->Encode(e.prompt()));
  const int64_t length =
      static_cast<int64_t>(prompt_.size()) + e.max_new_tokens();
  if (length > source_->config().max_positions) {
    return absl::InvalidArgumentError(absl::StrCat(
        "evaluation.prompt and evaluation.max_new_tokens: ", prompt_.size(),
        " and ", e.max_new_tokens(),
        " tokens are more than the model's context of ",
        source_->config().max_positions));
  }
  return absl::OkStatus();
}

absl::Status Conversion::OpenData() {
  const auto open = [&](const std::string& path) {
    return OpenModelRows(path, source_->config(), tokenizer_.get(),
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
                   ReadSurroundings(job_, source_->config(), files_));
  for (const std::string& warning : JobWarnings(job_, around)) {
    Note(absl::StrCat("warning: ", warning));
  }
  return absl::OkStatus();
}

absl::Status Conversion::Prepare() {
  RETURN_IF_ERROR(OpenBaseModel());
  RETURN_IF_ERROR(ReadPrompt());
  RETURN_IF_ERROR(OpenData());
  RETURN_IF_ERROR(WarnAboutJob());
  return CheckStop();
}

// "" for no data. All ranks call, whether they have any or not.
absl::StatusOr<std::string> Conversion::DataFingerprint(
    const PackedDataset* data) {
  std::string file;
  std::error_code ignored;
  if (data != nullptr) file = std::filesystem::canonical(data->path(), ignored);
  absl::Status read;
  const auto content = [&] {
    return data == nullptr ? "" : ContentOf(files_, *data, &read);
  };
  ASSIGN_OR_RETURN(std::string fingerprint, OncePerHost(gang(), file, content));
  RETURN_IF_ERROR(gang().Agree(read));
  return fingerprint;
}

absl::Status Conversion::TakeFingerprints() {
  std::error_code ignored;
  ASSIGN_OR_RETURN(
      model_fingerprint_,
      OncePerHost(
          gang(),
          std::filesystem::canonical(job_.model().path(), ignored).string(),
          [this] { return source_->Fingerprint(compute_.context()); }));
  RETURN_IF_ERROR(gang().Agree(CheckStop()));
  ASSIGN_OR_RETURN(data_fingerprint_, DataFingerprint(data_.get()));
  ASSIGN_OR_RETURN(validation_fingerprint_, DataFingerprint(validation_.get()));
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
       {"checksum of the training data", data_fingerprint_},
       {"checksum of the validation data", validation_fingerprint_}});
}

absl::Status Conversion::FindState() {
  checkpointing_.emplace(CheckpointingOptions{
      .run_folder = folder_.path,
      .model = {job_.model().path(), model_fingerprint_},
      .data = {job_.data().path(), data_fingerprint_},
      .validation = {job_.data().validation(), validation_fingerprint_},
      .job_fingerprint = JobFingerprint(job_),
      .random = absl::StrCat(
          "{\"generator\": \"philox4x32-10\", \"key\": ", job_.seed(), "}"),
      .keep_last = job_.checkpoint().keep_last(),
      .keep_best = job_.checkpoint().keep_best(),
      .files = files_,
      .gang = gang().alone() ? nullptr : &gang()});
  if (!options_.resume) return absl::OkStatus();
  std::vector<std::string> warnings;
  ASSIGN_OR_RETURN(const std::optional<TrainState> found,
                   checkpointing_->Find(&warnings));
  for (const std::string& warning : warnings) Note(warning);
  if (found.has_value()) {
    state_ = *found;
    Note(absl::StrCat("going on after step ", state_.global_step, " from ",
                      checkpointing_->restored_from()));
  } else {
    // Whether none was saved yet or somebody has removed them.
    Note(absl::StrCat("no checkpoint is in ", folder_.checkpoints(),
                      ": starting with the first step"));
  }
  return absl::OkStatus();
}

absl::StatusOr<IndexRange> Conversion::ChooseLayers() {
  std::vector<double> costs;
  ASSIGN_OR_RETURN(
      const std::vector<IndexRange> split,
      BalanceLayers(job_, *source_, gang(), execution(), seq_len(), &costs));
  Note(LayerSplitWords(split, costs));
  return split[gang().place().layer];
}

absl::Status Conversion::LoadFor(const MeshShape& shape) {
  const absl::Duration start = Clock::Real()->Now();
  RETURN_IF_ERROR(gang().LayOut(shape));
  // Before the next one is there.
  student_ = nullptr;
  IndexRange layers;
  if (shape.layer > 1) {
    ASSIGN_OR_RETURN(layers, ChooseLayers());
  }
  const auto load = [&]() -> absl::Status {
    RETURN_IF_ERROR(CheckStop());
    ASSIGN_OR_RETURN(student_,
                     Student::Load(job_, *source_, gang(), execution(),
                                   shape.layer > 1 ? &layers : nullptr));
    return CheckStop();
  };
  RETURN_IF_ERROR(gang().Agree(load()));
  RETURN_IF_ERROR(checkpointing_->RestoreParameters(*student_->llama));
  AddTiming("loading", start, &report_);
  return absl::OkStatus();
}

absl::Status Conversion::TrainPhase(const Phase& phase) {
  const absl::Duration start = Clock::Real()->Now();
  const int64_t first_step = state_.global_step;
  TensorBoardWriter events(files_, Clock::Real(), folder_.path);
  MetricsWriter metrics(files_, folder_.metrics(), &events);
  RETURN_IF_ERROR(gang().Agree(gang().leads()
                                   ? metrics.KeepUntil(state_.global_step)
                                   : absl::OkStatus()));
  if (gang().leads() && options_.events.training) {
    options_.events.training(state_.global_step);
  }
  Trainer trainer(&job_, student_->llama.get(), execution(), &gang(),
                  data_.get(), validation_.get(), &*checkpointing_, &metrics,
                  {.stop = options_.stop,
                   .on_step =
                       [&](const StepRecord& record, int64_t, int64_t) {
                         if (options_.events.step) options_.events.step(record);
                       },
                   .note = [this](const std::string& line) { Note(line); },
                   .finish = [this] { return ChooseGamma(); },
                   .curriculum = options_.curriculum,
                   .clock = Clock::Real()});
  ASSIGN_OR_RETURN(const bool finished, trainer.Run(state_, phase.end));
  state_ = trainer.state();
  if (!finished) {
    return absl::CancelledError(absl::StrCat(
        "stopped after step ", state_.global_step, "; everything is saved",
        Advice("go on with the same command and --resume")));
  }
  // A run that was resumed for its report alone trained nothing.
  if (state_.global_step > first_step) {
    AddTiming("training", start, &report_);
    const absl::Duration took = Clock::Real()->Now() - start;
    const absl::Duration stall = trainer.checkpoint_stall();
    if (stall > absl::ZeroDuration()) {
      Note(absl::StrFormat(
          "trained for %.1f s, of which checkpoints on the way held up %.3f s "
          "(%.2f%%)",
          absl::ToDoubleSeconds(took), absl::ToDoubleSeconds(stall),
          100 * absl::FDivDuration(stall, took)));
    }
  }
  return absl::OkStatus();
}

absl::Status Conversion::Train(const std::vector<Phase>& phases) {
  for (size_t i = 0; i < phases.size(); ++i) {
    // The first was loaded before anything was written.
    if (i > 0) RETURN_IF_ERROR(LoadFor(phases[i].shape));
    RETURN_IF_ERROR(TrainPhase(phases[i]));
  }
  return absl::OkStatus();
}

absl::Status Conversion::ChooseGamma() {
  const proto::Evaluation& e = job_.evaluation();
  if (e.gamma_override_size() == 0) return absl::OkStatus();
  PackedDataset* data =
      validation_ != nullptr ? validation_.get() : data_.get();
  const int64_t seq_len = job_.data().seq_len();
  student_->adapters->lora_active = HasFinetune(job_);
  HeldOutProbe probe(
      student_->llama.get(), execution(), &gang(), data,
      job_.validation().rows(), seq_len > 0 ? seq_len : data->seq_len(),
      job_.budget().micro_batch(), job_.attention().reset_at_document());
  ASSIGN_OR_RETURN(
      const GammaSweep sweep,
      SweepGamma({e.gamma_override().begin(), e.gamma_override().end()},
                 EvaluationModeOf(job_), probe, student_->adapters.get()));
  Note(absl::StrCat("gamma ", sweep.chosen, " of ", sweep.points.size(),
                    " tried"));
  return gang().Agree(gang().leads()
                          ? files_->WriteFileAtomically(folder_.gamma_sweep(),
                                                        GammaSweepToJson(sweep))
                          : absl::OkStatus());
}

absl::Status Conversion::Report() {
  student_->adapters->lora_active = HasFinetune(job_);
  return MakeRunReport({.job = &job_,
                        .options = &options_,
                        .files = files_,
                        .model = student_->llama.get(),
                        .exec = execution(),
                        .data = &scored_rows(),
                        .tokenizer = tokenizer_.get(),
                        .prompt = prompt_},
                       &report_);
}

absl::StatusOr<ReportInput> Conversion::Run() {
  absl::StatusOr<ReportInput> ended = RunAll();
  // As Trainer::Run() does, of what it does not do itself.
  if (!ended.ok() && compute_.device() != nullptr) gang().Lost(ended.status());
  return ended;
}

absl::StatusOr<ReportInput> Conversion::RunAll() {
  if (job_.device() == "cuda") RETURN_IF_ERROR(gang().Agree(FindCuda()));
  // Files that are written once are the leading rank's.
  RETURN_IF_ERROR(
      gang().Agree(gang().leads() ? PrepareFolder() : absl::OkStatus()));
  const auto load = [&]() -> absl::StatusOr<std::vector<Phase>> {
    RETURN_IF_ERROR(gang().Agree(Prepare()));
    RETURN_IF_ERROR(ChooseDevice());
    RETURN_IF_ERROR(TakeFingerprints());
    RETURN_IF_ERROR(CompareRanks());
    RETURN_IF_ERROR(FindState());
    std::vector<Phase> phases =
        PhasesOf(job_, static_cast<int>(state_.stage_index), gang().alone());
    RETURN_IF_ERROR(LoadFor(phases.empty() ? gang().shape() : phases[0].shape));
    return phases;
  };
  const absl::StatusOr<std::vector<Phase>> phases = load();
  if (absl::IsCancelled(phases.status())) {
    return absl::CancelledError(
        absl::StrCat("stopped while loading; nothing was trained",
                     Advice("give the same command again")));
  }
  RETURN_IF_ERROR(phases.status());
  // Only now: what a start that failed leaves behind is no run.
  RETURN_IF_ERROR(gang().Agree(
      gang().leads() ? WriteJobText(job_, folder_.job()) : absl::OkStatus()));
  const absl::Status trained = Train(*phases);
  // Asked of this rank or of another one, which is named before it.
  if (absl::IsCancelled(trained) &&
      absl::EndsWith(trained.message(), kStopped)) {
    return absl::CancelledError(
        absl::StrCat("stopped between two stages; everything is saved",
                     Advice("go on with the same command and --resume")));
  }
  RETURN_IF_ERROR(trained);
  if (job_.evaluation().rows() == 0 || !gang().alone()) return report_;
  const absl::Status reported = Report();
  if (absl::IsCancelled(reported)) {
    return absl::CancelledError(
        absl::StrCat("stopped while measuring; the trained model is saved in ",
                     folder_.checkpoints(),
                     Advice("get the report with the same command and "
                            "--resume")));
  }
  RETURN_IF_ERROR(reported);
  return report_;
}

}  // namespace

absl::StatusOr<ReportInput> RunConversion(const ConversionOptions& options) {
  return Conversion(options).Run();
}

}  // namespace caracal
